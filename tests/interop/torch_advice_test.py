"""Advice for torch modules: torch's own calls, which apply_ makes, and δ is what was promised."""

import copy
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

import pullback as pb
from pullback.errors import ConfigError, ShapeError, UnknownNameError
from pullback.interop.measured import Unchanged, measured, redrawn
from pullback.interop.torch.initialise import places_of, recipe


class Tokens(nn.Module):
    """An embedding, attention with a skip and a norm, and a mean over the tokens."""

    def __init__(self):
        super().__init__()
        self.table, self.attend = (
            nn.Embedding(11, 16),
            nn.MultiheadAttention(16, 2, batch_first=True),
        )
        self.norm, self.up, self.head = nn.LayerNorm(16), nn.Linear(16, 16), nn.Linear(16, 3)

    def forward(self, tokens):
        x = self.table(tokens)
        x = self.norm(x + self.attend(x, x, x, need_weights=False)[0])
        return self.head(torch.tanh(self.up(x)).mean(1))


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.loop, self.head = kind(6, 12, batch_first=True), nn.Linear(12, 3)

    def forward(self, x):
        return self.head(self.loop(x)[0][:, -1])


class Bare(nn.Module):
    """Parameters of its own: a matrix, and a position that is added."""

    def __init__(self):
        super().__init__()
        self.W = nn.Parameter(0.01 * torch.randn(8, 16))
        self.place = nn.Parameter(0.5 * torch.randn(16))
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        return self.head(torch.relu(x @ self.W + self.place))


def stack(*parts):
    return nn.Sequential(*parts)


def hidden(make, *, times):
    return [part for _ in range(times) for part in make()]


def shrunk(module, by=0.05):
    """Weights so small that δ vanishes."""
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d)):
                part.weight.mul_(by)
    return module


def frozen(module, name):
    module.get_parameter(name).requires_grad_(False)
    return module


def normed(width):
    return [nn.Linear(width, width), nn.LayerNorm(width), nn.ReLU()]


MODULES = {
    "relu": lambda: stack(*hidden(lambda: [nn.Linear(8, 8), nn.ReLU()], times=4), nn.Linear(8, 3)),
    "tanh": lambda: stack(*hidden(lambda: [nn.Linear(8, 8), nn.Tanh()], times=6), nn.Linear(8, 3)),
    "without biases": lambda: stack(
        *hidden(lambda: [nn.Linear(8, 8, bias=False), nn.ReLU()], times=4), nn.Linear(8, 3)
    ),
    "norms": lambda: shrunk(stack(nn.Linear(8, 8), *hidden(lambda: normed(8), times=2),
                                  nn.Linear(8, 3))),
    "conv": lambda: shrunk(stack(
        nn.Unflatten(1, (1, 8)), nn.Conv1d(1, 6, 3, padding=1), nn.ReLU(),
        nn.Conv1d(6, 6, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(48, 3),
    )),
    "groups": lambda: shrunk(stack(
        nn.Unflatten(1, (2, 4)), nn.Conv1d(2, 8, 3, padding=1), nn.GELU(),
        nn.Conv1d(8, 8, 3, groups=4), nn.GELU(), nn.Flatten(), nn.Linear(16, 3),
    )),
    "batch norm": lambda: shrunk(stack(
        nn.Unflatten(1, (1, 2, 4)), nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3),
    ).eval()),
    "transposed": lambda: shrunk(stack(
        nn.Unflatten(1, (2, 2, 2)), nn.ConvTranspose2d(2, 6, 4, stride=2, padding=1), nn.ReLU(),
        nn.ConvTranspose2d(6, 6, 4, stride=2, padding=1), nn.ReLU(), nn.Flatten(),
        nn.Linear(384, 3),
    ), 0.2),
    "attention": lambda: shrunk(Tokens()),
    "gru": lambda: shrunk(Recurrent(nn.GRU)),
    "rnn": lambda: shrunk(Recurrent(nn.RNN)),
    "bare": lambda: shrunk(Bare()),
    "frozen": lambda: frozen(stack(
        *hidden(lambda: [nn.Linear(8, 8), nn.ReLU()], times=5), nn.Linear(8, 3)), "2.weight"),
}  # fmt: skip


def data(name, samples=24):
    rng = np.random.default_rng(1)
    y = np.arange(samples) % 3
    if name == "attention":
        return rng.integers(11, size=(samples, 5)), y
    return rng.normal(size=(samples, 5, 6) if name in ("gru", "rnn") else (samples, 8)), y


def ratio(module, X, Y, first):
    """RMS ‖δ‖ of a layer over that of the last, by autograd."""
    held = {}

    def keep(name):
        def hook(part, args, out):
            out.retain_grad()
            held[name] = out

        return hook  # fmt: skip

    last = [n for n, part in module.named_modules() if isinstance(part, nn.Linear)][-1]
    hooks = [module.get_submodule(n).register_forward_hook(keep(n)) for n in (first, last)]
    X = torch.tensor(X) if X.dtype.kind == "i" else torch.tensor(X, dtype=torch.float32)
    nn.functional.cross_entropy(module(X), torch.tensor(Y)).backward()
    for hook in hooks:
        hook.remove()
    module.zero_grad()
    return float((held[first].grad ** 2).sum() / (held[last].grad ** 2).sum()) ** 0.5


def made(name):
    torch.manual_seed(0)
    return MODULES[name]()


@cache
def advised(name):
    loss, (X, Y) = nn.CrossEntropyLoss(), data(name)
    return pb.forecast(made(name), X, Y, methods=("coupled",), loss=loss, progress=False)


@pytest.mark.parametrize("name", MODULES)
def test_the_lines_of_code_do_what_apply_does(name):
    module, f = made(name), advised(name)
    assert f.verdict == "vanishing"
    assert f.advice.offered
    by_hand, before = copy.deepcopy(module), copy.deepcopy(module.state_dict())
    assert f.apply_(module, seed=5) is module
    torch.manual_seed(5)
    exec(f.advice.code, {"nn": nn, "model": by_hand})  # noqa: S102  # that it runs is the test
    after = module.state_dict()
    for key, value in after.items():
        assert torch.equal(value, by_hand.state_dict()[key]), key
    drawn = {spec.name for spec in f.advice.specs}
    changed = {key for key, value in before.items() if not torch.equal(value, after[key])}
    assert changed <= drawn
    assert {spec.name for spec in f.advice.specs if spec.kind == "weight"} <= changed
    assert f.advice.code.splitlines()[-1].strip() in f.text()


@pytest.mark.parametrize("name", MODULES)
def test_delta_of_the_module_is_what_was_promised(name):
    """By torch's autograd: the median within the interval, and near the promise."""
    module, (X, Y), f = made(name), data(name), advised(name)
    names = [part for part, _ in module.named_modules()]
    first = f.layers[f.judged.first].name
    if first not in names:  # inside an operator that torch shows no hook for
        return
    found = []
    for seed in range(11):
        f.apply_(module, seed)
        found.append(ratio(module, X, Y, first))
    low, high = f.advice.interval
    assert low * 0.7 <= np.median(found) <= high * 1.4
    assert np.median(found) == pytest.approx(f.advice.after, rel=0.4)
    assert abs(np.log(np.median(found))) < abs(np.log(f.ratio))


def test_norms_embeddings_positions_and_what_is_frozen_are_never_drawn():
    def names(name):
        return {spec.name for spec in advised(name).advice.specs}

    assert names("attention") == {
        "attend.in_proj_weight", "attend.out_proj.weight", "attend.out_proj.bias", "up.weight",
        "up.bias", "head.weight", "head.bias",
    }  # fmt: skip
    assert names("bare") == {"W", "head.weight", "head.bias"}
    assert names("norms") == {f"{at}.{part}" for at in (0, 1, 4, 7) for part in ("weight", "bias")}
    assert "2.weight" not in names("frozen")


def test_the_calls_are_torchs_with_the_right_fan():
    code = {name: advised(name).advice.code for name in MODULES}
    assert code["relu"].splitlines() == [
        "for m in model.modules():",
        "    if isinstance(m, nn.Linear):",
        '        nn.init.kaiming_normal_(m.weight, nonlinearity="relu")',
        "        nn.init.zeros_(m.bias)",
    ]
    assert "isinstance(m, (nn.Linear, nn.Conv1d))" in code["conv"]
    assert "if m.bias is not None:" in code["without biases"]
    # 2 channels and 6 channels in, 4 × 4 taps of which one in 2 × 2 meets: fan-in 8 and 24
    for fan in (8, 24):
        assert f"std={(2 / fan) ** 0.5:.6g})" in code["transposed"]
    assert "model.get_submodule('attend').in_proj_weight" in code["attention"]
    assert "for m in map(model.get_submodule, [" in code["frozen"]
    # x @ W: eight numbers are summed, though W is (in, out)
    assert f"nn.init.normal_(model.W, std={(2 / 8) ** 0.5:.6g})" in code["bare"]


def test_a_module_that_is_another_is_refused_before_anything_is_drawn():
    f = advised("relu")
    other = stack(*hidden(lambda: [nn.Linear(8, 8), nn.ReLU()], times=4), nn.Linear(8, 4))
    before = copy.deepcopy(other.state_dict())
    with pytest.raises(ShapeError, match=r"8\.weight has shape \(4, 8\)"):
        f.apply_(other)
    with pytest.raises(UnknownNameError, match="parameter of the module"):
        f.apply_(nn.Linear(8, 3))
    with pytest.raises(ConfigError, match="frozen in the module"):
        f.apply_(frozen(MODULES["relu"](), "2.weight"))
    assert all(torch.equal(value, before[key]) for key, value in other.state_dict().items())


def test_a_scheme_that_torch_has_no_call_for_is_named():
    module = nn.Linear(4, 3)
    net, _ = pb.from_torch(module, nn.MSELoss())
    with pytest.raises(ConfigError, match="no call for"):
        recipe(places_of(module), redrawn(net), pb.init.uniform(0.3))


def test_torchs_default_is_recognised_and_what_is_no_layer_is_held():
    module = made("tanh")
    net, params = pb.from_torch(module, nn.CrossEntropyLoss(), example=torch.ones(1, 8))
    scheme = measured(net, params)
    for spec in net.specs:
        assert scheme.of(spec) == pb.init.torch_default()
    params["2.weight"] = params["2.weight"] * 1.5
    assert measured(net, params).of_layer("2").entries == "normal"
    tokens = Tokens()
    net, params = pb.from_torch(tokens, nn.CrossEntropyLoss(), example=torch.ones(1, 5, dtype=int))
    table = next(spec for spec in net.specs if spec.name == "table.weight")
    law = measured(net, params).of(table)
    assert isinstance(law, Unchanged)
    assert np.array_equal(law.draw(table, np.random.default_rng(0)), params["table.weight"])
