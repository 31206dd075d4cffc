"""The forecast of any network: by the laws of its equations, or drawn, and the numbers say so."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest
from general_networks import GENERAL, IN_TRAINING, Frozen, Gated
from matrix_networks import BY_HAND, told
from networks import inputs, labels, values

import pullback as pb
from pullback.errors import ConfigError, NotApplicableError
from pullback.ir import Scan
from pullback.moments.law.setting import Setting
from pullback.moments.sampling.draws import Ensemble
from pullback.nn import Block

LAW = {"frozen weight"}  # a chain of Linear blocks, however they were written
WITHOUT_Z = {"layer norm alone", "unnamed alone"}
ANALYTIC = ("independence", "exact", "coupled", "finite_width")
EVERY = [*GENERAL, *IN_TRAINING, *BY_HAND]
BY_NAME = {each.name: each for each in GENERAL}


def data(case):
    return case.data if case in BY_HAND else (case.X, case.Y)


def drawn(net, X, Y, scheme=None, **more):
    return pb.forecast(net, X, Y, scheme, draws=20, progress=False, **more)


@pytest.mark.parametrize("case", EVERY, ids=repr)
def test_every_network_is_forecast_or_refused_with_a_reason(case):
    X, Y = data(case)
    if case.name in WITHOUT_Z:
        with pytest.raises(ConfigError, match="no other equation z"):
            drawn(case.net, X, Y)
        return
    f = drawn(case.net, X, Y)
    assert any("δ of each depends on all" in x for x in f.assumptions) == bool(case.net.several)
    # an equation within a loop has a value at every turn: it is no layer
    names = [
        each.label.place
        for each in case.net.equations.values()
        if each.role == "z" and not isinstance(each.arg, Scan)
    ]
    assert sorted(layer.name for layer in f.layers) == sorted(names)
    sizes = [axis.size for axis in f.setting.layers[-1].equation.axes[1:]]
    assert f.layers[-1].n_out == np.prod(sizes)
    text, plain = f.text(), json.dumps(f.to_dict(), allow_nan=False)
    assert f._repr_html_()
    assert f.advice.text()
    for kind in ("depth", "signal"):
        assert f.plot(kind).data
    if case.name in LAW:
        assert f.layers[0].best.kind in ("law", "limit")
        assert not f.assumptions
        return
    kinds = {layer.best.kind for layer in f.layers}
    if f.theory.why_not is not None:
        assert kinds == {"measured"}
        assert "every number is measured" in " ".join(text.split())
        assert "no law is known for this network (" in plain
    else:
        assert kinds <= {"limit", "approximation", "measured"}
        assert "every number is measured" not in " ".join(text.split())
    for method in ANALYTIC[f.theory.why_not is None :]:
        with pytest.raises(NotApplicableError, match=r"no law is known|chains|Linear"):
            f.layers[0].delta_ms[method]
    again = pb.forecast(case.net, X, Y, methods="coupled", draws=3, progress=False)
    assert {layer.best.kind for layer in again.layers} == kinds
    for reader in (lambda: f.explain(0), lambda: f.integral(0, draws=5)):
        assert "it is for Linear" in told(reader)[1]


@pytest.mark.parametrize("case", EVERY, ids=repr)
def test_many_networks_at_once_are_the_network_traced_one_by_one(case):
    """Each draw with samples of its own: z to the last digits, δ of a sample before the mean."""
    if case.name in WITHOUT_Z or case.net.several:
        return
    setting = Setting.of(case.net, *data(case), pb.init.normal(std=1.3, mean=0.4, bias_std=0.5))
    rng = np.random.default_rng(5)
    ensemble = setting.ensemble
    params = ensemble.draw(setting.scheme, 3, rng)
    chosen = rng.integers(setting.samples, size=(3, 4))
    batch = {name: value[chosen] for name, value in setting.batch.items()}
    noise = ensemble.noise(batch, rng)
    found = ensemble(params, {**batch, **noise})
    share = 4 if case.net.criterion.reduction == "mean" else 1
    for at in range(3):
        one = {n: p if n in ensemble.fixed else p[at] for n, p in params.items()}
        X = {name: batch[name][at] for name in case.net.xs}
        held = {name: value[at] for name, value in noise.items()}
        trace = case.net.trace(one, X, batch["target"][at], noise=held)
        for layer in setting.layers:
            z, delta = found.z[layer.index][at], found.delta[layer.index][at]
            np.testing.assert_allclose(z, trace.z[layer.name], rtol=1e-11, atol=1e-12)
            if layer.name in trace.delta:
                expected = share * trace.delta[layer.name]
                scale = max(np.abs(expected).max(), 1e-300)
                np.testing.assert_allclose(delta, expected, rtol=1e-9, atol=1e-12 * scale)


@pytest.mark.parametrize(
    "name", ["gated", "attention over tokens", "two inputs", "one weight twice", "whole numbers",
             "layer norm", "pixels"]
)  # fmt: skip
def test_what_is_drawn_has_the_moments_of_networks_drawn_one_by_one(name):
    """E δ² of every z, by ``net.init`` and ``net.trace`` in a plain loop."""
    case, scheme = BY_NAME[name], pb.init.normal(std=1.2, bias_std=0.3)
    f = pb.forecast(case.net, case.X, case.Y, scheme, "monte_carlo", 4000, progress=False)
    squares = []
    for seed in range(250):
        trace = case.net.trace(case.net.init(seed, scheme), case.X, case.Y)
        squares.append([(trace.delta[x.name] ** 2).mean() for x in f.layers])
    share = len(case.Y) if case.net.criterion.reduction == "mean" else 1
    by_loop = share**2 * np.array(squares)
    error = by_loop.std(axis=0, ddof=1) / np.sqrt(len(by_loop))
    for layer, mean, doubt in zip(f.layers, by_loop.mean(axis=0), error, strict=True):
        assert abs(layer.delta_ms["monte_carlo"] - mean) < 4.5 * doubt, layer.name


def gates(depth, width=16):
    blocks = [block for _ in range(depth) for block in (Gated(width), pb.Tanh())]
    return pb.Network(pb.Sequential(pb.Linear(8, width), *blocks, pb.Linear(width, 3)),
                      loss=pb.CrossEntropy())  # fmt: skip


def test_a_network_of_gates_that_vanishes_is_called_so_and_named_a_cause():
    net, X, Y = gates(6), inputs(40, 8), labels(40, 3)
    f = drawn(net, X, Y, pb.init.normal(std=0.3))
    assert (f.verdict, f.cause) == ("vanishing", "gain")
    assert f.advice.offered
    better = drawn(net, X, Y, f.advice.scheme)
    assert f.ratio < better.ratio == pytest.approx(f.advice.after)
    with pytest.raises(AssertionError, match="Vanishing"):
        pb.assert_gradients_ok(net, X, Y, scheme=pb.init.normal(std=0.3))


def test_a_norm_in_front_of_each_layer_keeps_gradients_and_the_assertion_says_nothing():
    net = pb.Network(
        pb.Sequential(pb.Linear(8, 16), pb.LayerNorm(16), pb.Tanh(), pb.Linear(16, 3)),
        loss=pb.CrossEntropy(),
    )
    pb.assert_gradients_ok(net, inputs(40, 8), labels(40, 3))


def test_what_starts_as_a_constant_is_not_drawn():
    """A norm's gain of 1 and bias of 0, under a scheme of wild biases too."""
    case = BY_NAME["layer norm"]
    setting = Setting.of(case.net, case.X, case.Y, pb.init.normal(bias_std=50.0))
    params = setting.ensemble.draw(setting.scheme, 2, np.random.default_rng(0))
    assert params["1.weight"].tolist() == [1.0] * 6
    assert params["1.bias"].tolist() == [0.0] * 6
    assert params["0.bias"].shape == (2, 6)


def test_a_frozen_weight_that_is_known_is_what_every_draw_has():
    net = pb.Network(pb.Sequential(Frozen(5), pb.Tanh(), pb.Linear(5, 2)), loss=pb.SquaredError(),
                     x="features=4")  # fmt: skip
    held = net.init(0, pb.init.normal(std=2.0, bias_std=1.0))
    X, Y = inputs(20, 4), values(20, 2)
    setting = Setting.of(net, X, Y, pb.init.he(), held)
    for scheme in (pb.init.he(), pb.init.lecun()):
        params = setting.under(scheme).ensemble.draw(scheme, 3, np.random.default_rng(1))
        assert (params["0.weight"] == held["0.weight"]).all()
        assert params["2.weight"].shape == (3, 2, 5)
    now, then = setting.weights, setting.under(pb.init.glorot()).weights
    assert now[0] == then[0]
    assert now[1] != then[1]
    advice = drawn(net, X, Y).advice
    assert "0.weight" not in {spec.name for spec in advice.specs}


@dataclass(frozen=True)
class Deep(Block):
    """Two layers inside a branch, the last of them with weights of 0 under no scheme."""

    width: int

    def build(self, x, at):
        inner = pb.Sequential(pb.Linear(self.width, self.width), pb.Tanh(),
                              pb.Linear(self.width, self.width))  # fmt: skip
        return at.inside("block").build(pb.Residual(inner, 0.5), x)


def test_layers_behind_another_are_those_whose_every_way_passes_it():
    net = pb.Network(
        pb.Sequential(pb.Linear(4, 6), Deep(6), Gated(6), pb.Linear(6, 2)), loss=pb.SquaredError()
    )
    setting = Setting.of(net, inputs(5, 4), values(5, 2), pb.init.he())
    assert isinstance(setting.ensemble, Ensemble)
    index = {layer.name: layer.index for layer in setting.layers}
    behind = setting.ensemble.behind
    first, second = (index[f"1.block.block.{at}"] for at in (0, 2))
    assert behind[second] == (first,)
    assert behind[first] == ()
    assert set(behind) == {first, second, index["2.value"], index["2.gate"]}


def test_equal_seeds_give_equal_bits():
    case = BY_NAME["attention over tokens"]
    one, two, other = (
        pb.forecast(case.net, case.X, case.Y, None, "monte_carlo", 30, seed, progress=False)
        for seed in (3, 3, 4)
    )
    assert one.to_dict() == two.to_dict()
    assert one.layers[0].delta_ms["monte_carlo"] != other.layers[0].delta_ms["monte_carlo"]


def test_a_weight_of_three_axes_is_drawn_orthogonal_from_its_rows():
    case = BY_NAME["pixels"]
    weight = case.net.init(0, pb.init.orthogonal(gain=2.0))["0.weight"].reshape(4, 6)
    np.testing.assert_allclose(weight @ weight.T, 4 * np.eye(4), atol=1e-12)
    f = drawn(case.net, case.X, case.Y, pb.init.orthogonal())
    assert f.layers[0].delta_ms["monte_carlo"] > 0


def test_a_bias_is_drawn_for_as_many_inputs_as_its_weight_has():
    """torch's default is uniform in ±1/√n_in for both."""
    net = pb.Network(pb.Linear(400, 1000), loss=pb.SquaredError())
    bias = net.init(0, pb.init.torch_default())["bias"]
    assert 0.049 < np.abs(bias).max() <= 0.05
