"""Each identity in two notations: right, printed as it stands here, and the same in any order."""

from __future__ import annotations

import ast
import re

import numpy as np
import pytest
from identities import IDENTITIES, SECOND

import pullback as pb

jax = pytest.importorskip("jax")
jnp = jax.numpy
SIZES = {"n": 4, "m": 3, "k": 2, "l": 5}


def norm(x, order=None):
    return jnp.sqrt(jnp.sum(x * x))


NAMES = {
    "inv": jnp.linalg.inv, "det": jnp.linalg.det, "tr": jnp.trace, "solve": jnp.linalg.solve,
    "logdet": lambda X: jnp.linalg.slogdet(X)[1], "matrix_power": jnp.linalg.matrix_power,
    "kron": jnp.kron, "diag": jnp.diag, "outer": jnp.outer, "norm": norm, "sum": jnp.sum,
    "max": jnp.max, "log": jnp.log, "exp": jnp.exp, "sin": jnp.sin, "softmax": jax.nn.softmax,
    "relu": jax.nn.relu, "arctan": jnp.arctan, "arcsin": jnp.arcsin,
}  # fmt: skip


def declared(axes):
    return {name: over.strip() for name, over in re.findall(r"(\w+)=([^=]*)(?=\b\w+=|$)", axes)}


def drawn(axes):
    """Numbers for each variable: square matrices with an inverse, symmetric and diagonal ones."""
    rng = np.random.default_rng(0)
    found = {}
    for name, words in axes.items():
        over = [SIZES[word] for word in words.split() if word in SIZES]
        found[name] = rng.uniform(0.5, 1.5, over)
        if len(over) == 2 and over[0] == over[1]:
            found[name] = found[name] + 2 * np.eye(over[0])
        if "sym" in words:
            found[name] = found[name] + found[name].T
        if "diag" in words:
            found[name] = np.diag(np.diag(found[name]))
    return found


def by_jax(text, wrt, axes, values, order=1):
    def value(held):
        return eval(text, {"__builtins__": {}}, NAMES | values | {wrt: held})  # noqa: S307  ours

    for _ in range(order):
        value = moved(value, axes[wrt])
    with jax.enable_x64(True):
        return np.asarray(value(jnp.asarray(values[wrt])))


def moved(value, over):
    """The derivative; an entry of a symmetric matrix moves its mirror image, too."""

    def slope(held):
        found = jax.jacobian(value)(held)
        if "diag" in over:
            return found * jnp.eye(SIZES["n"])
        if "sym" in over:
            return found + jnp.swapaxes(found, -1, -2) - found * jnp.eye(SIZES["n"])
        return found

    return slope


class Swapped(ast.NodeTransformer):
    """The operands of + and * in the other order."""

    def visit_BinOp(self, node):
        self.generic_visit(node)
        if isinstance(node.op, ast.Add | ast.Mult):
            node.left, node.right = node.right, node.left
        return node


def printed(e, wrt, order=1):
    kinds = ("Gradient", "Jacobian") if order == 1 else ("Hessian", "Second derivatives")
    steps = pb.derive(e, wrt=wrt, order=order).steps
    return next(step for step in steps if step.title in kinds).lines[0].text().partition(" = ")[2]


@pytest.mark.parametrize(("text", "matlab", "wrt", "form", "axes"), IDENTITIES)
def test_an_identity(text, matlab, wrt, form, axes):
    axes = declared(axes)
    values = drawn(axes)
    e = pb.expr(text, **axes)
    expected = by_jax(text, wrt, axes, values)
    np.testing.assert_allclose(e.derivative(wrt)(**values), expected, rtol=1e-9, atol=1e-9)
    assert printed(e, wrt) == form
    other = pb.expr(matlab, dialect="matlab", **axes)
    np.testing.assert_allclose(other.derivative(wrt)(**values), expected, rtol=1e-9, atol=1e-9)
    assert printed(other, wrt) == form
    backwards = dict(reversed(axes.items()))
    assert printed(pb.expr(text, **backwards), wrt) == form
    swapped = ast.unparse(Swapped().visit(ast.parse(text, mode="eval")))
    assert printed(pb.expr(swapped, **axes), wrt) == form


@pytest.mark.parametrize(("text", "wrt", "form", "axes"), SECOND)
def test_a_second_derivative(text, wrt, form, axes):
    axes = declared(axes)
    values = drawn(axes)
    e = pb.expr(text, **axes)
    expected = by_jax(text, wrt, axes, values, order=2)
    np.testing.assert_allclose(e.derivative(wrt, 2)(**values), expected, rtol=1e-9, atol=1e-9)
    assert printed(e, wrt, order=2) == form


# nothing is declared: which axes each name has, the text tells
GUESSED = [
    ("x.T@A@y", 'x="n", A="n m", y="m"'),
    ("tr(A@X.T@B@X@C)", 'A="n m", X="k m", B="k k", C="m n"'),
    ("log(det(inv(X)))", 'X="n n"'),
    ("logdet(A + c*eye(n))", 'A="n n", c=""'),
    ("sum((X@w + b - y)**2)", 'X="n m", w="m", b="", y="n"'),
    ("sum(X, axis=0)@x", 'X="n m", x="m"'),
    ("where(x > 0, x, a*x)", 'x="n", a=""'),
    ("norm(solve(A, x)[1:])", 'A="n n", x="n"'),
    ("norm2(A*x - y)^2", 'A="n m", x="m", y="n"'),
]


@pytest.mark.parametrize(("text", "axes"), GUESSED)
def test_names_that_nobody_declared(text, axes):
    e = pb.expr(text)
    assert e.notes[0].startswith(f"Nobody declared {axes}:")
    assert pb.derive(e, wrt=e.leaves[0].name).proof.ok


@pytest.mark.parametrize("text", ["A*exp(x)", "X*Y", "x*y", "X/Y"])
def test_what_two_notations_mean_otherwise_has_to_be_told(text):
    with pytest.raises(pb.errors.ExpressionError, match="say dialect='numpy' or dialect='matlab'"):
        pb.expr(text)
