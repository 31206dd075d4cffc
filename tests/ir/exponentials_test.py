"""Spelled-out sums of exponentials are stable: right where they are, and right at 800."""

import re

import numpy as np
import pytest

import pullback as pb
from pullback.ir.axis import Axis
from pullback.ir.evaluate import evaluate
from pullback.ir.language.parse import parse

N, K = Axis("n"), Axis("k")
AXES = {"x": (N, K), "v": (K,), "w": (N,), "u": ()}
TEXTS = (
    "log(sum(exp(x)))",
    "sum(w*log(sum(exp(x), axis='k')))",
    "log(mean(exp(x)))",
    "log(2*sum(exp(x)))",
    "log(sum(exp(x)/3))",
    "log(sum(exp(x)) + 3)",
    "log(1 + sum(exp(x)))",
    "log1p(sum(exp(x)))",
    "log(sum(exp(x)*exp(v)))",
    "log(sum(exp(x)**2))/2",
    "log(sum(exp(x))) - log(sum(exp(2*x)))",
    "log(sum(exp(x)) + sum(exp(v)))",
    "log(sum(v**2*exp(x)))",
    "sum(log(exp(x) @ v**2))",
    "sum(log(sum(w**2*v**2*exp(x), axis='k')))",
    "sum(exp(x)/sum(exp(x), axis='k')*v)",
    "sum(exp(x - u)/sum(exp(x - u))*v)",
    "sum((exp(x)/sum(exp(x), axis='k'))**2)",
    "sum(exp(2*x)/sum(exp(x), axis='k')**2)",
    "sum(w*sum(v*exp(x), axis='k')/sum(exp(x), axis='k'))",
    "sum((exp(x) @ v)/sum(exp(x), axis='k'))",
    "sum(sum(exp(x), axis='k')/sum(v**2*exp(x), axis='k'))",
    "-sum(v*log(exp(x)/sum(exp(x), axis='k')))",
    "sum(w*log(exp(x)/sum(exp(x), axis='n')))",
    "sum(sqrt(exp(x)/sum(exp(x))))",
    "log(sum(exp(x)))*log(sum(exp(x)))",
    "sum(exp(x))/(1 + sum(exp(x)))",
)


def leaves(text, shift=0.0):
    rng = np.random.default_rng(0)
    shapes = {"x": (3, 4), "v": (4,), "w": (3,), "u": ()}
    drawn = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    drawn["x"][1, 2] += shift
    outside = re.sub(r"sum|exp|axis", "", text)
    return {name: value for name, value in drawn.items() if name in outside}


def spelled_out(text, values):
    """The value as it is written, before anything is simplified."""
    return evaluate(parse(text, {name: AXES[name] for name in values}), values)[()]


@pytest.mark.parametrize("text", TEXTS)
def test_the_value_and_the_gradient_stay(text):
    values = leaves(text)
    over = {name: " ".join(axis.name for axis in AXES[name]) for name in values}
    found, grads = pb.expr(text, **over).function(wrt=["x"])(**values)
    assert found == pytest.approx(spelled_out(text, values), rel=1e-13)
    for at in np.ndindex(3, 4):
        step = np.zeros((3, 4), complex)
        step[at] = 1e-30j
        expected = spelled_out(text, {**values, "x": values["x"] + step}).imag / 1e-30
        assert grads["x"][at] == pytest.approx(expected, rel=1e-11, abs=1e-14)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("shift", [800.0, -800.0])
def test_it_is_finite_at_800(text, shift):
    """float64 as 80-bit floats have it, whose exponentials reach 11,000."""
    values = leaves(text, shift)
    over = {name: " ".join(axis.name for axis in AXES[name]) for name in values}
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        found, grads = pb.expr(text, **over).function(wrt=["x"])(**values)
    wide = {name: np.asarray(value, np.longdouble) for name, value in values.items()}
    expected = spelled_out(text, wide)
    assert found == pytest.approx(float(expected), rel=1e-11)
    assert np.isfinite(grads["x"]).all()
    above = spelled_out(text, {**wide, "x": wide["x"] + np.longdouble(1e-6) * (wide["x"] < 400)})
    below = spelled_out(text, {**wide, "x": wide["x"] - np.longdouble(1e-6) * (wide["x"] < 400)})
    moved = float(grads["x"][values["x"] < 400].sum())
    assert moved == pytest.approx(float((above - below) / np.longdouble(2e-6)), rel=1e-6, abs=1e-9)


def test_a_sum_that_is_wanted_itself_stays_a_sum():
    """exp(logsumexp) would be no better where nothing takes its logarithm or divides by it."""
    assert "LogSumExp" not in repr(list(pb.ir.walk((pb.expr("sum(exp(x))", x="n").node,))))
