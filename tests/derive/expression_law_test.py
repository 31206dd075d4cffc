"""The law: an expression's value, gradient and Hessian are jax's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from emitted import run
from zoo import close

import pullback as pb
from pullback.ir.evaluate import evaluate_all

jax = pytest.importorskip("jax")
jnp = jax.numpy
jax.config.update("jax_enable_x64", True)

SIZES = {"n": 5, "d": 3, "k": 3, "i": 3, "j": 4, "m": 2}


@dataclass(frozen=True)
class Row:
    """An expression, its axes, the variable, and the same in jax."""

    text: str
    axes: dict[str, str]
    wrt: str
    peer: Callable[..., Any]

    def __repr__(self) -> str:
        return self.text

    def data(self) -> dict[str, Any]:
        """Numbers between 0.3 and 1.7, away from kinks and from the ends of logarithms."""
        rng = np.random.default_rng(len(self.text))
        return {
            name: rng.uniform(0.3, 1.7, [SIZES[axis] for axis in axes.split()])
            for name, axes in self.axes.items()
        }


def row(text: str, wrt: str, peer: Callable[..., Any], **axes: str) -> Row:
    return Row(text, axes, wrt, peer)


REGRESSION = dict(X="n d", y="n", w="d")
CLASSES = dict(X="n d", Y="n k", W="d k")
softplus = jax.nn.softplus
TABLE = [
    row("sum((X@w-y)**2)/2", "w", lambda X, y, w: jnp.sum((X @ w - y) ** 2) / 2, **REGRESSION),
    row("mean((X@w-y)**2)", "w", lambda X, y, w: jnp.mean((X @ w - y) ** 2), **REGRESSION),
    row(
        "mean(log(1+exp(-y*(X@w))))",
        "w",
        lambda X, y, w: jnp.mean(softplus(-y * (X @ w))),
        **REGRESSION,
    ),
    row(
        "sum((X@w-y)**2)/2 + 0.1*sum(w**2)",
        "w",
        lambda X, y, w: jnp.sum((X @ w - y) ** 2) / 2 + 0.1 * jnp.sum(w**2),
        **REGRESSION,
    ),
    row("norm(X@w-y)", "w", lambda X, y, w: jnp.linalg.norm(X @ w - y), **REGRESSION),
    row("logsumexp(X@w)", "w", lambda X, w: jax.nn.logsumexp(X @ w), X="n d", w="d"),
    row(
        "mean(logsumexp(X@W, axis='k') - sum(Y*(X@W), axis='k'))",
        "W",
        lambda X, Y, W: jnp.mean(jax.nn.logsumexp(X @ W, 1) - jnp.sum(Y * (X @ W), 1)),
        **CLASSES,
    ),
    row(
        "-mean(sum(Y*log(softmax(X@W, axis='k')), axis='k'))",
        "W",
        lambda X, Y, W: -jnp.mean(jnp.sum(Y * jax.nn.log_softmax(X @ W), 1)),
        **CLASSES,
    ),
    row("sum(A@B@u)", "B", lambda A, B, u: jnp.sum(A @ B @ u), A="i j", B="j k", u="k"),
    row("sum((A@B)**2)", "B", lambda A, B: jnp.sum((A @ B) ** 2), A="i j", B="j k"),
    row("norm(A@B)", "A", lambda A, B: jnp.linalg.norm(A @ B), A="i j", B="j k"),
    row(
        "x@(A@rename(x,d='i'))/2 - b@x",
        "x",
        lambda x, A, b: x @ A @ x / 2 - b @ x,
        x="d",
        A="d i",
        b="d",
    ),
    row("trace(A)", "A", lambda A: jnp.trace(A), A="i d"),
    row("trace(A@rename(A,i='d',d='k'))", "A", lambda A: jnp.trace(A @ A), A="i d"),
    row("sum(exp(w))", "w", lambda w: jnp.sum(jnp.exp(w)), w="d"),
    row("sum(w*log(w))", "w", lambda w: jnp.sum(w * jnp.log(w)), w="d"),
    row("sum(log(w)) - sum(sqrt(w))", "w", lambda w: jnp.sum(jnp.log(w) - jnp.sqrt(w)), w="d"),
    row("sum(1/w)", "w", lambda w: jnp.sum(1 / w), w="d"),
    row("sum(w)/sum(w**2)", "w", lambda w: jnp.sum(w) / jnp.sum(w**2), w="d"),
    row("exp(mean(log(w)))", "w", lambda w: jnp.exp(jnp.mean(jnp.log(w))), w="d"),
    row("sum(tanh(X@w))", "w", lambda X, w: jnp.sum(jnp.tanh(X @ w)), X="n d", w="d"),
    row("sum(sigmoid(X@w)**2)", "w",
        lambda X, w: jnp.sum(jax.nn.sigmoid(X @ w) ** 2), X="n d", w="d"),
    row("sum(silu(X@w))", "w", lambda X, w: jnp.sum(jax.nn.silu(X @ w)), X="n d", w="d"),
    row(
        "sum(gelu(w))",
        "w",
        lambda w: jnp.sum(jax.nn.gelu(w, approximate=False)),
        w="d",
    ),
    row("sum(sin(w)*cos(w)) + sum(atan(w))", "w",
        lambda w: jnp.sum(jnp.sin(w) * jnp.cos(w)) + jnp.sum(jnp.arctan(w)), w="d"),
    row("sum(erf(w)) + sum(cosh(w)) - sum(sinh(w))", "w",
        lambda w: jnp.sum(jax.scipy.special.erf(w) + jnp.cosh(w) - jnp.sinh(w)), w="d"),
    row("sum(maximum(0, 1-y*(X@w)))", "w",
        lambda X, y, w: jnp.sum(jnp.maximum(0, 1 - y * (X @ w))), **REGRESSION),
    row("sum(minimum(w, v)**2)", "w", lambda w, v: jnp.sum(jnp.minimum(w, v) ** 2), w="d", v="d"),
    row("sum(relu(w-1)**2)", "w", lambda w: jnp.sum(jax.nn.relu(w - 1) ** 2), w="d"),
    row("sum(abs(w-1))", "w", lambda w: jnp.sum(jnp.abs(w - 1)), w="d"),
    row("sum(where(r>1, 2*r-1, r**2))", "r",
        lambda r: jnp.sum(jnp.where(r > 1, 2 * r - 1, r**2)), r="n"),
    row("sum(where(x<y, exp(x), x*y))", "x",
        lambda x, y: jnp.sum(jnp.where(x < y, jnp.exp(x), x * y)), x="n", y="n"),
    row("sum((x[1:]-x[:-1])**2)", "x", lambda x: jnp.sum((x[1:] - x[:-1]) ** 2), x="n"),
    row("sum(x[2:]*x[:-2]) + x[0]**3 + x[-1]", "x",
        lambda x: jnp.sum(x[2:] * x[:-2]) + x[0] ** 3 + x[-1], x="n"),
    row("sum(exp(X[:, 1])) + sum(X[1:3, :2]**2)", "X",
        lambda X: jnp.sum(jnp.exp(X[:, 1])) + jnp.sum(X[1:3, :2] ** 2), X="n d"),
    row("mean(x[1:-1]**2)", "x", lambda x: jnp.mean(x[1:-1] ** 2), x="n"),
    row("mean((x-mean(x))**2)", "x", lambda x: jnp.mean((x - jnp.mean(x)) ** 2), x="n"),
    row("sum(softmax(w)*v)", "w", lambda w, v: jnp.sum(jax.nn.softmax(w) * v), w="d", v="d"),
    row("sum(softmax(w)**2)", "w", lambda w: jnp.sum(jax.nn.softmax(w) ** 2), w="d"),
    row("dot(u,v)/(norm(u)*norm(v))", "u",
        lambda u, v: u @ v / (jnp.linalg.norm(u) * jnp.linalg.norm(v)), u="d", v="d"),
    row("(a*b-1)**2 + log(a)", "a", lambda a, b: (a * b - 1) ** 2 + jnp.log(a), a="", b=""),
    row("mean((b*(1-exp(-c*x))-y)**2)", "c",
        lambda b, c, x, y: jnp.mean((b * (1 - jnp.exp(-c * x)) - y) ** 2),
        b="", c="", x="n", y="n"),
    row("max(X@w)", "w", lambda X, w: jnp.max(X @ w), X="n d", w="d"),
    row("sum(sum(X, axis='n')**2)", "X", lambda X: jnp.sum(jnp.sum(X, 0) ** 2), X="n d"),
    row("sum(T*u)**2", "u", lambda T, u: jnp.sum(T * u) ** 2, T="i j k", u="k"),
    row("sum((X*w)**3)", "w", lambda X, w: jnp.sum((X * w) ** 3), X="n d", w="d"),
]  # fmt: skip


@pytest.mark.parametrize("each", TABLE, ids=repr)
def test_value_gradient_and_hessian_are_jaxs(each: Row):
    expression = pb.expr(each.text, **each.axes)
    d = pb.derive(expression, wrt=each.wrt, order=2)
    data = each.data()
    roots = {name: node for name, node in d.roots.items() if "vector" not in name}
    values = evaluate_all((*expression.leaves, *roots.values()), data)
    found = {name: values[node] for name, node in roots.items()}

    def peer(x: Any) -> Any:
        return each.peer(**{**data, each.wrt: x})

    at, shape = data[each.wrt], data[each.wrt].shape
    whole = jax.jit(lambda x: (peer(x), jax.grad(peer)(x), jax.hessian(peer)(x)))
    expected, slope, hessian = map(np.asarray, whole(at))
    close(found["value"], expected, tight=1e-10)
    close(found[f"gradient.{each.wrt}"], slope, tight=1e-10)
    close(found[f"hessian.{each.wrt}.{each.wrt}"], hessian, tight=1e-9)

    # the emitted code says the same, and so does the product with a direction
    namespace = run(d.code("numpy"))
    value, grads = namespace["value_and_grad"](**data)
    close(value, expected, tight=1e-10)
    close(grads[each.wrt], slope, tight=1e-10)
    blocks = namespace["hessian"](**data)
    close(blocks[f"{each.wrt}.{each.wrt}"], hessian, tight=1e-9)
    v = np.random.default_rng(1).normal(size=shape)
    (along,) = namespace["hessian_vector_product"](**data, **{f"v_{each.wrt}": v}).values()
    close(along, np.tensordot(hessian, v, len(shape)), tight=1e-9)


def test_there_are_forty():
    assert len({each.text for each in TABLE}) >= 40
