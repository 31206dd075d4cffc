"""Slices of one axis meet entry by entry; tensors whose axes do not meet are refused."""

import numpy as np
import pytest

from pullback.errors import AxisError, ExpressionError, PullbackError, ShapeError
from pullback.ir import Axis, Contract, Input, rows
from pullback.ir.evaluate import evaluate
from pullback.net.expression import expr

SIZES = {"n": 4, "d": 3, "m": 3, "k": 2}
X, XY, A, AB = {"x": "n"}, {"x": "n", "y": "m"}, {"A": "n d"}, {"A": "n d", "b": "d"}

# text, axes, the same in NumPy
MEANINGS = [
    ("x[:3]*x[1:]", X, lambda x: x[:3] * x[1:]),
    ("x[1:]*x[:3]", X, lambda x: x[1:] * x[:3]),
    ("x[1:] - x[:-1]", X, lambda x: np.diff(x)),
    ("x[::1] + x[0:]", X, lambda x: 2 * x),
    ("x[-3:-1] + x[1:3]", X, lambda x: x[-3:-1] + x[1:3]),
    ("x[-2:]/x[:2]", X, lambda x: x[-2:] / x[:2]),
    ("x[1:-1]*x[1:3]", X, lambda x: x[1:-1] ** 2),
    ("x[1:][1:]*x[2:]", X, lambda x: x[2:] ** 2),
    ("x[1:][:-1] - x[2:] + x[:-2]", X, lambda x: x[1:-1] - x[2:] + x[:-2]),
    ("x[:3][1:]*x[:2]", X, lambda x: x[1:3] * x[:2]),
    ("x[1:][:2] + x[2:4]", X, lambda x: x[1:3] + x[2:4]),
    ("x[0]*x[1:] + x[-1]", X, lambda x: x[0] * x[1:] + x[-1]),
    ("mean(x[:2])", X, lambda x: x[:2].mean()),
    ("dot(x[1:], x[:3])", X, lambda x: x[1:] @ x[:3]),
    ("x[1:] @ x[:3]", X, lambda x: x[1:] @ x[:3]),
    ("maximum(x[1:], x[:3])", X, lambda x: np.maximum(x[1:], x[:3])),
    ("where(x[1:] > x[:3], x[1:], 0.5)", X, lambda x: np.where(x[1:] > x[:3], x[1:], 0.5)),
    ("tanh(x[1:])*sin(x[:3])", X, lambda x: np.tanh(x[1:]) * np.sin(x[:3])),
    ("A[1:]*A[:-1]", A, lambda A: A[1:] * A[:-1]),
    ("A[1:, 1:] - A[:-1, :-1]", A, lambda A: A[1:, 1:] - A[:-1, :-1]),
    ("A[:, 1:] @ b[1:]", AB, lambda A, b: A[:, 1:] @ b[1:]),
    ("A[:, :2] @ b[1:]", AB, lambda A, b: A[:, :2] @ b[1:]),
    ("A[1:] @ A.T", A, lambda A: A[1:] @ A.T),
    ("sum(A[:, 1:], axis='d')", A, lambda A: A[:, 1:].sum(1)),
    ("rename(x[:3], n='m')*y", XY, lambda x, y: x[:3] * y),
    ("rename(x[1:], n='m') - y", XY, lambda x, y: x[1:] - y),
    ("outer(x, y)", XY, lambda x, y: np.outer(x, y)),
    ("outer(x[1:], rename(x[:-1], n='k'))", X, lambda x: np.outer(x[1:], x[:-1])),
    ("broadcast(x, 'm') - y", XY, lambda x, y: x[:, None] - y),
    ("exp(-(broadcast(x, 'k') - rename(x, n='k'))**2)", X,
     lambda x: np.exp(-((x[:, None] - x) ** 2))),
    ("x*b*A", {"x": "n", "b": "d", "A": "n d"}, lambda x, b, A: x[:, None] * b * A),
]  # fmt: skip


@pytest.mark.parametrize(("text", "axes", "meaning"), MEANINGS, ids=[m[0] for m in MEANINGS])
def test_value_and_gradient_are_those_of_numpy(text, axes, meaning):
    rng = np.random.default_rng(5)
    given = {v: rng.normal(size=[SIZES[a] for a in names.split()]) for v, names in axes.items()}
    np.testing.assert_allclose(expr(text, **axes)(**given), meaning(**given), rtol=1e-12)
    _, slopes = expr(f"sumsq({text})", **axes).function(wrt=list(axes))(**given)

    def cost(at):
        return (meaning(**at) ** 2).sum()

    for name in axes:
        along, step = rng.normal(size=given[name].shape), 1e-6
        there, back = (given | {name: given[name] + s * along} for s in (step, -step))
        expected = (cost(there) - cost(back)) / (2 * step)
        assert (slopes[name] * along).sum() == pytest.approx(expected, rel=1e-6, abs=1e-7)


def test_a_product_of_two_slices_is_no_outer_product():
    assert expr("sum(x[:3]*x[1:])", x="n")(x=[1, 2, 3, 4]) == 20.0


# text, axes, parts of the message
REFUSED = [
    ("x[:2]*x[:3]", X, ["2 of 'n' and 3 of 'n' do not meet"]),
    ("x[1:]*x[2:]", X, ["all of 'n' but 1", "all of 'n' but 2"]),
    ("x*x[1:]", X, ["all of 'n' and all of 'n' but 1"]),
    ("x*x[:3]", X, ["all of 'n' and 3 of 'n'"]),
    ("x[:1]*x", X, ["1 of 'n' and all of 'n'"]),
    ("A[:, 1:] @ b", AB, ["all of 'd' but 1 and all of 'd'"]),
    ("x[:3]*y", XY, ["3 of 'n' does not meet 'm'", "rename(x[:3], n='m')", "outer(x[:3], y)"]),
    ("x[:3]*rename(y, m='n')", XY, ["3 of 'n' and all of 'n'"]),
    ("mean((A@b - y)**2)", {"A": "n d", "b": "d", "y": "m"},
     ["(n) - (m): 'n' does not meet 'm'", "rename(y, m='n')", "outer", "broadcast(y, 'n')"]),
    ("x*y", XY, ["rename(y, m='n')", "outer(x, y)"]),
    ("x/y", XY, ["(n) / (m)"]),
    ("x**y", XY, ["(n) ** (m)"]),
    ("maximum(x, y)", XY, ["(n) and (m)"]),
    ("where(x > 0, y, 1)", XY, ["(n) and (m)"]),
    ("A*B", {"A": "n d", "B": "d k"}, ["'n' does not meet 'k'", "a matrix product is written @"]),
    ("x + A", {"x": "n", "A": "d m"}, ["'n' does not meet 'd' and 'm'"]),
    ("x[2:2]", X, ["nothing of n is left by [2:2]"]),
    ("x[:-0]", X, ["nothing of n"]),
    ("x[::2]", X, ["a slice has no step here"]),
    ("x[:, None]", X, ['broadcast(x, "m")']),
    ("broadcast(x, 'n')", X, ["name axes that (n) does not have"]),
    ("broadcast(x, 3)", X, ["are a string"]),
    ("broadcast(x)", X, ["takes a tensor and axes"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "axes", "parts"), REFUSED, ids=[r[0] for r in REFUSED])
def test_what_does_not_meet_is_refused_with_both_sides(text, axes, parts):
    with pytest.raises(ExpressionError) as caught:
        expr(text, **axes)
    for part in parts:
        assert part in str(caught.value)


def test_axes_that_do_not_meet_are_an_axis_error_with_a_caret():
    with pytest.raises(AxisError, match=r"\n  x-y\n   \^$"):
        expr("x-y", **XY)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x[:2]*x[1:]", "has length 2 and x[1:] has length 3"),
        ("x[1:]**x[:2]", "has length 3 and x[:2] has length 2"),
        ("x[:9]", "a slice of 'n'=4 has length 4; expected 9"),
        ("mean(x[:9])", "a slice of 'n'=4 has length 4; expected 9"),
        ("x[-9:]", "has length 4; expected 9"),
        ("x[4:]", "has length 0"),
        ("x[7]", "has length 0"),
        ("broadcast(x, 'q')", "the size of axis 'q' is not known"),
    ],
)
def test_lengths_that_only_the_data_tell_are_checked(text, message):
    with pytest.raises(ShapeError) as caught:
        expr(text, x="n")(x=np.ones(4))
    assert message in str(caught.value)


# a hint keeps the meaning, or asks
HINTS = [
    ("norm2(C@A - B@C)", {"A": "i j", "B": "k l", "C": "k i"}, "if they are one axis", "write C.T"),
    ("pinv(A)", A, "write inv(X.T@X)@X.T", "did you mean"),
    ("expm(A)", A, "its derivative is the integral", "did you mean"),
    ("asinh(A)", A, "not supported yet", "'sin'"),
    ("A.inv()", A, "write inv(…)", "only"),
    ("log2(A)", A, "write log(x)/log(2)", "did you mean"),
    ("norminf(A)", A, "write max(abs(x))", "norm2"),
    ("relu6(A)", A, "minimum(maximum(x, 0), 6)", "did you mean"),
    ("gamma(A)", A, "not supported yet", "sigma"),
    ("softsign(A)", A, "x/(1 + abs(x))", "softmax"),
    ("sinn(A)", A, "did you mean 'sin'?", "known functions"),
    ("K @ rename(K, n='m') @ K", {"K": "n k"}, "if they are one axis", "K.T"),
    ("zz + A", A, "known: A", "did you mean"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "axes", "said", "unsaid"), HINTS, ids=[h[0] for h in HINTS])
def test_a_hint_is_of_the_same_kind_or_is_not_given(text, axes, said, unsaid):
    with pytest.raises(PullbackError) as caught:
        expr(text, **axes)
    message = str(caught.value).splitlines()[0]
    assert said in message
    assert unsaid not in message.replace(text, "").partition("known functions")[0]


@pytest.mark.parametrize("stop", [None, -1])
def test_a_row_of_known_length_is_as_long_as_the_slice_of_an_open_axis(stop):
    row, column = Axis("k", 3), Axis("t")
    node = Contract((Input("y", (column,)), rows(row, column, 1, stop)), (row,))
    fits = 4 if stop is None else 5
    np.testing.assert_array_equal(evaluate(node, {"y": np.arange(fits)}), [1, 2, 3])
    with pytest.raises(ShapeError, match="expected 3"):
        evaluate(node, {"y": np.arange(7)})
