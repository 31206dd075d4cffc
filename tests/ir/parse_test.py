"""Text becomes the nodes that it means, or an error with the caret under the place."""

import numpy as np
import pytest
import sympy as sp

from pullback.errors import AxisError, ExpressionError
from pullback.ir import Axis, Constant, Contract, Input, LogSumExp, Map, Scalar, simplify, symbol
from pullback.ir.build import mean_over, size_of
from pullback.ir.evaluate import evaluate
from pullback.ir.language.parse import parse, parse_axes, parse_scalar
from pullback.ir.language.syntax import DEEPEST, LONGEST
from pullback.ir.scalar.primitives import fn

SIZES = {"n": 5, "d": 3, "k": 4, "i": 4, "j": 4, "e": 3}


def read(text, **axes):
    return parse(text, {name: parse_axes(name, names) for name, names in axes.items()})


def arrays(**axes):
    """Reproducible numbers of both signs, the same for the same axes and place."""
    rng = np.random.default_rng(7)
    return {v: rng.normal(size=[SIZES[a] for a in names.split()]) for v, names in axes.items()}


# text, axes, the axes of the result, the same in NumPy
MEANINGS = [
    ("3", {}, "", lambda: 3.0),
    ("-2 + +3*4/8", {}, "", lambda: -0.5),
    ("2**-1", {}, "", lambda: 0.5),
    ("pi*e", {}, "", lambda: np.pi * np.e),
    ("2*e", {"e": ""}, "", lambda e: 2 * e),
    ("x - y", {"x": "n", "y": "n"}, "n", lambda x, y: x - y),
    ("X + b", {"X": "n d", "b": "d"}, "n d", lambda X, b: X + b),
    ("b - X", {"X": "n d", "b": "d"}, "n d", lambda X, b: b - X),
    ("y*X", {"X": "n d", "y": "n"}, "n d", lambda X, y: y[:, None] * X),
    ("outer(y, b)", {"y": "n", "b": "d"}, "n d", lambda y, b: np.outer(y, b)),
    ("b + broadcast(y, 'd')", {"y": "n", "b": "d"}, "n d", lambda y, b: b + y[:, None]),
    ("y*b*X", {"X": "n d", "y": "n", "b": "d"}, "n d", lambda X, y, b: y[:, None] * b * X),
    ("b - y + X", {"X": "n d", "y": "n", "b": "d"}, "n d", lambda X, y, b: b - y[:, None] + X),
    ("X*Z.T", {"X": "n d", "Z": "d n"}, "n d", lambda X, Z: X * Z.T),
    ("Z.T + X", {"X": "n d", "Z": "d n"}, "n d", lambda X, Z: Z.T + X),
    ("X / (1 + X**2)", {"X": "n d"}, "n d", lambda X: X / (1 + X**2)),
    ("(X**2)**(1/3)", {"X": "n d"}, "n d", lambda X: np.abs(X) ** (2 / 3)),
    ("2**x - x**0", {"x": "n"}, "n", lambda x: 2**x - 1),
    ("(x**2)**p", {"x": "n", "p": ""}, "n", lambda x, p: np.abs(x) ** (2 * p)),
    ("-x**2", {"x": "n"}, "n", lambda x: -(x**2)),
    ("X @ w", {"X": "n d", "w": "d"}, "n", lambda X, w: X @ w),
    ("y @ X", {"X": "n d", "y": "n"}, "d", lambda X, y: y @ X),
    ("w @ v", {"w": "d", "v": "d"}, "", lambda w, v: w @ v),
    ("X @ W", {"X": "n d", "W": "d k"}, "n k", lambda X, W: X @ W),
    ("X @ W.T", {"X": "n d", "W": "k d"}, "n k", lambda X, W: X @ W.T),
    ("w.T @ v", {"w": "d", "v": "d"}, "", lambda w, v: w @ v),
    ("(W @ X.T).T", {"X": "n d", "W": "k d"}, "n k", lambda X, W: X @ W.T),
    ("x @ A @ rename(x, d='e')", {"x": "d", "A": "d e"}, "", lambda x, A: x @ A @ x),
    ("X.T @ rename(X, d='e')", {"X": "n d"}, "d e", lambda X: X.T @ X),
    ("sum(X)", {"X": "n d"}, "", lambda X: X.sum()),
    ("sum(X, axis='n')", {"X": "n d"}, "d", lambda X: X.sum(0)),
    ("sum(X, 'd n')", {"X": "n d"}, "", lambda X: X.sum()),
    ("mean(X)", {"X": "n d"}, "", lambda X: X.mean()),
    ("mean(X, 'd')", {"X": "n d"}, "n", lambda X: X.mean(1)),
    ("mean(b)", {"b": ""}, "", lambda b: b),
    ("max(X)", {"X": "n d"}, "", lambda X: X.max()),
    ("max(X, axis='n')", {"X": "n d"}, "d", lambda X: X.max(0)),
    ("min(X, axis='n')", {"X": "n d"}, "d", lambda X: X.min(0)),
    ("maximum(X, b)", {"X": "n d", "b": "d"}, "n d", lambda X, b: np.maximum(X, b)),
    ("minimum(0, X)", {"X": "n d"}, "n d", lambda X: np.minimum(0, X)),
    ("logsumexp(X)", {"X": "n d"}, "", lambda X: np.log(np.exp(X).sum())),
    ("logsumexp(X, 'd')", {"X": "n d"}, "n", lambda X: np.log(np.exp(X).sum(1))),
    ("softmax(X)", {"X": "n d"}, "n d", lambda X: np.exp(X) / np.exp(X).sum(1, keepdims=True)),
    ("softmax(X, 'n')", {"X": "n d"}, "n d", lambda X: np.exp(X) / np.exp(X).sum(0)),
    ("softmax(X, 'n d')", {"X": "n d"}, "n d", lambda X: np.exp(X) / np.exp(X).sum()),
    ("norm(X)", {"X": "n d"}, "", lambda X: np.linalg.norm(X)),
    ("norm(X, 'd')", {"X": "n d"}, "n", lambda X: np.linalg.norm(X, axis=1)),
    ("norm2(X)", {"X": "n d"}, "", lambda X: np.linalg.norm(X)),
    ("norm2(X, 'd')", {"X": "n d"}, "n", lambda X: np.linalg.norm(X, axis=1)),
    ("norm2sq(X)", {"X": "n d"}, "", lambda X: (X**2).sum()),
    ("norm2sq(X, 'd') + sumsq(X, 'd')", {"X": "n d"}, "n", lambda X: 2 * (X**2).sum(1)),
    ("sumsq(X, 'n')", {"X": "n d"}, "d", lambda X: (X**2).sum(0)),
    ("dot(w, v)", {"w": "d", "v": "d"}, "", lambda w, v: w @ v),
    ("dot(X, w)", {"X": "n d", "w": "d"}, "n", lambda X, w: X @ w),
    ("dot(X, Z, 'd')", {"X": "n d", "Z": "n d"}, "n", lambda X, Z: (X * Z).sum(1)),
    ("trace(A)", {"A": "i j"}, "", lambda A: np.trace(A)),
    ("trace(A @ rename(B, k='l'), axis='i l')", {"A": "i j", "B": "j k"}, "",
     lambda A, B: np.trace(A @ B)),
    ("sigma(x) + sigmoid(x)", {"x": "n"}, "n", lambda x: 2 / (1 + np.exp(-x))),
    ("sqrt(x**2) + abs(x)", {"x": "n"}, "n", lambda x: 2 * np.abs(x)),
    ("square(x) + log1p(x**2)", {"x": "n"}, "n", lambda x: x**2 + np.log(1 + x**2)),
    ("expm1(x)/ln(2)", {"x": "n"}, "n", lambda x: np.expm1(x) / np.log(2)),
    ("where(x > 0, x, -x)", {"x": "n"}, "n", lambda x: np.abs(x)),
    ("where(X <= b, X, b**2)", {"X": "n d", "b": "d"}, "n d",
     lambda X, b: np.where(b >= X, X, b**2)),
    ("where(1 < 2, x, 0)", {"x": "n"}, "n", lambda x: x),
    ("x[0] - x[-1]", {"x": "n"}, "", lambda x: x[0] - x[-1]),
    ("sum(x[1:] * x[:-1])", {"x": "n"}, "", lambda x: x[1:] @ x[:-1]),
    ("sum(x[2:4]*x[0:2])", {"x": "n"}, "", lambda x: x[2:4] @ x[:2]),
    ("X[:, 0]*X[1, 2]", {"X": "n d"}, "n", lambda X: X[:, 0] * X[1, 2]),
    ("X[1]@X[-1, :]", {"X": "n d"}, "", lambda X: X[1] @ X[-1]),
    (" x\t+\n\u00a0y ", {"x": "n", "y": "n"}, "n", lambda x, y: x + y),
    ("σ*μ", {"σ": "n", "μ": "n"}, "n", lambda σ, μ: σ * μ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "axes", "result", "meaning"), MEANINGS, ids=[m[0] for m in MEANINGS]
)
def test_text_means_what_numpy_means(text, axes, result, meaning):
    node, given = read(text, **axes), arrays(**axes)
    expected = meaning(**given)
    for form in (node, *simplify(node)):
        assert " ".join(axis.name for axis in form.axes) == result
        np.testing.assert_allclose(evaluate(form, given), expected, rtol=1e-12, atol=1e-13)


def test_a_known_size_divides_a_mean_as_a_number():
    n = Axis("n", 4)
    assert simplify(parse("mean(x)", {"x": (n,)})) == simplify(
        Contract((Input("x", (n,)), Constant(0.25)), ())
    )


def test_the_size_of_an_open_axis_is_a_sum_of_ones():
    n = Axis("n")
    assert size_of(n) is Contract((Constant(1.0, (n,)),), ())
    assert read("mean(x)", x="n") is mean_over(Input("x", (n,)), (n,))


def test_log_of_one_plus_exp_becomes_softplus():
    (node,) = simplify(read("log(1+exp(-y*(X@w)))", X="n d", y="n", w="d"))
    assert isinstance(node, Map)
    assert node.function is Scalar.of(fn("softplus")(symbol(0)))


@pytest.mark.parametrize("written", ["exp(1)*x + b", "b + x*e", "(x + b/e)*e"])
def test_one_meaning_is_one_node(written):
    reference = simplify(read("e*x + b", x="n", b=""))
    assert simplify(read(written, x="n", b="")) == reference


def test_numbers_inside_functions_stay_exact():
    x = symbol(0)
    assert simplify(read("e**x", x="n"))[0].function.expr == sp.exp(x)
    assert simplify(read("x**(1/3)", x="n"))[0].function.expr == sp.cbrt(x)


def test_softmax_is_stable():
    node = read("softmax(z)", z="k")
    assert any(isinstance(arg, LogSumExp) for arg in node.args)
    np.testing.assert_allclose(evaluate(node, {"z": [1000.0, 1000.0, -1000.0]}), [0.5, 0.5, 0])


# text, axes, a part of the message, the column of the caret (None: no place in the text)
X, Y, V = {"x": "n"}, {"x": "n", "y": "n"}, {"X": "n d", "w": "d"}
ELSE = "an expression has numbers, names"
FAULTS = [
    ("", {}, "empty", None),
    (" \n ", {}, "empty", None),
    ("x" * (LONGEST + 1), X, f"at most {LONGEST}", None),
    ("(" * 150 + "x" + ")" * 150 + ")", X, "not an expression", 301),
    ("-" * (DEEPEST + 1) + "x", X, f"more than {DEEPEST} deep", DEEPEST),
    ("-" * 5000 + "x", X, f"more than {DEEPEST} deep", None),
    ("exp(" * 70 + "x" + ")" * 70, X, f"more than {DEEPEST} deep", 4 * DEEPEST - 4),
    ("x +", X, "not an expression", 3),
    ("2*(x", X, "'(' was never closed", 2),
    ("x)", X, "unmatched ')'", 1),
    ("x y", X, "not an expression", 2),
    ("x = 1", X, "not an expression", 2),
    ("import os", X, "not an expression", 0),
    ("2x", X, "not an expression", 0),
    ("x # y", X, "'#' does not belong", 2),
    ("x \\\n + x", X, "does not belong", 2),
    ("x\0", X, "does not belong", 1),
    ("x − 1", X, "'−' (U+2212) is not ours: write '-'", 2),
    ("2·x", X, "write '*'", 1),
    ("x²", X, "write '**2'", 1),
    ("2 × x", X, "write '*'", 2),
    ("x“", X, "not an expression", 1),
    ("2*х", X, "unknown name 'х'", 2),  # a Cyrillic letter
    ("x + z", X, "unknown name 'z': known: x", 4),
    ("alpha*bta", {"alpha": "", "beta": ""}, "did you mean 'beta'?", 6),
    ("σ*α*(β + γ)", {"σ": "", "α": "", "β": ""}, "unknown name 'γ'", 9),
    ("exp", X, "write exp(…)", 0),
    ("x*lgo(x)", X, "unknown function 'lgo': did you mean 'log'?", 2),
    ("2*x(3)", X, "'x' is a variable, not a function", 2),
    ("x.exp(x)", X, "unknown attribute .exp: write exp(…)", 1),
    ("np.exq(x)", X, "unknown function 'exq'", 0),
    ("x.sum()", X, "write sum(…)", 1),
    ("x.real", X, "unknown attribute .real: the only one is .T", 1),
    ("x.T()", X, "only a function's name can be called", 0),
    ("x.__class__", X, "unknown attribute .__class__", 1),
    ("exp()", X, "exp takes 1 argument, found 0", 0),
    ("1 + exp(x, x)", X, "exp takes 1 argument, found 2", 4),
    ("dot(x)", X, "dot takes 2 arguments, found 1", 0),
    ("sum(x, 'n', x)", X, "sum takes 1 argument, found 3", 0),
    ("exp(*x)", X, ELSE, 4),
    ("exp(x, axis='n')", X, "exp does not know 'axis': it has no options", 7),
    ("sum(x, keepdims=1)", X, "sum does not know 'keepdims': its only option is axis", 7),
    ("sum(x, **x)", X, "sum does not know '**'", 7),
    ("sum(x, axis=1)", X, "there is no axis 1 in (n)", 12),
    ("sum(x, axis=0.5)", X, "the axis of sum is a string", 12),
    ("max(x, 0)", X, "of two tensors write maximum(…)", 7),
    ("min(Q, -1)", {"Q": "n n"}, "of two tensors write minimum(…)", 7),
    ("dot(Q, x)", {"Q": "n n", "x": "n"}, "(n) could go along either axis of (n, n′)", 0),
    ("Q * B", {"Q": "n n", "B": "m n"}, "a product of matrices is written @", 2),
    ("sum(Q, axis='n')", {"Q": "n n"}, "'n' stands twice in (n, n′): tell its place", 12),
    ("rename(Q, n='k')", {"Q": "n n"}, "'n' stands twice in (n, n′)", 10),
    ("Q * x", {"Q": "n n", "x": "n"}, "(n) could go along either axis of (n, n′)", 2),
    ("diag(A)", {"A": "i j"}, "diag takes a vector or a square matrix", 0),
    ("sum(x, axis='m')", X, "there is no axis 'm' in (n)", 12),
    ("sum(x, 'n n')", X, "name each axis once", 7),
    ("sum(x, '')", X, "name each axis once", 7),
    ("softmax(b)", {"b": ""}, "no axis to go along", 0),
    ("dot(x, y)", {"x": "n", "y": "d"}, "(n) and (d) share no axis", 0),
    ("trace(x)", X, "a trace is over two axes, found (n)", 0),
    ("rename(X, k='m')@w", V, "there is no axis 'k' in (n, d)", 10),
    ("rename(X, d='n')@w", V, "used twice", 0),
    ("rename(X, d='1')@w", V, "'1' cannot name an axis", 0),
    ("rename(X, d=1)@w", V, "the new name is a string", 12),
    ("rename(X)@w", V, 'rename takes names of axes, as in d="k"', 0),
    ("rename(d='k')@X@w", V, "rename takes 1 argument, found 0", 0),
    ("X @ x", {"X": "n d", "x": "n"}, "'d' does not meet 'n'; if they are one axis", 2),
    ("(2*X) @ (w + 1)", {"X": "n d", "w": "k"}, "(n, d) @ (k): 'd' does not meet 'k'", 6),
    ("A @ B", {"A": "b i j", "B": "b j k"}, "both sides have 'b'", 2),
    ("x @ 2", X, "(n) @ (): @ needs an axis on both sides", 2),
    ("A.T", {"A": "i j k"}, "a transpose is of two axes, found (i, j, k)", 1),
    ("x ^ 2", X, "unknown operator: a power is written **", 2),
    ("x // 2", X, "unknown operator", 2),
    ("x % 2", X, "unknown operator", 2),
    ("~x", X, ELSE, 0),
    ("not x", X, ELSE, 0),
    ("x > 0", X, ELSE, 2),
    ("x and x", X, ELSE, 0),
    ("2*x[0, 0]", X, "(n) has fewer axes than that", 4),
    ("x[::2]", X, "a slice has no step here", 4),
    ("x[1.5]", X, "a place in a slice is a whole number", 2),
    ("x[True:]", X, "a place in a slice is a whole number", 2),
    ("x[x]", X, "a place in a slice is a whole number", 2),
    ("x + x[0:0]", X, "[0:0]", 5),
    ("x[-2:2]", X, "the length of [-2:2] depends on that of 'n'", 1),
    ("where(x, x, 1)", X, "where chooses by one comparison", 6),
    ("where(0 < x < 1, x, 1)", X, "where chooses by one comparison", 8),
    ("where(x != 0, x, 1)", X, "where chooses by one comparison", 8),
    ("2*where(x > 0, x)", X, "where takes 3 arguments, found 2", 2),
    ("where(x > 0, x, axis='n')", X, "where takes 3 arguments, found 3", 0),
    ("where(x > z, x, 0)", X, "unknown name 'z'", 10),
    ("where(x > 0, 1/x, 1/0)", X, "not a finite real number", 19),
    ("2 * (x, x)", X, ELSE, 4),
    ("exp([x])", X, ELSE, 4),
    ("sum(x for x in x)", X, ELSE, 3),
    ("[x for x in x]", X, ELSE, 0),
    ("(lambda: x)()", X, ELSE, 1),
    ("x if x else x", X, ELSE, 0),
    ("(x := 2)", X, ELSE, 1),
    ("x + 'n'", X, ELSE, 4),
    ("f'{x}'", X, ELSE, 0),
    ("x + True", X, ELSE, 4),
    ("x*None", X, ELSE, 2),
    ("x*2j", X, ELSE, 2),
    ("x*...", X, ELSE, 2),
    ("__import__('os').system('true')", X, "unknown attribute .system", 16),
    ("eval('x')", X, "unknown function 'eval'", 0),
    ("x/0", X, "not a finite real number", 1),
    ("x + 1/0", X, "not a finite real number", 5),
    ("sqrt(-1)*x", X, "not a finite real number", 0),
    ("x*log(0)", X, "not a finite real number", 2),
    ("x*1e999", X, "not a finite real number", 2),
    ("x*1" + "0" * 400, X, "not a finite real number", 2),
    ("x*exp(exp(exp(9)))", X, "not a finite real number", 6),
    ("x*9**9**9", X, "an exponent beyond 1000", 6),
    ("((3*x)**1000)**1000", X, "an exponent beyond 1000", 8),
    ("x", Y, "'y' is declared, but 'x' does not use it", None),
    ("exp(x)", {"x": "n", "exp": ""}, "'exp' is a variable, not a function", 0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "axes", "message", "column"), FAULTS, ids=[repr(f[0][:40]) for f in FAULTS]
)
def test_a_fault_is_named_and_has_the_caret_under_its_place(text, axes, message, column):
    with pytest.raises(ExpressionError) as caught:
        read(text, **axes)
    assert message in str(caught.value)
    assert caught.value.column == column
    if column is not None:
        shown, caret = str(caught.value).splitlines()[-2:]
        assert shown == f"  {caught.value.text}"
        assert caret == " " * (column + 2) + "^"


def test_what_is_not_text_is_refused():
    with pytest.raises(ExpressionError, match="an expression is a string, found int"):
        parse(3, {})


@pytest.mark.parametrize(
    ("name", "names", "message"),
    [
        ("X", "n,d", "'n,d' cannot name an axis of X='n,d'"),
        ("X", "n 3", "'3' cannot name an axis"),
        ("X", "for", "'for' cannot name an axis of X='for': Python keeps the word"),
        ("X", ("n", "d"), "the axes of 'X' are a string such as 'n d', found ('n', 'd')"),
        ("X", None, "found None"),
        ("lambda", "n", "'lambda' cannot name a variable"),
        ("a b", "n", "'a b' cannot name a variable"),
        ("", "n", "'' cannot name a variable"),
    ],
)
def test_a_bad_declaration_is_refused(name, names, message):
    with pytest.raises(AxisError) as caught:
        read("X", **{name: names})
    assert message in str(caught.value)


def test_one_axis_has_one_size():
    with pytest.raises(ExpressionError, match="axis 'n' has two sizes"):
        parse("x*y", {"x": (Axis("n", 3),), "y": (Axis("n", 4),)})


x = symbol(0)
SCALARS = [
    ("1.7159*tanh(2*x/3)", sp.Float(1.7159) * sp.tanh(2 * x / 3)),
    ("u", x),
    ("log(1+exp(t))", fn("softplus")(x)),
    ("x/(1+exp(-x))", x * fn("sigmoid")(x)),
    ("exp(-pi*z**2)", sp.exp(-sp.pi * x**2)),
    ("tanh(x) + e*x", sp.tanh(x) + sp.E * x),
    ("maximum(0, x)", sp.Max(0, x)),
    ("5*x/(2*x)", sp.Rational(5, 2)),
]


@pytest.mark.parametrize(("text", "expected"), SCALARS, ids=[s[0] for s in SCALARS])
def test_a_scalar_function_is_one_expression_of_its_argument(text, expected):
    function = parse_scalar(text)
    assert function is Scalar.of(expected, 1)
    at = np.linspace(-2, 2, 9)
    assert function(at).shape == (9,) or expected.is_number


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("", "empty", None),
        ("3", "expected a function of one variable, found none", None),
        ("2*pi", "found none", None),
        ("x*y + x", "found 'x' and 'y'", 2),
        ("foo(x)", "unknown function 'foo'", 0),
        ("x @ x", "() @ (): @ needs an axis on both sides", 2),
        ("softmax(x)", "no axis to go along", 0),
        ("x - mean(x)", "has no axes to go over", 2),
        ("x/norm(x)", "has no axes to go over", 1),
        ("broadcast(x, 'n')", "has no axes to go over", 0),
        ("x/(x - x)", "not a finite real number", 1),
        ("1/0 + x", "not a finite real number", 1),
        ("lambda x: x", ELSE, 0),
    ],
)
def test_a_fault_in_a_scalar_function_has_its_place_too(text, message, column):
    with pytest.raises(ExpressionError) as caught:
        parse_scalar(text)
    assert message in str(caught.value)
    assert caught.value.column == column
