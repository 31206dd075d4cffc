"""A part that has no law is measured, and the laws go on before and behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from networks import inputs, labels, values

import pullback as pb
from pullback.ir import Contract
from pullback.ir.build import multiply
from pullback.moments.law.measured.measure import MeasuredPart, measure
from pullback.moments.law.setting import Setting
from pullback.moments.law.units import Placed
from pullback.nn import Block

HE = pb.init.he()


def setting_of(net, samples=12, scheme=HE):
    rng = np.random.default_rng(3)
    shape = [axis.size for axis in net.x.axes[1:]]
    X = rng.normal(size=(samples, *shape))
    Y = np.arange(samples) % net.output.axes[-1].size
    return Setting.of(net, X, Y, scheme)


def network(*blocks, x="features=64", loss=None):
    return pb.Network(pb.Sequential(*blocks), loss or pb.CrossEntropy(), x=x)


WITH_LAWS = {
    "activation": (network(pb.Linear(64, 200), pb.Tanh(), pb.Linear(200, 3)), 0.02),
    "norm": (network(pb.Linear(64, 200), pb.LayerNorm(200), pb.Linear(200, 3)), 0.02),
    "gate": (network(pb.Linear(64, 256), pb.GLU(), pb.Linear(128, 3)), 0.02),
    "dropout": (network(pb.Linear(64, 200), pb.Dropout(0.2), pb.Linear(200, 3)), 0.02),
    "mean pool": (
        network(pb.Conv2d(3, 64, 3, padding=1), pb.AvgPool2d(2), pb.Flatten(), pb.Linear(256, 3),
                x="channels=3 height=4 width=4"), 0.02,
    ),
    "max pool": (
        network(pb.Conv2d(3, 64, 3, padding=1), pb.MaxPool2d(2), pb.Flatten(), pb.Linear(256, 3),
                x="channels=3 height=4 width=4"), 0.05,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WITH_LAWS)
def test_what_has_a_law_is_measured_to_be_that(name):
    """E a, E a² and E aa′ of pairs, and E δ² in front, within the Monte Carlo error.

    A max pool's law takes one correlation for a window, and may be off by more.
    """
    net, least = WITH_LAWS[name]
    flow = setting_of(net).flow
    equation = next(e for e in flow.passed if e.label.place == "1")
    law = flow.passed[equation]
    measured = measure(flow._part(equation, flow._forward), flow._drawing(flow.known))
    average, one, two = flow.average, measured.units.law, law.units.law
    size = average(two.second).mean()
    assert average(one.second).mean() == pytest.approx(size, rel=max(5 * measured.error, least))
    assert np.abs(average(one.mean) - average(two.mean)).max() < 0.05 * np.sqrt(size)
    if two.pairs is not None:
        apart = np.abs(average(one.pairs[0]) - average(two.pairs[0])).max()
        assert apart < 0.08 * average(two.second).max()
    ones = np.ones_like(two.second)
    error = Placed(two.kept, 0 * ones, ones)
    errors = measured.errors(error)
    node, back = next(found for found in law.backward(error) if found[0] in errors)
    found, expected = errors[node], average(back.second).mean()
    assert average(found.law.second).mean() == pytest.approx(
        expected, rel=max(5 * found.error, least)
    )


def test_only_the_part_without_a_law_is_measured():
    net = network(pb.Linear(64, 128), pb.ReLU(), pb.Linear(128, 128), pb.Softmax(),
                  pb.Linear(128, 128), pb.ReLU(), pb.Linear(128, 3))  # fmt: skip
    X, Y = inputs(40, 64), labels(40, 3)
    f = pb.forecast(net, X, Y, HE, ("independence", "monte_carlo"), draws=200, progress=False)
    kinds = [layer.delta_ms["independence"].kind for layer in f.layers]
    assert kinds == ["approximation", "measured", "approximation", "approximation"]
    assert "a.3: its softmax is of no scores of attention" in f.layers[0].best.assumption
    for layer in f.layers:
        value = layer.delta_ms["independence"]
        assert value == pytest.approx(layer.delta_ms["monte_carlo"], rel=0.3)
        assert (value.interval is not None) == (value.kind == "measured")
    assert f.verdict == "vanishing"
    assert "measured" in f.text()


@dataclass(frozen=True)
class Met(Block):
    """z = (V x) · (W x), summed over groups of two: a product that is no attention."""

    def build(self, x, at):
        out, pair = at.axis("units", 16), at.axis("pair", 8)
        left, right = (
            at.z(Contract((x, at.parameter(n, (out, pair, x.axes[-1]))), (x.axes[0], out, pair)), n)
            for n in ("left", "right")
        )
        return at.z(Contract((left, right), (x.axes[0], out)), "met")


def test_a_layer_without_a_law_is_measured_with_its_signal():
    net = network(Met(), pb.Tanh(), pb.Linear(16, 3))
    X, Y = inputs(40, 64), labels(40, 3)
    f = pb.forecast(net, X, Y, HE, ("independence", "monte_carlo"), draws=300, progress=False)
    by_name = {layer.name: layer for layer in f.layers}
    assert by_name["0.met"].q.kind == "measured"
    low, high = by_name["0.met"].q.interval
    assert 0.9 * low < by_name["0.met"].z_ms_measured < 1.1 * high
    for name in ("0.left", "0.right"):
        value = by_name[name].delta_ms["independence"]
        assert value.kind == "measured"
        assert value == pytest.approx(by_name[name].delta_ms["monte_carlo"], rel=0.25)


@dataclass(frozen=True)
class Own(Block):
    """x · softmax(x): both sides are the same units."""

    def build(self, x, at):
        return at.a(multiply(x, at.inside("inner").build(pb.Softmax(), x)))


def test_sides_that_share_units_are_drawn_together():
    net = network(pb.Linear(64, 64), Own(), pb.Linear(64, 3))
    setting = setting_of(net, scheme=pb.init.lecun())
    flow = setting.flow
    equation = next(e for e in flow.passed if e.label.place == "1")
    law = flow.passed[equation]
    assert isinstance(law, MeasuredPart)
    assert [leaf.name for leaf in law.part.leaves] == ["z.0"]
    z = np.random.default_rng(0).normal(size=(4000, 64))
    share = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    assert flow.average(law.units.law.mean) == pytest.approx((z * share).mean(), rel=0.15)


def test_a_frozen_feature_map_hands_its_error_to_the_z_in_front():
    """Fourier features of given data: δ at B x, through sines of the numbers themselves."""

    @dataclass(frozen=True)
    class Frozen(Block):
        def build(self, x, at):
            weight = at.parameter(
                "B",
                (at.axis("units", 32), x.axes[-1]),
                np.linspace(-1, 1, 128).reshape(32, 4),
                trained=False,
            )
            return at.z(Contract((x, weight), (x.axes[0], weight.axes[0])))

    net = network(Frozen(), pb.Activation("sin(x)"), pb.Linear(32, 64), pb.ReLU(),
                  pb.Linear(64, 3), x="features=4")  # fmt: skip
    X, Y = inputs(40, 4), labels(40, 3)
    f = pb.forecast(net, X, Y, HE, ("independence", "monte_carlo"), draws=300, progress=False)
    first = f.layers[0].delta_ms
    assert first["independence"].kind == "measured"
    assert first["independence"] == pytest.approx(first["monte_carlo"], rel=0.1)


def test_a_statistic_over_samples_is_no_part():
    """Batch norm of three samples has no law, and draws of one sample each are none either."""
    net = network(pb.Linear(64, 8), pb.BatchNorm1d(8), pb.ReLU(), pb.Linear(8, 3))
    f = pb.forecast(net, inputs(3, 64), labels(3, 3), HE, ("independence",), progress=False)
    assert {layer.best.kind for layer in f.layers} == {"measured"}
    assert "fewer than 4 samples" in f.theory.why_not


def test_equal_seeds_give_equal_parts():
    net = network(pb.Linear(64, 32), pb.Softmax(), pb.Linear(32, 3))
    X, Y = inputs(20, 64), values(20, 3)
    one, two, other = (
        pb.forecast(net, X, np.abs(Y).argmax(1), HE, ("independence",), seed=seed).layers[0].best
        for seed in (0, 0, 1)
    )
    assert float(one) == float(two) != float(other)
