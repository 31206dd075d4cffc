"""MATLAB's notation: every example of the web form's documentation, typed as people type it.

Right is what jax differentiates in float64. A text in two notations, and what neither has, is an
error with a caret under the reader's own text.
"""

import numpy as np
import pytest

import pullback as pb
from pullback.errors import ExpressionError, MisfitError, UnknownNameError

jax = pytest.importorskip("jax")
jnp = jax.numpy


def norm2(x):
    return jnp.sqrt(jnp.sum(x * x))


# the text, the variables, the same in jax
EXAMPLES = [
    ("0.5*x'*A*x", "x A", lambda x, A: 0.5 * x @ A @ x),
    ("A*exp(x)", "A x", lambda A, x: A @ jnp.exp(x)),
    ("sin(x)'*y", "x y", lambda x, y: jnp.sin(x) @ y),
    ("(y.*v)'*x", "y v x", lambda y, v, x: (y * v) @ x),
    ("a^b", "a b", lambda a, b: a**b),
    ("norm1(A*x-y)", "A x y", lambda A, x, y: jnp.abs(A @ x - y).sum()),
    ("norm2(A*x-y)^2", "A x y", lambda A, x, y: norm2(A @ x - y) ** 2),
    ("sum(log(exp(-y.*(X*w)) + vector(1)))", "y X w",
     lambda y, X, w: jnp.log(jnp.exp(-y * (X @ w)) + 1).sum()),
    ("tr(A*X'*B*X*C)", "A X B C", lambda A, X, B, C: jnp.trace(A @ X.T @ B @ X @ C)),
    ("log(det(inv(X)))", "X", lambda X: jnp.log(jnp.linalg.det(jnp.linalg.inv(X)))),
]  # fmt: skip
MORE = [
    ("x*y'", "x y", lambda x, y: jnp.outer(x, y)),
    ("x*x'*x", "x", lambda x: x * (x @ x)),
    ("X^2", "X", lambda X: X @ X),
    ("tr(X^-1)", "X", lambda X: jnp.trace(jnp.linalg.inv(X))),
    ("x'.^2*y", "x y", lambda x, y: x**2 @ y),
    ("-x.^2", "x", lambda x: -(x**2)),
    ("A\\x", "A x", lambda A, x: jnp.linalg.solve(A, x)),
    ("x'/A", "x A", lambda x, A: x @ jnp.linalg.inv(A)),
    ("(A'*A + c*eye)\\(A'*y)", "A c y",
     lambda A, c, y: jnp.linalg.solve(A.T @ A + c * jnp.eye(A.shape[1]), A.T @ y)),
    ("tr(X*(matrix(2) - Y'))", "X Y", lambda X, Y: jnp.trace(X @ (2 - Y.T))),
    ("sum(max(x, y))*a/2", "x y a", lambda x, y, a: jnp.maximum(x, y).sum() * a / 2),
    ("diag(x)*A*diag(y)", "x A y", lambda x, A, y: x[:, None] * A * y),
    ("2.*x'*y + 1./c", "x y c", lambda x, y, c: 2 * x @ y + 1 / c),
    ("x.'*A'", "x A", lambda x, A: A @ x),
]  # fmt: skip


def drawn(e):
    """Arrays in which axes of two names have two lengths; a square one has an inverse."""
    rng = np.random.default_rng(0)
    sizes = {}
    found = {}
    for leaf in e.leaves:
        names = [axis.unprimed.name for axis in leaf.axes]
        shape = [sizes.setdefault(name, 3 + len(sizes)) for name in names]
        found[leaf.name] = rng.uniform(0.5, 2.0, shape)
        if len(shape) == 2 and shape[0] == shape[1]:
            found[leaf.name] += 4 * np.eye(shape[0])
    return found


@pytest.mark.parametrize(("text", "names", "function"), EXAMPLES + MORE)
def test_a_text_of_matlab_means_what_jax_computes(text, names, function):
    e = pb.expr(text, dialect="matlab")
    values, names = drawn(e), names.split()
    assert {leaf.name for leaf in e.leaves} == set(names)
    with jax.enable_x64(True):
        arrays = [jnp.asarray(values[name]) for name in names]
        assert np.allclose(e(**values), function(*arrays), rtol=1e-9, atol=1e-12, equal_nan=True)
        slopes = jax.jacobian(function, tuple(range(len(names))))(*arrays)
    for name, slope in zip(names, slopes, strict=True):
        found = e.derivative(name)(**values)
        assert np.allclose(found, slope, rtol=1e-9, atol=1e-12), name


@pytest.mark.parametrize(
    "text", ["0.5*x'*A*x", "y.*v", "x./y", "x.^2", "(x)'", "x.'*y", "X'", "5'"]
)
def test_matlab_is_recognised(text):
    assert pb.expr(text).dialect == "matlab"


@pytest.mark.parametrize(
    ("text", "axes"),
    [
        ("x.T@x", {"x": "n"}),
        ("2.*x", {"x": "n"}),
        ("sum(X, axis='n')", {"X": "n d"}),
        ("x", {"x": ""}),
    ],
)
def test_numpy_stays_numpy(text, axes):
    assert pb.expr(text, **axes).dialect == "numpy"


def test_what_nobody_declared_is_said():
    e = pb.expr("a*x'*A*y")
    (note,) = e.notes
    assert 'a="", x="n", A="n m", y="m"' in note
    assert note in pb.derive(e, wrt="x").note
    assert pb.expr("a*x'*A*y", a="", x="i", A="i j", y="j").notes == ()


def test_declared_names_keep_their_axes_and_structure():
    e = pb.expr("x'*A*x", A="d d sym")
    assert repr(e) == "expr(\"x'*A*x\", dialect='matlab', A='d d sym', x='d')"
    assert e.structure("A") == "sym"


def test_the_code_of_a_text_of_matlab_runs():
    e = pb.expr("norm2(A\\x - y)^2", dialect="matlab")
    values, made = drawn(e), {}
    exec(pb.derive(e, wrt=["A", "x"]).code("numpy"), made)  # noqa: S102 -- what we emitted
    value, slopes = made["value_and_grad"](**values)
    assert np.allclose(value, e(**values), rtol=1e-12)
    assert np.allclose(slopes["A"], e.function("A")(**values)[1]["A"], rtol=1e-12)


BAD = [
    ("x'@y", "' is MATLAB's and @ NumPy's", [1, 2]),
    ("x'*A*X.T", "' is MATLAB's and .T NumPy's", [1, 6]),
    ("y**2 + x.*y", "** is NumPy's and .* MATLAB's", [1, 8]),
    ("x*y + x'", "a column times a column", [1]),
    ("(x)' + x", "a row and a column do not meet", [5]),
    ("x'*X + x^2", "a column to the power of a number", [8]),
    ("x'*x + a^b^c", "write the parentheses", [10]),
    ("X^c*x'", "a matrix to the power of a number", [1]),
    ("inv(x)*y'", "inv takes a square matrix, found a column", [0]),
    ("norm(X')", "largest singular value", [0]),
    ("foo(x')", "unknown function 'foo'", [0]),
    ("log(x', y)", "log takes 1 argument, found 2", [0]),
    ("ones(x')", "write vector(1) or matrix(1)", [0]),
    ("sum(x(1:3))'", "slices are read in NumPy's notation, from 0: x[0:3] for x(1:3)", [7]),
    ("x'*x(end)", "'x' is a variable, not a function; slices are read in NumPy's", [3]),
    ("x(1)'", "'x' is no function; slices are read in NumPy's notation", [0]),
    ("vector(x)'*x", "vector takes one number, as vector(1), found a column", [0]),
    ("vector(1)'*vector(1)", "nothing says how long", [0]),
    ("x'*eye(3)*x", "write eye alone", [3]),
    ("x'?", "'?' does not belong in MATLAB's notation", [2]),
    ("x'*[1]", "give them a name", [3]),
    ("x'*λ", "declare 'λ'", [3]),
    ("lambda*x'*x", "Python keeps the word", [0]),
    ("2x'", "expected an operator, found 'x'", [1]),
    ("x'*", "found the end", [3]),
    ("((x'", "expected ')', found the end", [4]),
    ("é*x'", "declare 'é'", [0]),
    ("x'*" + "(" * 5000, "nested more than 60 deep", None),
    ("x'*" + "-" * 5000 + "x", "at most 2000 are read", None),
    ("x'*" + "-" * 500 + "x", "nested more than 60 deep", None),
    ("x" + "'" * 5000 + "*" + "+".join("x" * 4000), "characters; at most", None),
    ("x'*" + "9" * 5000, "too many digits", [3]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message", "carets"), BAD)
def test_what_is_wrong_is_said_at_its_place(text, message, carets):
    with pytest.raises(ExpressionError) as caught:
        pb.expr(text)
    assert message in str(caught.value)
    if carets is not None:
        last = str(caught.value).splitlines()[-1]
        assert [at - 2 for at, sign in enumerate(last) if sign == "^"] == carets


def test_axes_that_two_names_have_do_not_meet():
    with pytest.raises(MisfitError, match=r"'d' \* 'n' do not meet"):
        pb.expr("A*x", dialect="matlab", A="n d", x="n")
    with pytest.raises(MisfitError, match=r"square matrix, found \(n, d\)"):
        pb.expr("det(A)", dialect="matlab", A="n d")
    with pytest.raises(ExpressionError, match="has \\(n, m, k\\)"):
        pb.expr("A'", A="n m k")
    with pytest.raises(ExpressionError, match="'B' is declared"):
        pb.expr("A'", B="n m")


def test_a_dialect_that_nobody_speaks():
    with pytest.raises(UnknownNameError, match="known: matlab, numpy"):
        pb.expr("x", dialect="fortran", x="")
    with pytest.raises(ExpressionError, match="written \\* here"):
        pb.expr("X@w", dialect="matlab")


def test_the_entries_of_a_matrix_are_summed_and_it_is_said():
    assert any("MATLAB's goes by columns" in note for note in pb.expr("sum(X')").notes)


SIDES = {"x": (3, 1), "y": (4, 1), "A": (3, 4), "X": (3, 3), "c": (1, 1)}
OVER = {"x": "n", "y": "m", "A": "n m", "X": "n n", "c": ""}
HELD = {
    name: np.random.default_rng(at).uniform(0.5, 2.0, sides)
    for at, (name, sides) in enumerate(SIDES.items())
}


def written(rng, sides, depth):
    """A random text with these two sides, and its value, in which a vector has two sides, too."""
    fitting = [name for name in SIDES if SIDES[name] in (sides, sides[::-1])]
    if depth == 0 and fitting:
        name = str(rng.choice(fitting))
        turned = SIDES[name] != sides
        return (f"{name}'", HELD[name].T) if turned else (name, HELD[name])
    kind = rng.integers(5) if depth > 0 else 4
    if kind == 0:
        text, value = written(rng, sides[::-1], depth - 1)
        return f"({text})'", value.T
    if kind == 1:
        (a, mine), (b, theirs) = (written(rng, sides, depth - 1) for _ in range(2))
        sign = str(rng.choice(["+", "-", ".*"]))
        value = {"+": mine + theirs, "-": mine - theirs, ".*": mine * theirs}[sign]
        return f"({a}){sign}({b})", value
    if kind == 2:
        text, value = written(rng, sides, depth - 1)
        return f"sin({text}).^2", np.sin(value) ** 2
    if kind == 3:
        text, value = written(rng, sides, depth - 1)
        return f"c*({text})/2", HELD["c"][0, 0] * value / 2
    inner = int(rng.choice([1, 3, 4]))
    (a, mine), (b, theirs) = (
        written(rng, part, max(0, depth - 1)) for part in ((sides[0], inner), (inner, sides[1]))
    )
    return f"({a})*({b})", mine @ theirs


@pytest.mark.parametrize("seed", range(40))
def test_rows_and_columns_are_matrices_of_one_row_or_column(seed):
    rng = np.random.default_rng(seed)
    sides = tuple(int(side) for side in rng.choice([1, 3, 4], size=2))
    text, value = written(rng, sides, 3)
    used = {name: over for name, over in OVER.items() if name in text.replace("sin", "")}
    e = pb.expr(text, dialect="matlab", **used)
    found = e(**{n: HELD[n].reshape([s for s in SIDES[n] if s > 1]) for n in used})
    assert np.allclose(found, value.reshape(np.shape(found)), rtol=1e-9, atol=1e-12)
