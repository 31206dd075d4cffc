"""The gradient that runs is the complex step of the loss that is defined, to rounding."""

import pytest
from zoo import FLOAT64, named

from pullback.calculus import gradients
from pullback.ir.evaluate import evaluate
from pullback.laws import gradient_check

every_case = pytest.mark.parametrize("case", FLOAT64, ids=repr)


def loss(case):
    """The loss by the slow interpreter, as a function of any of its leaves."""
    values = case.values()
    return lambda at: evaluate(case.net.total, {**values, **at})[()]


@every_case
def test_parameters(case):
    _, grads = case.net.value_and_grad(case.params(), *case.data())
    found = gradient_check(loss(case), grads, case.params(), entries=12, tolerance=1e-10)
    assert found.ok, found
    assert found.method == "complex step"


@every_case
def test_input(case):
    """∂loss/∂x, which the network does not need for training, by the same rules."""
    (slope,) = gradients(case.net.total, [case.net.x])
    grads = dict(zip(["x"], case.evaluate(slope), strict=True))
    found = gradient_check(loss(case), grads, {"x": case.data()[0]}, entries=12, tolerance=1e-10)
    assert found.ok, found


@pytest.mark.parametrize("name", ["depth 4", "sigmoid, bits", "l2", "ReLU()", "residual, nested"])
def test_central_differences_through_the_emitted_loss(name):
    """Real numbers only: what differs between the two ends is nothing but the weights."""
    case = named(name)
    X, Y = case.data()
    _, grads = case.net.value_and_grad(case.params(), X, Y)
    found = gradient_check(
        lambda at: case.net.loss(at, X, Y), grads, case.params(), entries=6, tolerance=1e-7
    )
    assert found.ok, found
    assert found.method == "central differences"
