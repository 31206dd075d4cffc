"""vec, vech and kron are NumPy's, their slopes jax's; what undoes one another is gone."""

import numpy as np
import pytest

import pullback as pb
from pullback.errors import MisfitError, ShapeError
from pullback.ir.stack import stacks_of

N, M = 3, 2
LENGTHS = {"n": N, "m": M, "mn": M * N, "n_half": N * (N + 1) // 2}
AXES = {"A": "n n", "X": "n n", "W": "n m", "B": "m m", "p": "mn", "x": "n", "y": "m",
        "h": "n_half"}  # fmt: skip
VALUES = {
    name: np.random.default_rng(at).normal(size=[LENGTHS[axis] for axis in over.split()])
    for at, (name, over) in enumerate(AXES.items())
}


def vec(np, X):
    return X.T.reshape(-1)


def vech(np, X):
    return np.concatenate([X[at:, at] for at in range(N)])


# the text, the variables, the same in NumPy or jax
FORMULAS = [
    ("vec(W)", "W", lambda np, W: vec(np, W)),
    ("vec(A@W@B)", "A W B", lambda np, A, W, B: vec(np, A @ W @ B)),
    ("p@vec(A@W)", "p A W", lambda np, p, A, W: p @ vec(np, A @ W)),
    ("exp(vec(W))*p", "W p", lambda np, W, p: np.exp(vec(np, W)) * p),
    ("kron(A, W)", "A W", lambda np, A, W: np.kron(A, W)),
    ("kron(x, y)", "x y", lambda np, x, y: np.kron(x, y)),
    ("kron(B, A)@vec(W)", "B A W", lambda np, B, A, W: np.kron(B, A) @ vec(np, W)),
    ("kron(A, A)@kron(X, A)", "A X", lambda np, A, X: np.kron(A, A) @ np.kron(X, A)),
    ("tr(kron(A, X)) + tr(kron(X, X))", "A X",
     lambda np, A, X: np.trace(A) * np.trace(X) + np.trace(X) ** 2),
    ("logdet(kron(A, B))", "A B", lambda np, A, B: np.linalg.slogdet(np.kron(A, B))[1]),
    ("vec(W).T@kron(B, A)@vec(W)", "W B A",
     lambda np, W, B, A: vec(np, W) @ np.kron(B, A) @ vec(np, W)),
    ("vech(X)", "X", lambda np, X: vech(np, X)),
    ("h@vech(X@X.T)", "h X", lambda np, h, X: h @ vech(np, X @ X.T)),
]  # fmt: skip


def declared(names):
    return {name: AXES[name] for name in names.split()}


@pytest.mark.parametrize(("text", "names", "function"), FORMULAS)
def test_values_and_slopes(text, names, function):
    jax = pytest.importorskip("jax")
    e, values = pb.expr(text, **declared(names)), {name: VALUES[name] for name in names.split()}
    np.testing.assert_allclose(e(**values), function(np, **values), rtol=1e-12)
    with jax.enable_x64(True):
        arrays = [jax.numpy.asarray(value) for value in values.values()]
        places = tuple(range(len(arrays)))
        slopes = jax.jacobian(lambda *a: function(jax.numpy, *a), places)(*arrays)
    for name, slope in zip(values, slopes, strict=True):
        np.testing.assert_allclose(e.derivative(name)(**values), slope, rtol=1e-9, atol=1e-12)
    assert pb.derive(e, wrt=names.split()).proof.ok


@pytest.mark.parametrize(
    ("text", "dialect", "form"),
    [
        ("tr(kron(A, X))", "numpy", "∂L/∂X = tr(A) I"),
        ("tr(kron(X, X))", "numpy", "∂L/∂X = 2 tr(X) I"),
        ("vec(A*X*B)", "matlab", "∂f/∂vec(X) = Bᵀ ⊗ A"),
        ("vec(X)'*vec(Y)", "matlab", "∂L/∂X = Y"),
        ("p'*vec(A*X)", "matlab", "∂L/∂X = Aᵀ mat(p)"),
        ("kron(A, B)*vec(X)", "matlab", "∂f/∂vec(X) = A ⊗ B"),
    ],
)
def test_forms(text, dialect, form):
    axes = declared("A X") if "A" in text else declared("X")
    e = pb.expr(text, dialect=dialect, **(axes if dialect == "numpy" else {}))
    assert pb.derive(e, wrt="X").steps[-1].lines[0].text() == form


def test_a_trace_of_kronecker_is_two_traces_and_has_code():
    e = pb.expr("tr(kron(A, X))", **declared("A X"))
    assert not stacks_of([e.node])
    made = {}
    exec(pb.derive(e, wrt="X").code("numpy"), made)  # noqa: S102  our own
    value, slopes = made["value_and_grad"](VALUES["A"], VALUES["X"])
    assert value == pytest.approx(np.trace(VALUES["A"]) * np.trace(VALUES["X"]))
    assert np.allclose(slopes["X"], np.trace(VALUES["A"]) * np.eye(N))
    assert e.gradient("X").text == "tr(A)*eye(n)"


def test_what_does_not_fit_is_refused():
    with pytest.raises(MisfitError, match=r"'n' does not meet 'mn'"):
        pb.expr("x@vec(W)", **declared("x W"))
    with pytest.raises(MisfitError, match="vech takes a square matrix"):
        pb.expr("vech(W)", **declared("W"))
    with pytest.raises(MisfitError, match="kron takes two matrices"):
        pb.expr("kron(A, x)", **declared("A x"))
    with pytest.raises(ShapeError, match="2 · 3 entries"):
        pb.expr("p@vec(W)", **declared("p W"))(W=np.ones((3, 2)), p=np.ones(5))
    with pytest.raises(MisfitError, match="vec takes a matrix, found a row"):
        pb.expr("vec(x')")
