"""Modules that are no chain of layers: value and every gradient are autograd's."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from zoo import close

import pullback as pb
from pullback.errors import ConversionError

WIDTH = 4


class Module(nn.Module):
    """Parameters, buffers and layers of many kinds, and any way to use them."""

    def __init__(self, how):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(WIDTH, 6), nn.Linear(WIDTH, 6), nn.Linear(6, 6)
        self.wide, self.head = nn.Linear(12, 3), nn.Linear(6, 3, bias=False)
        self.norm, self.rms = nn.LayerNorm(6), nn.RMSNorm(6, eps=1e-6)
        self.batch, self.act = nn.BatchNorm1d(6), nn.PReLU(6)
        self.W, self.v = nn.Parameter(torch.randn(WIDTH, 6)), nn.Parameter(torch.randn(6))
        self.scale = nn.Parameter(torch.tensor(0.7))
        self.table = nn.Parameter(torch.randn(1, 5, 6))
        self.register_buffer("mask", (torch.arange(6) % 2).double())
        self.register_buffer("B", torch.randn(WIDTH, 6))
        self.how = how

    def forward(self, x):
        return self.how(self, x)


class Two(Module):
    def forward(self, x, y, shift=1.0):
        return self.how(self, x, y) * shift


class Attention(nn.Module):
    """Two heads over tokens, by products."""

    def __init__(self, width=4, heads=2):
        super().__init__()
        self.qkv, self.out, self.heads = nn.Linear(width, 3 * width), nn.Linear(width, 3), heads

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        q, k, v = (z.reshape(b, t, self.heads, -1).transpose(1, 2) for z in (q, k, v))
        weights = (q @ k.transpose(-1, -2) / 2**0.5).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).reshape(b, t, d)).mean(1)


class Checked(nn.Module):
    """Python that torch.fx cannot trace, and torch.export can."""

    def __init__(self):
        super().__init__()
        self.fc, self.norm, self.bn = nn.Linear(4, 6), nn.LayerNorm(6), nn.BatchNorm1d(6)

    def forward(self, x):
        assert x.shape[1] == 4
        u, v = self.bn(self.norm(self.fc(x))).chunk(2, dim=-1)
        return torch.cat([u * v.sigmoid(), F.softmax(v, dim=1)], 1)[:, 1:4]


ROWS: dict[str, object] = {
    "two branches": lambda m, x: m.head(m.a(x) + m.b(x)),
    "a gate": lambda m, x: m.head(F.silu(m.a(x)) * m.b(x)),
    "a highway": lambda m, x: m.head((g := m.a(x).sigmoid()) * m.c(h := m.b(x)) + (1 - g) * h),
    "one layer three times": lambda m, x: m.head(m.c(m.c(m.c(m.a(x)).tanh()).tanh())),
    "x @ W + v": lambda m, x: m.head(torch.tanh(x @ m.W + m.v)),
    "W alone": lambda m, x: x @ m.W * m.scale,
    "W and its transpose": lambda m, x: (x @ m.W).tanh() @ m.W.T,
    "a polynomial": lambda m, x: m.scale + m.scale * x + m.scale**2 * x**3,
    "a number of its own": lambda m, x: m.head(m.scale * m.a(x)),
    "a vector of its own": lambda m, x: m.head((m.a(x) - m.v) / (1 + m.v**2)),
    "a mask": lambda m, x: m.head(m.a(x) * m.mask + m.b(x) * (1 - m.mask)),
    "features of a buffer": lambda m, x: m.wide(torch.cat([(p := x @ m.B).sin(), p.cos()], -1)),
    "softmax": lambda m, x: m.head(m.a(x)).softmax(1),
    "log softmax": lambda m, x: F.log_softmax(m.head(m.a(x)), dim=-1) * 2,
    "log sum exp": lambda m, x: m.a(x) - m.b(x).logsumexp(1, keepdim=True),
    "layer norm": lambda m, x: m.head(m.norm(m.a(x))),
    "rms norm": lambda m, x: m.head(m.rms(m.a(x))),
    "batch norm": lambda m, x: m.head(m.batch(m.a(x)).relu()),
    "prelu": lambda m, x: m.head(m.act(m.a(x))),
    "glu": lambda m, x: F.glu(m.a(x)),
    "means and sums": lambda m, x: m.a(x) - m.a(x).mean(1, keepdim=True) + m.b(x).sum(-1)[:, None],
    "variance": lambda m, x: m.a(x) / (1 + m.b(x).var(-1, keepdim=True)),
    "the largest": lambda m, x: m.a(x) - m.b(x).amax(1, keepdim=True) + m.a(x).amin(1)[:, None],
    "one number a sample": lambda m, x: m.head(m.a(x)).sum(1),
    "a squeezed column": lambda m, x: m.a(x)[:, 2:3].squeeze(-1),
    "parts": lambda m, x: m.a(x).split([2, 4], 1)[1] * m.b(x)[:, :4],
    "an entry": lambda m, x: m.a(x)[:, -1:] * m.b(x).select(1, 0).unsqueeze(1),
    "a stack": lambda m, x: torch.stack([m.a(x), m.b(x), m.a(x)]).mean(0),
    "inner products": lambda m, x: torch.einsum("bi,bi->b", m.a(x), m.b(x)).unsqueeze(1),
    "outer products": lambda m, x: torch.einsum("bi,bj->bij", m.a(x), x).flatten(1),
    "of every pair": lambda m, x: ((h := m.a(x))[:, :, None] * h[:, None, :]).sum(2),
    "heads": lambda m, x: m.a(x).view(-1, 2, 3).transpose(1, 2).reshape(-1, 6),
    "images": lambda m, x: m.a(x).view(x.size(0), 1, 2, 3),
    "tokens of its own": lambda m, x: (m.table * m.a(x)[:, None]).sum(1),
    "a first token": lambda m, x: torch.cat([m.table[:, :1].expand(x.size(0), -1, -1),
                                             m.a(x)[:, None]], 1).mean(1),
    "zeros": lambda m, x: m.head(torch.max(h := m.a(x), torch.zeros_like(h))),
    "a fixed point": lambda m, x: _iterated(m, m.a(x)),
    "between two": lambda m, x: m.a(x) * ((m.b(x) > -0.5) & (m.b(x) < 0.5)).to(x.dtype),
}  # fmt: skip


def _iterated(m, u):
    z = torch.zeros_like(u)
    for _ in range(3):
        z = torch.tanh(m.c(z) + u)
    return z


def tied():
    module = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    module[2].weight = module[0].weight
    return module


def twice():
    layer = nn.Linear(4, 4)
    return nn.Sequential(layer, nn.Tanh(), layer)


def normed():
    parts = (nn.Linear(4, 5, bias=False), nn.BatchNorm1d(5), nn.Tanh(), nn.LayerNorm(5))
    return nn.Sequential(*parts, nn.Softmax(dim=-1), nn.Unflatten(1, (5, 1)))


def frozen():
    module = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    module[0].requires_grad_(False)
    return module


def tokens(*parts):
    return nn.Sequential(*parts), (3, 4)


MODULES = {
    **{name: (lambda how=how: (Module(how), (WIDTH,))) for name, how in ROWS.items()},
    "tied weights": lambda: (tied(), (4,)),
    "a module twice": lambda: (twice(), (4,)),
    "norms in a row": lambda: (normed(), (4,)),
    "frozen layers": lambda: (frozen(), (4,)),
    "linear over tokens": lambda: tokens(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2)),
    "sums over tokens": lambda: tokens(nn.Linear(4, 5), Module(lambda m, x: x.sum(1))),
    "attention": lambda: (Attention(), (3, 4)),
    "export": lambda: (Checked(), (4,)),
}


def made(name):
    torch.manual_seed(0)
    module, shape = MODULES[name]()
    module = module.double().eval()
    for each in module.modules():
        if isinstance(each, nn.BatchNorm1d):
            each.running_mean.normal_()
            each.running_var.uniform_(0.5, 2)
    return module, torch.randn(5, *shape, dtype=torch.float64)


@pytest.mark.parametrize("name", MODULES)
def test_value_and_gradients_are_autograds(name):
    module, X = made(name)
    net, params = pb.from_torch(module, nn.MSELoss(), example=X[:2])
    output = module(X)
    close(net.predict(params, X.numpy()), output.detach().numpy())
    Y = torch.ones_like(output)
    value, grads = net.value_and_grad(params, X.numpy(), Y.numpy())
    loss = F.mse_loss(output, Y)
    loss.backward()
    assert value == pytest.approx(loss.item(), rel=1e-12)
    for parameter, grad in grads.items():
        theirs = module.get_parameter(parameter).grad
        close(grad, np.zeros_like(grad) if theirs is None else theirs.numpy(), tight=1e-11)
    used = {n for n, p in module.named_parameters() if p.grad is not None}
    assert used <= set(grads)
    state = module.state_dict()
    assert all(np.array_equal(state[key].numpy(), value) for key, value in params.items())


@pytest.mark.parametrize("name", ["batch norm", "a mask", "features of a buffer", "frozen layers"])
def test_buffers_and_frozen_parameters_stay_as_they_are(name):
    module, X = made(name)
    net, params = pb.from_torch(module, nn.MSELoss(), example=X)
    trained = {n for n, p in module.named_parameters() if p.requires_grad}
    fixed = set(params) - trained
    assert fixed
    assert set(net.trained) == set(params) - fixed
    drawn = net.init(seed=3)
    Y = np.zeros_like(net.predict(params, X.numpy()))
    result = pb.fit(net, X.numpy(), Y, params, epochs=2, batch_size=None, progress=False,
                    engine="numpy")  # fmt: skip
    for each in fixed:
        assert np.array_equal(drawn[each], params[each])
        assert np.array_equal(result.params[each], params[each])
    assert pb.check(net, params, X.numpy(), Y).ok


PAIR = torch.randn(5, WIDTH, dtype=torch.float64), torch.randn(5, WIDTH, dtype=torch.float64)


@pytest.mark.parametrize("form", [tuple, list, lambda pair: dict(zip("xy", pair, strict=True))])
def test_several_inputs(form):
    torch.manual_seed(0)
    module = Two(lambda m, x, y: m.head(m.a(x) * m.b(y))).double()
    net, params = pb.from_torch(module, nn.MSELoss(), example=form([each[:1] for each in PAIR]))
    assert list(net.xs) == ["x", "y"]
    given = {"x": PAIR[0].numpy(), "y": PAIR[1].numpy()}
    output = module(*PAIR)
    close(net.predict(params, given), output.detach().numpy())
    _, grads = net.value_and_grad(params, given, np.zeros(output.shape))
    F.mse_loss(output, torch.zeros_like(output)).backward()
    for name, grad in grads.items():
        close(grad, module.get_parameter(name).grad.numpy())


def test_an_input_with_a_default_is_one_if_it_is_given():
    module = Two(lambda m, x, y: m.a(x) + m.b(y)).double()
    shift = torch.randn(5, 1, dtype=torch.float64)
    net, params = pb.from_torch(module, nn.MSELoss(), example=(*PAIR, shift))
    assert list(net.xs) == ["x", "y", "shift"]
    given = tuple(each.numpy() for each in (*PAIR, shift))
    close(net.predict(params, given), module(*PAIR, shift).detach().numpy())


@pytest.mark.parametrize(
    ("example", "words"),
    [
        (PAIR[:1], "takes x, y, shift"),
        ({"x": PAIR[0]}, "takes x, y, shift"),
        ({"x": PAIR[0], "z": PAIR[1]}, "x, z; the module takes x, y, shift"),
        (PAIR[0], r"takes 2 inputs: x, y; give example=\(x, y\)"),
        ((PAIR[0], PAIR[1][:, :3]), "takes 4 features, but 3 come in"),
    ],
    ids=["too few", "too few by name", "another name", "one array", "another width"],
)
def test_other_inputs_than_the_module_takes(example, words):
    module = Two(lambda m, x, y: m.head(m.a(x) * m.b(y))).double()
    with pytest.raises(ConversionError, match=words):
        pb.from_torch(module, nn.MSELoss(), example=example)


def test_one_of_several_outputs():
    by_place = Module(lambda m, x: (m.a(x), m.b(x).tanh())).double()
    by_name = Module(lambda m, x: {"mean": m.a(x), "spread": m.b(x).exp()}).double()
    X = PAIR[0]
    for module, output in ((by_place, 0), (by_place, 1), (by_name, "mean"), (by_name, "spread")):
        net, params = pb.from_torch(module, nn.MSELoss(), example=X, output=output)
        close(net.predict(params, X.numpy()), module(X)[output].detach().numpy())
        assert len(params) == 2
    for module, output in ((by_place, 2), (by_place, "mean"), (by_name, "x")):
        with pytest.raises(ConversionError, match="the module has no output"):
            pb.from_torch(module, nn.MSELoss(), example=X, output=output)
    with pytest.raises(ConversionError, match="gives back one tensor"):
        pb.from_torch(Module(lambda m, x: m.a(x)), nn.MSELoss(), example=X, output=1)


def test_equations_are_named_by_the_modules_path():
    module = Module(lambda m, x: m.head(m.norm(F.gelu(m.a(x)) + m.b(x)))).double()
    net, _ = pb.from_torch(module, nn.MSELoss(), example=PAIR[0])
    names = {each.name for each in net.graph.equations}
    assert {"z.a", "a.gelu", "z.b", "a.add", "stat.norm.mean", "a.norm", "z.head"} <= names


def test_an_imported_network_can_be_copied_and_pickled():
    module, X = made("heads")
    net, params = pb.from_torch(module, nn.MSELoss(), example=X)
    expected = net.predict(params, X.numpy())
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):  # noqa: S301  our own
        assert np.array_equal(other.predict(params, X.numpy()), expected)
