"""What people type by habit of other libraries: understood, or refused with the way to write it."""

import numpy as np
import pytest

import pullback as pb
from pullback.errors import ExpressionError

SQUARE = {"X": "n n"}
REFUSED = [
    ("inv(X)", {"X": "n m"}, "inv takes a square matrix such as 'n n', found (n, m)", 0),
    ("solve(X, b)", {"X": "n m", "b": "n"}, "solve takes a square matrix", 0),
    ("matrix_power(X, 2)", {"X": "n m"}, "matrix_power takes a square matrix", 0),
    ("trace(X[1:]@X[:, :1])", SQUARE, "square matrix, found all of 'n' but 1 by 1 of 'n'", 0),
    ("norm(X, 2)", SQUARE, "second argument of norm is its order", 8),
    ("norm(X, ord=1)", SQUARE, "second argument of norm is its order", 12),
    ("X + 2*I", SQUARE, "the identity is eye(n)", 6),
    ("X.I", SQUARE, "write inv(X)", 1),
    ("x.t()", {"x": "n"}, "write A.T", 1),
    ("pinv(X)", {"X": "n m"}, "write inv(X.T@X)@X.T", 0),
    ("sum(x) + lambda*sum(x)", {"x": "n"}, "'lambda' cannot name a variable", 9),
    ("|x|", {"x": "n"}, "write abs(x), norm(x) or det(X) for bars", 0),
    ("norm2(X@W - Y)", {"X": "n d", "W": "d k", "Y": "m c"}, "do not meet 'm' and 'c'", 10),
    ("x'Ax", {}, "a product is written *", 2),
    ("norm(X', 2)", {}, "norm takes 1 or 2 with a vector", 0),
    ("sum(X', 3)", {}, "sum(X, 1) goes along the columns", 0),
    ("np.foo(x)", {}, "unknown function 'foo'", 0),
    ("x'*y + e**x", {}, "** NumPy's", 1),
]
NOTED = [
    ("X**0.5", "The power of X goes entry by entry."),
    ("X**k", "The power of X goes entry by entry."),
    ("1/X", "The division by X goes entry by entry; the inverse is inv(X)."),
]
SAME = [
    ("np.eye(n)@X", "X"),
    ("np.linalg.norm(X, 'fro')", "norm(X)"),
    ("norm(X[0], 1)", "norm1(X[0])"),
    ("norm(X[0], ord=2)", "norm2(X[0])"),
    ("X^2", "X@X"),
    ("np.arctan(X)", "atan(X)"),
]


@pytest.mark.parametrize(("text", "axes", "message", "place"), REFUSED)
def test_what_is_refused(text, axes, message, place):
    with pytest.raises(ExpressionError) as caught:
        pb.expr(text, **axes)
    assert message in str(caught.value)
    assert str(caught.value).splitlines()[-1].index("^") == place + 2


@pytest.mark.parametrize(("text", "note"), NOTED)
def test_what_goes_entry_by_entry_is_said(text, note):
    assert note in pb.expr(text, **SQUARE, **({"k": ""} if "k" in text else {})).notes


@pytest.mark.parametrize(("text", "plain"), SAME)
def test_what_means_the_same(text, plain):
    X = np.random.default_rng(0).normal(size=(3, 3))
    np.testing.assert_allclose(pb.expr(text, **SQUARE)(X=X), pb.expr(plain, **SQUARE)(X=X))


def test_a_long_sum_is_not_a_deep_one():
    names = {f"A{i}": "n n" for i in range(100)}
    e = pb.expr(" + ".join(f"tr({name}@X)" for name in names), X="n n", **names)
    found = pb.derive(e, wrt="X").steps[-1].equation
    assert found.startswith("∂L/∂X = (A₀ + A₁ + A₂ + A₃")
    assert found.endswith("A₉₉)ᵀ")
