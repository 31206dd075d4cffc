"""The layout of a Jacobian: what is printed is transposed, what is computed stays."""

from __future__ import annotations

import numpy as np
import pytest

import pullback as pb

CASES = [
    ("A@x", dict(A="m n", x="n"), "x", "∂f/∂x = A", "∂f/∂x = Aᵀ"),
    ("x.T@A", dict(A="n m", x="n"), "x", "∂f/∂x = Aᵀ", "∂f/∂x = A"),
    ("A@exp(x)", dict(A="m n", x="n"), "x", "∂f/∂x = A diag(exp(x))", "∂f/∂x = diag(exp(x)) Aᵀ"),
    ("t*x", dict(t="", x="n"), "t", "∂f/∂t = x", "∂f/∂t = xᵀ"),
    ("A@X@B", dict(A="m n", X="n p", B="p q"), "X", "∂vec(f)/∂vec(X) = Bᵀ ⊗ A",
     "∂vec(f)/∂vec(X) = B ⊗ Aᵀ"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "axes", "wrt", "rows", "columns"), CASES)
def test_a_jacobian_is_printed_in_the_layout_that_is_asked_for(text, axes, wrt, rows, columns):
    e = pb.expr(text, **axes)
    for layout, expected in (("numerator", rows), ("denominator", columns)):
        d = pb.derive(e, wrt, layout=layout)
        assert str(d.steps[-1].lines[0].text()) == expected
        assert f"({layout} layout)" in d.text().replace("\n", " ")
        assert d.proof.error < 1e-9
    assert pb.derive(e, wrt, layout="denominator").code("numpy") == pb.derive(e, wrt).code("numpy")


def test_a_gradient_has_the_axes_of_its_variable_in_either_layout():
    e = pb.expr("x.T@A@x", A="n n", x="n")
    one, other = (pb.derive(e, "x", layout=each) for each in ("numerator", "denominator"))
    assert one.text() == other.text()


def test_a_layout_that_is_none_is_refused():
    e = pb.expr("A@x", A="m n", x="n")
    with pytest.raises(pb.errors.UnknownNameError, match="did you mean 'denominator'"):
        pb.derive(e, "x", layout="denominater")


def test_what_is_printed_is_the_matrix_of_that_layout():
    e = pb.expr("A@tanh(x)", A="m n", x="n")
    rng = np.random.default_rng(0)
    A, x = rng.normal(size=(3, 4)), rng.normal(size=4)
    printed = str(pb.derive(e, "x", layout="denominator").steps[-1].lines[0].text())
    assert printed.endswith("Aᵀ")
    again = pb.expr("diag(1 - tanh(x)**2)@A.T", A="m n", x="n")
    np.testing.assert_allclose(again(A=A, x=x), e.derivative("x")(A=A, x=x).T)
