"""A new kind of node is its class, its meaning, its linearisation and its lowering; then it works.

No reader is told of it: values, gradients, Jacobians, derivations, forecasts, closed forms follow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import sympy as sp

import pullback as pb
from pullback.calculus.factor import Factor
from pullback.calculus.linearise import linearise
from pullback.emit.lower import _Lowering
from pullback.emit.record import Lazy
from pullback.ir import Axis, Constant, Node
from pullback.ir.evaluate import _Interpreter, evaluate
from pullback.nn import Block
from pullback.nn.scope import Scope


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Average(Node):
    """The mean along one axis."""

    arg: Node
    axis: Axis

    @property
    def args(self):
        return (self.arg,)

    def result_axes(self):
        return tuple(axis for axis in self.arg.axes if axis != self.axis)

    def rebuild(self, args):
        return Average(args[0], self.axis)


@_Interpreter.value.register(Average)
def _(self, node):
    return self.whole(node.arg).mean(axis=node.arg.axes.index(node.axis))


@linearise.register(Average)
def _(node):
    share = Constant(1 / node.axis.size)
    return [(node.arg, Factor(share, node.arg.axes, node.axes))]


@_Lowering.lower.register(Average)
def _(self, node):
    total = self.products.reduced("sum", self.of(node.arg), node.axes)
    return Lazy(total.expr * sp.Float(1 / node.axis.size), node.axes)


class Pooled(Block):
    """The mean over the tokens."""

    def build(self, x: Node, at: Scope) -> Node:
        return at.z(Average(x, x.axes[1]))


NET = pb.Network(
    pb.Sequential(pb.Linear(4, 3), pb.Tanh(), Pooled(), pb.Linear(3, 2)),
    pb.SquaredError(),
    x="tokens=5 features=4",
)
rng = np.random.default_rng(0)
X, Y, PARAMS = rng.normal(size=(6, 5, 4)), rng.normal(size=(6, 2)), NET.init(seed=0)


def test_values_and_gradients():
    value, grads = NET.value_and_grad(PARAMS, X, Y)
    batch = {"x": X, "target": Y}
    assert value == pytest.approx(float(evaluate(NET.total, {**PARAMS, **batch})))
    for name, gradient in grads.items():
        along = rng.normal(size=gradient.shape)
        moved = {**PARAMS, name: PARAMS[name] + 1e-30j * along}
        slope = evaluate(NET.total, {**moved, **batch}).imag / 1e-30
        assert np.sum(gradient * along) == pytest.approx(slope, rel=1e-10)


def test_jacobians():
    dense = pb.jacobian(NET, PARAMS, X, wrt="params").dense()
    _, grads = NET.value_and_grad(PARAMS, X, Y)
    residual = (NET.predict(PARAMS, X) - Y).ravel() / len(X)
    flat = np.concatenate([grads[name].ravel() for name in PARAMS])
    np.testing.assert_allclose(dense.T @ residual, flat, rtol=1e-10)
    assert pb.jacobian(NET, PARAMS, X).dense().shape == (6, 2, 20)


@pytest.mark.parametrize("convention", ["columns", "rows", "ng", "index"])
def test_derivations_call_it_by_its_name(convention):
    text = pb.derive(NET, convention=convention).text()
    assert "average(" in text


def test_forecasts_closed_forms_training_and_checks():
    assert "measured" in pb.forecast(NET, X, Y, draws=20, progress=False).text()
    assert pb.closed_form(NET, PARAMS, X[0]).error < 1e-9
    assert pb.check(NET, PARAMS, X, Y).ok
    result = pb.fit(NET, X, Y, params=PARAMS, epochs=2, batch_size=3, progress=False)
    assert result.history["loss"][-1] < result.history["loss"][0]
