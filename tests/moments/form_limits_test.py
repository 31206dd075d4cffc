"""Laws and limits of forms beside windows and norms, against formulas and networks drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from forms import HE, PIXELS, carried, convolutions, images, second, theory_of
from networks import inputs, labels, values

import pullback as pb
from pullback.ir import Contract, Node, fn, symbol
from pullback.ir.build import scalar_map
from pullback.moments.law.lookup import row_gradient
from pullback.moments.law.setting import Setting
from pullback.moments.law.units import Placed
from pullback.nn import Block


@pytest.mark.parametrize("keep", [0.8, 0.5])
def test_dropout_is_one_over_the_rate_that_is_kept_both_ways(keep):
    blocks = [pb.Linear(8, 32), pb.ReLU(), pb.Dropout(1 - keep), pb.Linear(32, 32)]
    theory = theory_of(blocks, inputs(5, 8), "features=8")
    np.testing.assert_allclose(carried(theory), 1 / keep, rtol=1e-6)
    assert second(theory, "a.2") / second(theory, "a.1") == pytest.approx(1 / keep, rel=1e-6)


def test_rows_of_an_embedding():
    assert row_gradient(64, 5, 1.0) == pytest.approx(12.8)
    assert row_gradient(64, 5, 1.0, 0.3) == pytest.approx(12.8 + 64 * 63 / 25 * 0.3)


@pytest.mark.parametrize(
    ("blocks", "loss", "Y"),
    [
        ([pb.Linear(16, 32), pb.ReLU(), pb.Linear(32, 32), pb.Tanh(), pb.Linear(32, 3)],
         pb.SquaredError(), values(6, 3)),
        ([pb.Linear(16, 32), pb.GELU(), pb.Linear(32, 3), pb.Sigmoid()],
         pb.BCELoss(), 1.0 * (values(6, 3) > 0)),
        ([pb.Linear(16, 32), *(pb.Residual(pb.Sequential(pb.Tanh(), pb.Linear(32, 32)), scale=0.7)
                               for _ in range(2)), pb.Tanh(), pb.Linear(32, 3)],
         pb.CrossEntropy(), labels(6, 3)),
    ],
    ids=["chain", "sigmoid", "skips"],
)  # fmt: skip
def test_chains_and_skips_are_the_special_case(blocks, loss, Y):
    """The recursion for chains and the flow through equations give the same numbers."""
    scheme = pb.init.normal(std=1.3, mean=0.5, bias_std=0.2)
    theory = theory_of(blocks, inputs(6, 16), "features=16", Y, scheme, loss)
    chain, layers = theory.independence, theory.setting.layers
    flow = theory.setting.flow
    order = [int(m[0]) for m in flow.samples.members]
    last = chain[layers[-1].index]
    start = Placed((), last.mean[:-1][order], last.square[:-1][order])
    found = flow.behind(layers[-1].equation, start)
    for layer in layers:
        z, error = theory.z[layer.index], chain[layer.index]
        law = flow.passed[layer.equation].units.law
        np.testing.assert_allclose(law.variance, z.variance[:-1][order], rtol=1e-12)
        np.testing.assert_allclose(
            found[layer.equation].second, error.square[:-1][order], rtol=1e-12
        )
        np.testing.assert_allclose(
            found[layer.equation].mean, error.mean[:-1][order], rtol=1e-9, atol=1e-15
        )
    drawn = flow.average(flow.errors[layers[-1].equation].second)
    assert drawn == pytest.approx(
        theory.error("independence", layers[-1].index, "square"), rel=0.02
    )


@dataclass(frozen=True)
class Product(Block):
    """(V x) · σ(W x) · tanh(U x): a gate of three factors."""

    units: int

    def build(self, x, at):
        out = at.axis("units", self.units)
        sides = (
            at.z(Contract((x, at.parameter(n, (out, x.axes[-1]))), (x.axes[0], out)), n)
            for n in ("value", "gate", "sign")
        )
        a, b, c = map(symbol, range(3))
        return at.a(scalar_map(a * fn("sigmoid")(b) * fn("tanh")(c), *sides))


def test_a_gate_of_three_factors_is_the_product_of_their_moments():
    blocks = [Product(32), pb.Linear(32, 2)]
    theory = theory_of(blocks, inputs(1, 16), "features=16", scheme=pb.init.lecun())
    q = (inputs(1, 16) ** 2).mean()
    z = np.linspace(-12, 12, 4001)
    weight, at = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) * (z[1] - z[0]), np.sqrt(q) * z
    sigmoid, tanh = 1 / (1 + np.exp(-at)), np.tanh(at)
    squares = {"value": q, "gate": weight @ sigmoid**2, "sign": weight @ tanh**2}
    slopes = {
        "value": 1.0,
        "gate": weight @ (sigmoid * (1 - sigmoid)) ** 2,
        "sign": weight @ (1 - tanh**2) ** 2,
    }
    assert second(theory, "a.0") == pytest.approx(np.prod([*squares.values()]), rel=1e-6)
    for at, name in enumerate(squares):
        others = np.prod([square for other, square in squares.items() if other != name])
        assert 16 * carried(theory, at) == pytest.approx(slopes[name] * others, rel=1e-6)


C = 96
DRAWN = {
    "convolutions": ([pb.Conv2d(3, C, 3, padding=1), pb.ReLU(), pb.MaxPool2d(2),
                      pb.Conv2d(C, C, 3, padding=1, groups=2), pb.GELU(),
                      pb.AvgPool2d(3, stride=2, padding=1), pb.Conv2d(C, C, 2), pb.Flatten(),
                      pb.Linear(C, 8)], images(), PIXELS, 60),
    "group norms": ([pb.Conv2d(3, C, 3, padding=1), pb.GroupNorm(4, C), pb.ReLU(),
                     pb.Conv2d(C, C, 3, padding=1), pb.ReLU(), pb.AdaptiveAvgPool2d(1),
                     pb.Flatten(), pb.Linear(C, 2)], images(), PIXELS, 60),
    "pre-norm": ([pb.Linear(16, C), *(pb.Residual(pb.Sequential(
        pb.LayerNorm(C), pb.Linear(C, C), pb.ReLU(), pb.Linear(C, C))) for _ in range(3)),
        pb.LayerNorm(C), pb.Linear(C, 2)], inputs(6, 16), "features=16", 100),
    "gates": ([pb.Linear(16, 2 * C), pb.GLU(), pb.Linear(C, 2 * C), pb.GLU(), pb.Linear(C, 2)],
              inputs(6, 16), "features=16", 200),
    "three factors": ([pb.Linear(16, C), Product(C), pb.Linear(C, C), Product(C), pb.Linear(C, 2)],
                      inputs(6, 16), "features=16", 200),
    "transposed": ([pb.Conv1d(5, C, 3, dilation=2), pb.ReLU(),
                    pb.ConvTranspose1d(C, C, 3, stride=2), pb.ReLU(), pb.Conv1d(C, 2, 1)],
                   values(6, 80).reshape(6, 5, 16), "channels=5 time=16", 60),
    "concatenated": ([pb.Linear(16, C), pb.Concat(pb.Linear(C, C), pb.Sequential(
        pb.ReLU(), pb.Linear(C, C))), pb.ReLU(), pb.Linear(2 * C, 2)],
        inputs(6, 16), "features=16", 200),
    "tokens": ([pb.Embedding(20, C), pb.Linear(C, C), pb.ReLU(), pb.Flatten(), pb.Linear(5 * C, 2)],
               np.random.default_rng(3).integers(0, 20, size=(6, 5)), "tokens=5:index", 150),
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWN)
def test_limits_are_those_of_networks_drawn(name):
    """Within 4 standard errors, and 12 % for the width: δ carries the same weights as z."""
    blocks, X, x, draws = DRAWN[name]
    theory = theory_of(blocks, X, x, scheme=pb.init.normal(std=1.2, bias_std=0.3))
    setting, rng = theory.setting, np.random.default_rng(1)
    params = setting.ensemble.draw(setting.scheme, draws, rng)
    batch = {n: np.broadcast_to(v, (draws, *v.shape)) for n, v in setting.batch.items()}
    found = setting.ensemble(params, batch)
    for layer in setting.layers:
        q, mean = theory.signal(layer.index)
        for value, drawn in (
            (q + mean**2, found.z[layer.index]),
            (theory.error("independence", layer.index, "square"), found.delta[layer.index]),
        ):
            each = (drawn**2).reshape(draws, -1).mean(axis=1)
            doubt = 4 * each.std() / np.sqrt(draws) + 0.12 * value
            assert abs(each.mean() - value) < doubt, layer.name


@pytest.mark.parametrize("first", [True, False], ids=["pre-norm", "post-norm"])
def test_a_transformer_is_that_of_networks_drawn(first):
    """Queries' errors have a share of the order of 1/d beside, so those are looser."""
    width, draws = 96, 60
    block = pb.TransformerEncoderLayer(width, 4, 2 * width, norm_first=first, dropout=0.0)
    X = np.random.default_rng(5).normal(size=(6, 5, 16))
    blocks = [pb.Linear(16, width), block, pb.Linear(width, 8)]
    theory = theory_of(blocks, X, "tokens=5 features=16", scheme=pb.init.torch_default())
    setting, rng = theory.setting, np.random.default_rng(1)
    params = setting.ensemble.draw(setting.scheme, draws, rng)
    batch = {n: np.broadcast_to(v, (draws, *v.shape)) for n, v in setting.batch.items()}
    found = setting.ensemble(params, batch)
    for layer in setting.layers:
        q, mean = theory.signal(layer.index)
        error = theory.error("independence", layer.index, "square")
        z, delta = (np.mean(v[layer.index] ** 2) for v in (found.z, found.delta))
        assert q + mean**2 == pytest.approx(z, rel=0.06), layer.name
        loose = "query" in layer.name or "key" in layer.name
        assert error == pytest.approx(delta, rel=0.35 if loose else 0.2), layer.name


def test_a_causal_mask_has_a_profile_over_tokens():
    """The first token reads one value, so its mean square is the largest."""
    X = np.random.default_rng(5).normal(size=(6, 5, 16))
    blocks = [pb.Linear(16, 64), pb.MultiheadAttention(64, 4, causal=True)]
    theory = theory_of(blocks, X, "tokens=5 features=16", scheme=pb.init.lecun())
    heads = second(theory, "a.1.heads")
    assert (np.diff(heads) < 0).all()
    assert heads[0] == pytest.approx(1.0, rel=0.1)


def test_a_forecast_says_limit_and_its_profile():
    X, Y = images(8), labels(8, 10)
    blocks = [*convolutions(3, 16, padding=1), pb.ReLU(), pb.AdaptiveAvgPool2d(1), pb.Flatten(),
              pb.Linear(16, 10)]  # fmt: skip
    net = pb.Network(pb.Sequential(*blocks), pb.CrossEntropy(), x=PIXELS)
    f = pb.forecast(net, X, Y, HE, methods=("independence",), progress=False)
    assert {layer.best.kind for layer in f.layers} == {"limit"}
    assert {layer.q.kind for layer in f.layers} == {"limit"}
    assert not any(isinstance(each, Node) for each in f.assumptions)
    axes, rms = f.theory.profile(0)
    assert [axis.name for axis in axes] == ["height.0", "width.0"]
    assert rms[0, 0] < 0.9 * rms[4, 4]
    shown = " ".join(f.text().split())
    assert f"Layer 0 over height.0 × width.0: RMS δ {rms[0, 0]:.3g} at the first place" in shown


def test_what_the_data_settle_is_no_weight_and_no_crash():
    """A frozen projection in front: its z is known, and no error is asked of it."""
    blocks = [pb.Linear(4, 8), pb.Activation("sin(x)"), pb.Linear(8, 8), pb.ReLU(), pb.Linear(8, 2)]
    net = pb.Network(pb.Sequential(*blocks), pb.SquaredError(), x="features=4")
    setting = Setting.of(net, inputs(5, 4), values(5, 2), HE)
    held = {name: 0.5 * np.ones(shape) for name, shape in (("0.weight", (8, 4)), ("0.bias", (8,)))}
    flow = replace(setting.flow, fixed={**setting.flow.fixed, **held})
    first, second_ = (layer.equation for layer in setting.layers[:2])
    assert first not in flow.passed
    z = inputs(5, 4) @ (0.5 * np.ones((4, 8))) + 0.5
    assert flow.average(flow.known[first].law.second).mean() == pytest.approx((z**2).mean())
    assert flow.errors[second_].second.shape[1:] == ()
