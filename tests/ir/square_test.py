"""Square matrices: what is computed is what NumPy computes, and slopes are those of jax."""

import numpy as np
import pytest

import pullback as pb
from pullback.errors import AxisError, ExpressionError, ShapeError

LENGTHS = {"n": 3, "m": 4}
N, NN = "n", "n n"
FORMULAS = {
    "0.5*x.T@A@x": ({"x": N, "A": NN}, lambda np, x, A: 0.5 * x @ A @ x),
    "trace(X@X@B)": ({"X": NN, "B": NN}, lambda np, X, B: np.trace(X @ X @ B)),
    "tr(A@X.T@B@X@C)": (
        {"A": NN, "X": NN, "B": NN, "C": NN},
        lambda np, A, X, B, C: np.trace(A @ X.T @ B @ X @ C),
    ),
    "trace(A@B@A.T)": ({"A": NN, "B": NN}, lambda np, A, B: np.trace(A @ B @ A.T)),
    "trace(A@B)": ({"A": "m n", "B": "n m"}, lambda np, A, B: np.trace(A @ B)),
    "norm2sq(X - X.T)": ({"X": NN}, lambda np, X: ((X - X.T) ** 2).sum()),
    "norm2sq(X@X.T)": ({"X": "m n"}, lambda np, X: ((X @ X.T) ** 2).sum()),
    "norm2sq(X.T@X + A)": ({"X": "m n", "A": NN}, lambda np, X, A: ((X.T @ X + A) ** 2).sum()),
    "norm2sq(B@X - B)": ({"B": "m n", "X": NN}, lambda np, B, X: ((B @ X - B) ** 2).sum()),
    "x@A@A@x": ({"x": N, "A": NN}, lambda np, x, A: x @ A @ A @ x),
    "sum(outer(x, x)*A)": ({"x": N, "A": NN}, lambda np, x, A: (np.outer(x, x) * A).sum()),
    "sum(outer(x, A)*outer(A, x))": (
        {"x": N, "A": NN},
        lambda np, x, A: (np.einsum("i,jk->ijk", x, A) * np.einsum("ij,k->ijk", A, x)).sum(),
    ),
    "sum(diag(v)@X@w)": (
        {"v": N, "X": NN, "w": N}, lambda np, v, X, w: (np.diag(v) @ X @ w).sum(),
    ),
    "sum(exp(diag(X)))": ({"X": NN}, lambda np, X: np.exp(np.diag(X)).sum()),
    "sum(sum(X, axis=0)**3)": ({"X": NN}, lambda np, X: (X.sum(0) ** 3).sum()),
    "sum(sum(X, axis=-1)**3)": ({"X": NN}, lambda np, X: (X.sum(-1) ** 3).sum()),
    "sum(X[:, 0]*X[1, :])": ({"X": NN}, lambda np, X: (X[:, 0] * X[1, :]).sum()),
    "sum(softmax(X@w)@X)": (
        {"X": NN, "w": N},
        lambda np, X, w: (np.exp(X @ w) / np.exp(X @ w).sum() @ X).sum(),
    ),
}  # fmt: skip


def shapes(axes):
    return {name: tuple(LENGTHS[each] for each in row.split()) for name, row in axes.items()}


@pytest.mark.parametrize("text", FORMULAS)
def test_values_slopes_and_code_are_those_of_jax(text):
    jax = pytest.importorskip("jax")
    axes, theirs = FORMULAS[text]
    rng = np.random.default_rng(0)
    values = {name: rng.standard_normal(shape) for name, shape in shapes(axes).items()}
    expression = pb.expr(text, **axes)
    value, slopes = expression.function(wrt=list(axes))(**values)
    names = {}
    exec(pb.derive(expression, wrt=list(axes)).code("numpy"), names)  # noqa: S102  our own
    printed, printed_slopes = names["value_and_grad"](*values.values())
    with jax.enable_x64(True):
        known = jax.grad(lambda held: theirs(jax.numpy, **held))(values)
    assert value == pytest.approx(theirs(np, **values), rel=1e-12)
    assert printed == pytest.approx(value, rel=1e-12)
    for name in axes:
        np.testing.assert_allclose(slopes[name], known[name], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(printed_slopes[name], known[name], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("text", "axes", "over"),
    [("X@X.T", {"X": "m n"}, "mm"), ("X.T@X", {"X": "m n"}, "nn"), ("A@X.T", {"A": NN, "X": "m n"},
     "nm"), ("diag(v)", {"v": N}, "nn"), ("A.T", {"A": NN}, "nn")],
)  # fmt: skip
def test_products_have_the_axes_of_rows_and_columns(text, axes, over):
    found = pb.expr(text, **axes).node.axes
    assert "".join(axis.unprimed.name for axis in found) == over


def test_a_declaration_is_repeated_as_it_was_written():
    assert repr(pb.expr("trace(A)", A=NN)) == "expr('trace(A)', A='n n')"


def test_a_matrix_that_is_not_square_is_refused():
    for text in ("trace(A)", "sum(A)"):
        with pytest.raises(ShapeError, match=r"A has shape .*'n' to be of one length: 3 or 4"):
            pb.expr(text, A=NN)(A=np.ones((3, 4)))


def test_an_axis_three_times_is_refused():
    with pytest.raises(AxisError, match="has the axis 'n' 3 times"):
        pb.expr("sum(A)", A="n n n")


def test_more_than_matrices_have_no_axis_twice():
    with pytest.raises(AxisError, match="both sides have 'b'"):
        pb.expr("A@B", A="b i j", B="b j k")


@pytest.mark.parametrize(
    "text",
    ["C@(B@B.T).T + (C@(B.T@C.T).T).T", "X@B.T + (C@(B.T@C.T)).T", "(B@X).T@(X@C.T).T + B",
     "C.T@(B.T@C.T) + (C@(B.T@X).T).T", "((B.T@X).T + (X@C)).T@B", "(X@C).T + exp((B@X).T)*C"],
)  # fmt: skip
def test_transposes_inside_of_one_another_keep_their_values(text):
    rng = np.random.default_rng(0)
    values = {name: rng.standard_normal((3, 3)) for name in "BCX" if name in text}
    expected = eval(text, {"exp": np.exp} | values)  # noqa: S307  our own texts
    found = pb.expr(text, **dict.fromkeys(values, NN))(**values)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_a_function_may_stand_behind_the_name_of_its_library():
    X = np.random.default_rng(0).standard_normal((3, 3)) + 3 * np.eye(3)
    found = pb.expr("np.trace(np.linalg.inv(X)) + np.sum(np.exp(X))", X=NN)(X=X)
    assert found == pytest.approx(np.trace(np.linalg.inv(X)) + np.exp(X).sum(), rel=1e-12)
    with pytest.raises(ExpressionError, match="write A @ B"):
        pb.expr("np.dot(X, X)", X=NN)
    with pytest.raises(AxisError, match="takes a square matrix"):
        pb.expr("np.linalg.inv(A)", A="m n")
