"""Attention and loops in networks: the flow of laws, beside networks drawn and torch's modules."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import pullback as pb
from pullback.ir import Axis, Contract, Rename
from pullback.moments.law.setting import Setting
from pullback.moments.law.theory import Theory
from pullback.nn import Block

HE, TORCH = pb.init.he(), pb.init.torch_default()


def data(shape, outputs, seed=0):
    """Inputs, and targets so large that an error hardly depends on the output."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape), 10 * rng.normal(size=outputs)


def both(block, x, X, Y, scheme, draws=120):
    """RMS δ of every layer by law and in networks drawn."""
    net = pb.Network(block, pb.SquaredError(), x=x)
    methods = ("independence", "monte_carlo")
    found = pb.forecast(net, X, Y, scheme, methods, draws=draws, progress=False)
    assert {layer.best.kind for layer in found.layers} == {"approximation"}
    return [
        (layer.name, np.sqrt([float(layer.delta_ms[m]) for m in methods])) for layer in found.layers
    ]


def close(found, within=0.15):
    for name, (law, measured) in found:
        assert law == pytest.approx(measured, rel=within), name


@pytest.mark.parametrize("causal", [False, True])
def test_errors_behind_attention(causal):
    X, Y = data((8, 10, 64), (8, 10, 3))
    block = pb.Sequential(pb.MultiheadAttention(64, 2, causal=causal), pb.Linear(64, 3))
    close(both(block, "tokens=10 features=64", X, Y, TORCH))


def test_a_profile_over_the_tokens_of_causal_attention():
    X, Y = data((8, 10, 64), (8, 10, 3))
    block = pb.Sequential(pb.MultiheadAttention(64, 2, causal=True), pb.Linear(64, 3))
    net = pb.Network(block, pb.SquaredError(), x="tokens=10 features=64")
    theory = Theory(Setting.of(net, X, Y, TORCH))
    names = [layer.name for layer in theory.setting.layers]
    (axis,), profile = theory.profile(names.index("0.value"))
    assert axis.name == "tokens"
    assert (np.diff(profile) < 0).all()
    assert profile[0] > 3 * profile[-1]


def test_an_encoder():
    X, Y = data((8, 8, 64), (8, 8, 3))
    layer = pb.TransformerEncoderLayer(64, 4, 128, dropout=0.0)
    close(both(pb.Sequential(layer, pb.Linear(64, 3)), "tokens=8 features=64", X, Y, HE), 0.2)


def test_padding_gets_no_error():
    net = pb.Network(
        pb.Sequential(pb.MultiheadAttention(16, 2), pb.Linear(16, 3)),
        pb.SquaredError(),
        x={"query": "tokens=6 features=16", "key_padding_mask": "keys=6:index"},
    )
    X, Y = data((4, 6, 16), (4, 6, 3))
    padded = np.zeros((4, 6), int)
    padded[:, 4:] = 1
    setting = Setting.of(net, {"query": X, "key_padding_mask": padded}, Y, TORCH)
    theory = Theory(setting)
    names = [layer.name for layer in setting.layers]
    _, profile = theory.profile(names.index("0.value"))
    assert (profile[:4] > 0).all()
    assert not profile[4:].any()


CELLS = {
    "RNN": pb.RNN(48, 48),
    "GRU": pb.GRU(48, 48),
    "LSTM, last": pb.LSTM(48, 48, output="last"),
    "two layers, both ways": pb.GRU(48, 48, num_layers=2, bidirectional=True, output="last"),
}


@pytest.mark.parametrize("name", CELLS)
def test_errors_behind_a_loop(name):
    block = CELLS[name]
    last = block.output == "last"
    X, Y = data((8, 6, 48), (8, 3) if last else (8, 6, 3))
    width = 48 * block.ways
    close(both(pb.Sequential(block, pb.Linear(width, 3)), "time=6 features=48", X, Y, TORCH))


class Last(nn.Module):
    """An LSTM, and a Linear on its last state."""

    def __init__(self, forget: float) -> None:
        super().__init__()
        self.cell, self.out = nn.LSTM(64, 64, batch_first=True), nn.Linear(64, 3)
        self.cell.bias_hh_l0.data[64:128] = forget

    def forward(self, x):
        return self.out(self.cell(x)[0][:, -1])


class Mean(nn.Module):
    """Attention to itself, and a Linear on the mean of the tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(64, 4, batch_first=True)
        self.out = nn.Linear(64, 3)

    def forward(self, x):
        return self.out(self.attend(x, x, x, need_weights=False)[0].mean(1))


@pytest.mark.parametrize(
    "module", [Last(0.0), Last(2.0), Mean()], ids=["LSTM", "open", "attention"]
)
def test_modules_of_torch(module):
    """A gate that a bias holds open is seen, gate by gate."""
    torch.manual_seed(0)
    X, Y = data((8, 6, 64), (8, 3))
    found = pb.forecast(module, X, Y, methods=("independence",), loss=nn.MSELoss())
    assert {layer.best.kind for layer in found.layers} == {"approximation"}
    for layer in found.layers:
        rms = np.sqrt(float(layer.delta_ms["independence"]))
        assert rms == pytest.approx(float(layer.rms_measured), rel=0.2), layer.name


def test_a_product_that_is_no_attention_is_measured():
    class Similar(Block):
        """Σ_d u v of two Linear layers: no softmax."""

        def build(self, x, at):
            u, v = (at.inside(n).build(pb.Linear(4, 4), x) for n in "uv")
            tokens, other = u.axes[1], Axis("other", u.axes[1].size)
            v = Rename(v, ((tokens, other), (v.axes[-1], u.axes[-1])))
            return at.z(Contract((u, v), (u.axes[0], tokens, other)))

    net = pb.Network(Similar(), pb.SquaredError(), x="tokens=3 features=4")
    X, Y = data((4, 3, 4), (4, 3, 3))
    f = pb.forecast(net, X, Y, TORCH, ("independence", "monte_carlo"), progress=False)
    assert "it is a product of equations, and not attention" in f.layers[0].best.assumption
    for layer in f.layers:
        found = layer.delta_ms
        assert found["independence"] == pytest.approx(found["monte_carlo"], rel=0.15)


class ClassToken(nn.Module):
    """A token of its own in front of the others, a skip, and a head on it alone."""

    def __init__(self, width=128):
        super().__init__()
        self.cls, self.read = nn.Parameter(3 * torch.randn(width)), nn.Linear(16, width)
        self.up, self.down = nn.Linear(width, width), nn.Linear(width, width)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 3)

    def forward(self, x):
        h = torch.cat([self.cls.expand(len(x), 1, -1), self.read(x)], 1)
        h = h + self.down(torch.relu(self.up(h)))
        return self.head(self.norm(h[:, 0]))


def test_a_token_that_is_put_in_front_has_a_place_of_its_own():
    torch.manual_seed(0)
    module, rng = ClassToken().double(), np.random.default_rng(0)
    X, Y = rng.normal(size=(12, 4, 16)), np.arange(12) % 3
    methods = ("independence", "monte_carlo")
    f = pb.forecast(module, X, Y, methods=methods, draws=100, progress=False)
    flow = f.theory.flow
    (joined,) = (node for node in flow.passed if node.name == "a.cat")
    places = flow.average(flow.known[joined].law.second)
    assert places[0] == pytest.approx(float(module.cls.square().mean()))
    assert (places[1:] < 1).all()
    for layer in f.layers:
        found = layer.delta_ms
        assert found["independence"] == pytest.approx(found["monte_carlo"], rel=0.3), layer.name


def test_rows_of_a_table_that_a_module_holds_are_those_rows():
    """Some rows may be larger than the table is on average."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Embedding(10, 64), nn.Flatten(), nn.Linear(192, 3)).double()
    with torch.no_grad():
        module[0].weight[:5] *= 10
    X, Y = np.arange(12).reshape(4, 3) % 5, np.arange(4) % 3
    f = pb.forecast(module, X, Y, methods=("independence",), progress=False)
    flow = f.theory.flow
    (rows,) = (node for node in flow.passed if node.name == "z.0")
    table = module[0].weight.detach().numpy()
    assert flow.average(flow.known[rows].law.second).mean() == pytest.approx(
        (table[X] ** 2).mean(), rel=1e-9
    )


class Translator(nn.Module):
    """A GRU that starts where another one ended."""

    def __init__(self, width=64):
        super().__init__()
        self.source, self.target = nn.Linear(8, width), nn.Linear(8, width)
        self.encoder = nn.GRU(width, width, batch_first=True)
        self.decoder = nn.GRU(width, width, batch_first=True)
        self.out = nn.Linear(width, 3)

    def forward(self, x):
        _, state = self.encoder(self.source(x))
        return self.out(self.decoder(self.target(x[:, -2:]), state)[0][:, -1])


def test_a_loop_hands_its_error_to_the_state_that_it_starts_from():
    torch.manual_seed(0)
    module, (X, Y) = Translator().double(), data((8, 4, 8), (8, 3))
    methods = ("independence", "monte_carlo")
    f = pb.forecast(module, X, Y, methods=methods, draws=100, loss=nn.MSELoss(), progress=False)
    close([(x.name, np.sqrt([float(x.delta_ms[m]) for m in methods])) for x in f.layers], 0.1)


def test_features_that_a_norm_of_the_data_hands_on_are_averaged_over():
    """Tokens then have correlations that are followed, and 12 features are not 12 places."""
    X, Y = data((8, 6, 12), (8, 6, 3))
    read = pb.LayerNorm(12), pb.SiLU(), pb.Linear(12, 64)
    net = pb.Network(
        pb.Sequential(*read, pb.ReLU(), pb.Linear(64, 3)),
        pb.SquaredError(),
        x="tokens=6 features=12",
    )
    flow = Theory(Setting.of(net, X, Y, HE)).flow
    for law in flow.passed.values():
        assert [axis.name for axis in law.units.law.kept] == ["tokens"]
        assert law.units.law.pairs is not None


class Masked(nn.Module):
    """Attention with a mask that the module holds."""

    def __init__(self, mask):
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(32, 32) for _ in range(4))
        self.register_buffer("mask", mask)

    def forward(self, x):
        parts = (part(x) for part in (self.q, self.k, self.v))
        heads = nn.functional.scaled_dot_product_attention(*parts, attn_mask=self.mask)
        return self.out(heads.mean(1))


@pytest.mark.parametrize("reach", [6, 1], ids=["causal", "band"])
def test_a_mask_that_a_module_holds(reach):
    """A causal one has a law; the rows of a band are not parts of each other: measured."""
    torch.manual_seed(0)
    back = torch.arange(6)[:, None] - torch.arange(6)
    module, (X, Y) = Masked((back >= 0) & (back <= reach)).double(), data((8, 6, 32), (8, 32))
    methods = ("independence", "monte_carlo")
    f = pb.forecast(module, X, Y, methods=methods, draws=100, loss=nn.MSELoss(), progress=False)
    value = next(layer.delta_ms["independence"] for layer in f.layers if layer.name == "v")
    assert value.kind == ("approximation" if reach == 6 else "measured")
    why = "its mask has rows that are not parts of each other"
    assert any(why in each for each in f.theory.assumptions) == (reach == 1)
    close([(x.name, np.sqrt([float(x.delta_ms[m]) for m in methods])) for x in f.layers], 0.2)


def test_attention_that_drops_weights_is_measured():
    """Dropout between a softmax and its values: their rows no longer sum to 1."""
    X, Y = data((8, 6, 32), (8, 6, 3))
    block = pb.Sequential(pb.MultiheadAttention(32, 2, dropout=0.3), pb.Linear(32, 3))
    net = pb.Network(block, pb.SquaredError(), x="tokens=6 features=32")
    methods = ("independence", "monte_carlo")
    f = pb.forecast(net, X, Y, TORCH, methods, draws=150, progress=False)
    kinds = {layer.name: layer.delta_ms["independence"].kind for layer in f.layers}
    assert {kinds[f"0.{part}"] for part in ("query", "key", "value")} == {"measured"}
    assert any("no law is known for a part" in each for each in f.theory.assumptions)
    close([(x.name, np.sqrt([float(x.delta_ms[m]) for m in methods])) for x in f.layers], 0.2)


def test_attention_of_one_head_has_the_law_of_several():
    """An axis of one entry is no place beside the tokens."""
    X, Y = data((8, 6, 64), (8, 6, 3))
    block = pb.Sequential(pb.MultiheadAttention(64, 1), pb.Linear(64, 3))
    close(both(block, "tokens=6 features=64", X, Y, TORCH))
