"""Formulas whose emitted code was once wrong, or did not run: value and slope in every language."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.emit import lower
from pullback.emit.expression.brackets import pairs
from pullback.emit.expression.printer import printed
from pullback.emit.expression.quote import quote, variable
from pullback.emit.target import numpy as readable
from pullback.emit.target.language import Task
from pullback.ir import Add, Axis, Contract, Input, Named
from pullback.net.program import execute

EXPRESSIONS = [
    # a transpose of a difference, of a sum, of a product, beside others
    ("sumsq((X@W).T-Y)", dict(X="n d", W="d k", Y="k n")),
    ("sumsq((X@W+Z).T*Y)", dict(X="n d", W="d k", Y="k n", Z="n k")),
    ("sumsq(Y-2*(X@W).T)", dict(X="n d", W="d k", Y="k n")),
    ("sum((A@B)*(C-(B.T@A.T).T))", dict(A="n d", B="d k", C="n k")),
    # two products added that stand in two orientations
    (
        "trace(A@X@rename(B,k='l'))+trace(C@X@rename(D,p='l'))",
        dict(A="k n", B="m k", C="p n", D="m p", X="n m"),
    ),
    # a variable under two names of one axis, whose length only the data tell
    ("sum(tanh(X.T @ rename(X, d='j')))", dict(X="n d")),
    ("sum(exp(broadcast(X, 'j') - broadcast(rename(X, n='j')/9, 'n')))", dict(X="n d")),
    ("sum((X @ rename(X, n='j').T)**2)", dict(X="n d")),
    ("sum(X[1:]*X[:-1]) + sum(X[:, 0])", dict(X="n d")),
    # a scalar function under an operator
    ("sum(gelu(x)**2)", dict(x="n")),
    ("sum(silu(x)**3 - 2**silu(x))", dict(x="n")),
    ("sum(1/silu(x+9))", dict(x="n")),
    ("sum(atan(silu(x))/gelu(x + 5))", dict(x="n")),
    ("sum(-elu(x)**2 * selu(x)**2)", dict(x="n")),
    ("sum(where(x > 0, where(x > 1, 2*x, 3), 0.1*x))", dict(x="n")),
    ("sum(where(maximum(x, 0.2) > 0.5, x**2, 0.3))", dict(x="n")),
    ("sum(where(x > 0, 0.1, 0.7)*x)", dict(x="n")),
    ("sum(maximum(x, minimum(0.3, x**2)) + maximum(0.1, 0.2*x))", dict(x="n")),
    ("sum(x/sqrt(1+x**2) + sqrt(sqrt(1+x**2)))", dict(x="n")),
    ("-sum(-x**2 - (-x)**3)", dict(x="n")),
    ("sum(x**2)**2 / (1 + sum(x))**2", dict(x="n")),
]
TARGETS: dict[str, Any] = {
    "numpy": np.asarray,
    "numba": np.asarray,
    "jax": lambda a: __import__("jax").numpy.asarray(a),
    "torch": lambda a: __import__("torch").as_tensor(a),
}
COMPILED = (0, 4, 5, 10, 13)  # for Numba and jax, which take seconds each
CASES = [
    (target, at, square)
    for target in TARGETS
    for at in range(len(EXPRESSIONS))
    for square in (False, True)  # of square matrices a wrong transpose has the right shape
    if target in ("numpy", "torch") or (at in COMPILED and not square)
]


@pytest.mark.parametrize(("target", "at", "square"), CASES)
def test_code_gives_what_the_expression_gives(target: str, at: int, square: bool) -> None:
    if target == "jax":
        __import__("jax").config.update("jax_enable_x64", True)
    text, axes = EXPRESSIONS[at]
    sizes = dict(n=3, d=4, k=2, m=5, p=2)
    sizes = dict.fromkeys(sizes, 3) if square else sizes
    rng = np.random.default_rng(at)
    values = {v: rng.normal(size=[sizes[a] for a in over.split()]) for v, over in axes.items()}
    expression, names = pb.expr(text, **axes), list(axes)
    code = execute(pb.derive(expression, wrt=names).code(target), {})
    convert = TARGETS[target]
    value, slopes = code["value_and_grad"](*(convert(values[v.name]) for v in expression.leaves))
    expected, known = expression.function(wrt=names)(**values)
    assert float(value) == pytest.approx(expected, rel=1e-12)
    for name in names:
        np.testing.assert_allclose(np.asarray(slopes[name]), known[name], rtol=1e-9, atol=1e-12)


def test_a_product_is_turned_inside_and_not_around() -> None:
    k, n, m, p = (Axis(name) for name in "knmp")
    A, X, B, C = Input("A", (k, n)), Input("X", (n, m)), Input("B", (m, p)), Input("C", (p, k))
    total = Add((Contract((A, X), (k, m)), Contract((B, C), (m, k))))
    program = lower({"s": Named("s", total)}, readable.RESERVED, (A, X, B, C))
    source = readable.emit([Task("f", "Two products.", program, {"s": "s"})], ["f"])
    assert "s = A @ X + C.T @ B.T" in source or "s = B @ C + X.T @ A.T" in source


def test_a_product_of_the_value_is_not_multiplied_again_for_the_gradient() -> None:
    e = pb.expr(*EXPRESSIONS[4][:1], **EXPRESSIONS[4][1])
    source = pb.derive(e, wrt="X").code("numpy")
    assert source.partition("def ")[2].count("@") == 2
    assert "dX = t_3 + t.T" in source


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("(a + b) * c", "(a + b) * c"),
        ("a - (b - c)", "a - (b - c)"),
        ("a - b - c", "a - b - c"),
        ("a / (b * c) / d", "a / (b * c) / d"),
        ("-(a ** 2)", "-a ** 2"),
        ("(-a) ** 2", "(-a) ** 2"),
        ("(a ** b) ** c", "(a ** b) ** c"),
        ("a ** b ** c", "a ** b ** c"),
        ("a ** -b", "a ** -b"),
        ("(a + b).T @ c", "(a + b).T @ c"),
        ("(a @ b) * c", "(a @ b) * c"),
        ("a * (b @ c)", "a * (b @ c)"),
        ("(a if b else c) + d", "(a if b else c) + d"),
        ("a if b else (c if d else e)", "a if b else c if d else e"),
        ("(a if b else c) if d else e", "(a if b else c) if d else e"),
        ("f(a + b, k=-c)[:, None][0]", "f(a + b, k=-c)[:, None][0]"),
    ],
)
def test_brackets_stand_where_they_are_needed(template: str, text: str) -> None:
    assert printed(quote(template)) == text


def test_a_hole_brings_its_own_brackets() -> None:
    total = quote("a + b")
    assert printed(quote("x ** 2 * y.T", x=total, y=total)) == "(a + b) ** 2 * (a + b).T"
    assert printed(quote("f(x)", x=variable("x"), f=variable("g"))) == "g(x)"


def test_an_axis_of_size_one_makes_no_array_of_three_axes() -> None:
    n, o, h = Axis("n"), Axis("o", 1), Axis("h", 4)
    first, _ = pairs([(n, o), (o, h), (n, h)], (n, h))[0], None
    assert first == (0, 1)
