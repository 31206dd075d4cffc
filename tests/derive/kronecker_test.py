"""Jacobians of matrices as one matrix: the formula that is printed is computed, and is jax's."""

from __future__ import annotations

import re

import numpy as np
import pytest
from formula_law_test import Computation

import pullback as pb
from pullback.derive.formula.algebra import IDENTITY
from pullback.derive.formula.tree import Sum

N = 3
SQUARE = {"X": "n n", "A": "n n", "a": "n"}
ROWS = [
    ("X.T", "X", "𝐊"),
    ("X@X", "X", "I ⊗ X + Xᵀ ⊗ I"),
    ("X.T@X", "X", "(Xᵀ ⊗ I) 𝐊 + I ⊗ Xᵀ"),
    ("X@A@X.T", "X", "(I ⊗ (X A)) 𝐊 + (X Aᵀ) ⊗ I"),
    ("matrix_power(X, 3)", "X", "I ⊗ X² + Xᵀ ⊗ X + (X²)ᵀ ⊗ I"),
    ("inv(X.T)", "X", "−(X⁻¹ ⊗ X⁻ᵀ) 𝐊"),
    ("adj(X)", "X", "det(X) (vec(X⁻¹) vec(X⁻ᵀ)ᵀ − X⁻ᵀ ⊗ X⁻¹)"),
    ("exp(X)", "X", "diag(vec(exp(X)))"),
    ("X.T*A", "X", "diag(vec(A)) 𝐊"),
    ("sin(X)@A", "X", "(Aᵀ ⊗ I) diag(vec(cos(X)))"),
    ("X.T@a", "X", "I ⊗ aᵀ"),
    ("outer(a, a)", "a", "I ⊗ a + a ⊗ I"),
    ("tr(X)*A", "X", "vec(A) vec(I)ᵀ"),
    ("vec(X.T)", "X", "𝐊"),
    ("vech(X)", "X", "𝐋"),
    ("vech(A@X)", "X", "𝐋 (I ⊗ A)"),
    ("diag(a)", "a", "𝚿"),
    ("diag(X)", "X", "𝚿ᵀ"),
    ("diag(A@X)", "X", "𝚿ᵀ (I ⊗ A)"),
    ("diag(a)@A", "a", "(Aᵀ ⊗ I) 𝚿"),
    ("A@diag(a)", "a", "(I ⊗ A) 𝚿"),
    ("A@diag(a)@X", "a", "(Xᵀ ⊗ A) 𝚿"),
    ("kron(a, a)", "a", "I ⊗ a + a ⊗ I"),
    ("X@X", "X sym", "(I ⊗ X + X ⊗ I) (I + 𝐊 − 𝚿 𝚿ᵀ)"),
    ("inv(X)", "X sym", "−(X⁻¹ ⊗ X⁻¹) (I + 𝐊 − 𝚿 𝚿ᵀ)"),
    ("X@A", "X diag", "(Aᵀ ⊗ I) 𝚿 𝚿ᵀ"),
]
LAID_OUT = [  # where I has the size of what it meets
    ("kron(X, A)", "(I ⊗ 𝐊 ⊗ I) (I ⊗ vec(A))"),
    ("kron(A, X)", "(I ⊗ 𝐊 ⊗ I) (vec(A) ⊗ I)"),
    ("kron(X, X)", "(I ⊗ 𝐊 ⊗ I) (vec(X) ⊗ I + I ⊗ vec(X))"),
    ("kron(A@X, A)", "(I ⊗ 𝐊 ⊗ I) (I ⊗ A ⊗ vec(A))"),
]
SCALARS = [
    ("logdet(X)", "−(X⁻¹ ⊗ X⁻ᵀ) 𝐊"),
    ("tr(X@X@A)", "(A ⊗ I + I ⊗ Aᵀ) 𝐊"),
    ("tr(A@X@X.T)", "I ⊗ (A + Aᵀ)"),
    ("det(X)", "det(X) (vec(X⁻ᵀ) vec(X⁻ᵀ)ᵀ − (X⁻¹ ⊗ X⁻ᵀ) 𝐊)"),
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
    return tensor.transpose(order).reshape(-1, N**rank)


def computed(formula, values):
    columns = {k: v[:, None] if v.ndim == 1 else v for k, v in values.items()}
    rows, columns_below = np.tril_indices(N)
    order = np.lexsort((rows, columns_below))
    half = np.eye(N * N)[(columns_below * N + rows)[order]]
    on_diagonal = np.eye(N * N)[:, :: N + 1]
    known = columns | {"I": np.eye(N), "𝐊": swap(), "𝐋": half, "𝚿": on_diagonal}
    return Stacked(known, samples=N).value(formula)


class Stacked(Computation):
    """Formulas in which I is as large as what it is added to."""

    def value(self, formula):
        if isinstance(formula, Sum) and IDENTITY in formula.terms:
            rest = sum(self.value(term) for term in formula.terms if term != IDENTITY)
            return rest + np.eye(len(rest))
        return super().value(formula)


def used(text, structure=""):
    known = SQUARE | {"X": f"n n {structure}".strip()}
    return {name: axes for name, axes in known.items() if re.search(rf"\b{name}\b", text)}


def structured(values, structure):
    X = values["X"]
    return values | {"X": X + X.T if structure == "sym" else np.diag(np.diag(X))}


@pytest.mark.parametrize(("text", "wrt", "form"), ROWS)
def test_a_jacobian(text, wrt, form):
    wrt, _, structure = wrt.partition(" ")
    e = pb.expr(text, **used(text, structure))
    line = pb.derive(e, wrt=wrt).steps[-1].lines[0]
    assert line.text().partition(" = ")[2] == form
    values = drawn(used(text))
    values = structured(values, structure) if structure else values
    expected = stacked(e.derivative(wrt)(**values), len(SQUARE[wrt].split()))
    np.testing.assert_allclose(computed(line.right, values), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("text", "form"), LAID_OUT)
def test_a_jacobian_of_a_kronecker_product(text, form):
    e = pb.expr(text, **used(text))
    line = pb.derive(e, wrt="X").steps[-1].lines[0]
    assert line.text() == f"∂vec(f)/∂vec(X) = {form}"
    values = drawn(used(text))
    X, A = values["X"], values.get("A")
    between = np.kron(np.kron(np.eye(N), swap()), np.eye(N))
    vec, whole = (lambda M: M.T.reshape(-1, 1)), np.eye(N * N)
    beside = {
        "kron(X, A)": lambda: np.kron(whole, vec(A)),
        "kron(A, X)": lambda: np.kron(vec(A), whole),
        "kron(X, X)": lambda: np.kron(whole, vec(X)) + np.kron(vec(X), whole),
        "kron(A@X, A)": lambda: np.kron(np.kron(np.eye(N), A), vec(A)),
    }[text]()
    found = e.derivative("X")(**values).transpose(1, 0, 3, 2).reshape(N**4, N**2)
    np.testing.assert_allclose(found, between @ beside, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("text", "form"),
    [("kron(kron(X, A), A)", "X ⊗ A ⊗ A"), ("kron(A, kron(X, A))", "A ⊗ X ⊗ A")],
)
def test_a_kronecker_product_of_three(text, form):
    d = pb.derive(pb.expr(text, X="n n", A="n n"), wrt="X")
    assert d.steps[0].equation == f"f = {form}"
    assert d.proof.ok


@pytest.mark.parametrize("structure", ["sym", "diag"])
@pytest.mark.parametrize("symmetric", ["entries", "part"])
def test_a_hessian_by_a_structured_matrix(structure, symmetric):
    e = pb.expr("logdet(X)", X=f"n n {structure}")
    d = pb.derive(e, wrt="X", order=2, symmetric=symmetric)
    line = next(step for step in d.steps if step.title == "Hessian").lines[0]
    assert "[" not in line.text()
    values = structured(drawn({"X": "n n"}), structure)
    expected = stacked(e.derivative("X", 2, symmetric)(**values), 2)
    np.testing.assert_allclose(computed(line.right, values), expected, rtol=1e-10, atol=1e-12)


def test_blocks_of_zeros_are_written_as_the_others():
    d = pb.derive(pb.expr("tr(A@X)", A="n n", X="n n"), wrt="X", order=2)
    assert d.steps[3].equation == "∂²L/∂vec(X)∂vec(X)ᵀ = 0"


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


@pytest.mark.parametrize(
    ("text", "wrt", "axes"),
    [
        ("sum(exp(A[1:, :])*exp(outer(x, x)[:-1, :]))", "x", {"A": "n n", "x": "n"}),
        ("sin(logsumexp(vec(outer(y, u))))", "u", {"y": "n", "u": "m"}),
        ("sum((W.T@W), axis=0)@sum(softmax(W.T@W)*(W.T@W), axis=1)", "W", {"W": "n m"}),
        ("tr(W@W.T@W@softmax(W.T))", "W", {"W": "n m"}),
        ("sum(kron(outer(W@u, x), A.T))", "W", {"W": "n m", "u": "m", "x": "n", "A": "n n"}),
        ("sum(softmax(softmax(W.T@W), axis=0))", "W", {"W": "n m"}),
    ],
)
def test_every_hessian_is_written_and_right(text, wrt, axes):
    d = pb.derive(pb.expr(text, **axes), wrt, order=2)
    assert d.text()
    assert d.proof.ok, d.proof.text()
