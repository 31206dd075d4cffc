"""Jacobians of matrices as one matrix: the formula that is printed is computed, and is jax's."""

from __future__ import annotations

import re

import numpy as np
import pytest
from formula_law_test import Computation

import pullback as pb

N = 3
SQUARE = {"X": "n n", "A": "n n", "a": "n"}
ROWS = [
    ("X.T", "X", "𝐊"),
    ("X@X", "X", "I ⊗ X + Xᵀ ⊗ I"),
    ("X.T@X", "X", "(Xᵀ ⊗ I) 𝐊 + I ⊗ Xᵀ"),
    ("X@A@X.T", "X", "(I ⊗ (X A)) 𝐊 + (X Aᵀ) ⊗ I"),
    ("matrix_power(X, 3)", "X", "I ⊗ X² + Xᵀ ⊗ X + (X²)ᵀ ⊗ I"),
    ("inv(X.T)", "X", "−(X⁻¹ ⊗ X⁻ᵀ) 𝐊"),
    ("adj(X)", "X", "det(X) vec(X⁻¹) vec(X⁻ᵀ)ᵀ − det(X) (X⁻ᵀ ⊗ X⁻¹)"),
    ("exp(X)", "X", "diag(vec(exp(X)))"),
    ("X.T*A", "X", "diag(vec(A)) 𝐊"),
    ("sin(X)@A", "X", "(Aᵀ ⊗ I) diag(vec(cos(X)))"),
    ("X.T@a", "X", "I ⊗ aᵀ"),
    ("outer(a, a)", "a", "I ⊗ a + a ⊗ I"),
    ("tr(X)*A", "X", "vec(A) vec(I)ᵀ"),
]
SCALARS = [
    ("logdet(X)", "−(X⁻¹ ⊗ X⁻ᵀ) 𝐊"),
    ("tr(X@X@A)", "(I ⊗ Aᵀ) 𝐊 + (A ⊗ I) 𝐊"),
    ("tr(A@X@X.T)", "I ⊗ (A + Aᵀ)"),
    ("det(X)", "det(X) vec(X⁻ᵀ) vec(X⁻ᵀ)ᵀ − det(X) (X⁻¹ ⊗ X⁻ᵀ) 𝐊"),
    ("sum(X**3)", "6 diag(vec(X))"),
]


def drawn(names):
    rng = np.random.default_rng(0)
    return {n: rng.normal(size=(N,) * len(SQUARE[n].split())) + 2 * np.eye(N)[0] for n in names}


def swap():
    """vec(Xᵀ) from vec(X)."""
    places = np.arange(N * N).reshape(N, N)
    return np.eye(N * N)[places.T.ravel()]


def stacked(tensor, rank):
    """Rows are the entries of the result, column by column, and columns those of the variable."""
    rows = tensor.ndim - rank
    order = [*range(rows)[::-1], *range(rows, tensor.ndim)[::-1]]
    return tensor.transpose(order).reshape(N**rows, N**rank)


def computed(formula, values):
    columns = {k: v[:, None] if v.ndim == 1 else v for k, v in values.items()}
    known = columns | {"I": np.eye(N), "𝐊": swap()}
    return Computation(known, samples=N).value(formula)


def used(text):
    return {name: axes for name, axes in SQUARE.items() if re.search(rf"\b{name}\b", text)}


@pytest.mark.parametrize(("text", "wrt", "form"), ROWS)
def test_a_jacobian(text, wrt, form):
    e = pb.expr(text, **used(text))
    line = pb.derive(e, wrt=wrt).steps[-1].lines[0]
    assert line.text().partition(" = ")[2] == form
    values = drawn(used(text))
    expected = stacked(e.derivative(wrt)(**values), len(SQUARE[wrt].split()))
    np.testing.assert_allclose(computed(line.right, values), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("text", "form"), SCALARS)
def test_a_hessian(text, form):
    e = pb.expr(text, **used(text))
    steps = {step.title: step for step in pb.derive(e, wrt="X", order=2).steps}
    line = steps["Hessian"].lines[0]
    assert line.text() == f"∂²L/∂vec(X)∂vec(X)ᵀ = {form}"
    values = drawn(used(text))
    expected = stacked(e.derivative("X", 2)(**values), 2)
    np.testing.assert_allclose(computed(line.right, values), expected, rtol=1e-10, atol=1e-12)


def test_signs_are_explained_where_they_stand():
    note = pb.derive(pb.expr("X.T", X="n n"), wrt="X").note
    assert "𝐊 vec(X) = vec(Xᵀ)" in note
    assert "X X X" not in note
    assert "X X X" in pb.derive(pb.expr("tr(matrix_power(X, 3))", X="n n"), wrt="X").note
    assert "𝐞ₖ" in pb.derive(pb.expr("inv(X)[0, 1]", X="n n"), wrt="X").note
    both = pb.derive(pb.expr("sum(X**3) + tr(matrix_power(X, 4))", X="n n"), wrt="X")
    assert both.steps[-1].lines[0].text() == "∂L/∂X = 4 (X³)ᵀ + 3 X⊙²"
