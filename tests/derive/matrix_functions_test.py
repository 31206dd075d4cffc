"""Inverses, determinants and running sums in every target, beside the complex step."""

from __future__ import annotations

import numpy as np
import pytest
from emitted import run
from node_peer import started

import pullback as pb
from pullback.ir.evaluate import evaluate

TEXT = "logdet(A@X.T@X)*det(X) + a.T@inv(X + A)@a + sum(cumsum(a)**2) + tr(adj(X))"
AXES = {"X": "n n", "A": "n n", "a": "n"}
E = pb.expr(TEXT, **AXES)
D = pb.derive(E, wrt=list(AXES))
RNG = np.random.default_rng(1)
VALUES = {name: RNG.normal(size=(4,) * len(axes.split())) for name, axes in AXES.items()}
STEPS = {name: RNG.normal(size=value.shape) for name, value in VALUES.items()}


def check(value, slopes):
    assert float(value) == pytest.approx(float(evaluate(E.node, VALUES)), rel=1e-10)
    for name, along in STEPS.items():
        moved = evaluate(E.node, {**VALUES, name: VALUES[name] + 1e-30j * along}).imag / 1e-30
        found = np.asarray(slopes[name]).reshape(along.shape)
        assert np.sum(found * along) == pytest.approx(moved, rel=1e-9)


def test_the_function_itself():
    check(*E.function(wrt=list(AXES))(**VALUES))


@pytest.mark.parametrize("target", ["numpy", "torch", "numba", "jax"])
def test_a_target_of_arrays(target):
    library = pytest.importorskip(target)
    given = VALUES
    if target == "torch":
        given = {name: library.as_tensor(value) for name, value in VALUES.items()}
    if target == "jax":
        library.config.update("jax_enable_x64", True)
    check(*run(D.code(target))["value_and_grad"](**given))


@pytest.mark.parametrize("target", ["numpy", "torch", "numba", "jax"])
@pytest.mark.parametrize("text", ["tr(inv(X))", "logdet(X)"])
def test_a_target_of_arrays_says_what_is_singular(target, text):
    library = pytest.importorskip(target)
    X = np.arange(9.0).reshape(3, 3) if "inv" in text else np.zeros((2, 2))
    if target == "torch":
        X = library.as_tensor(X)
    if target == "jax":
        library.config.update("jax_enable_x64", True)
    code = pb.derive(pb.expr(text, X="n n"), wrt="X").code(target)
    with pytest.raises(ValueError, match="X is singular: it"):
        run(code)["value_and_grad"](X)


def test_javascript_says_what_is_singular():
    with started() as node:
        check(*node(D.code("javascript"), "value_and_grad", *VALUES.values()))
        code = pb.derive(pb.expr("tr(inv(X))", X="n n"), wrt="X").code("javascript")
        with pytest.raises(RuntimeError, match="X is singular"):
            node(code, "value_and_grad", np.arange(9.0).reshape(3, 3))
