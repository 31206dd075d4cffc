"""Random expressions of matrices: values, gradients and Hessians are jax's, in every target."""

import re
import warnings
from collections import Counter

import numpy as np
import pytest
from matrix_formulas import LENGTHS, VARIABLES, Drawn, drawn_values
from node_peer import started

import pullback as pb
from pullback.errors import SingularError

jax = pytest.importorskip("jax")
torch = pytest.importorskip("torch")
jnp = jax.numpy
NAMES = LENGTHS | {
    "tanh": jnp.tanh, "sin": jnp.sin, "cos": jnp.cos, "exp": jnp.exp, "atan": jnp.arctan,
    "sigmoid": jax.nn.sigmoid, "softplus": lambda x: jnp.logaddexp(x, 0.0), "square": jnp.square,
    "relu": jax.nn.relu, "abs": jnp.abs, "log": jnp.log, "where": jnp.where, "tr": jnp.trace,
    "det": jnp.linalg.det, "logdet": lambda X: jnp.linalg.slogdet(X)[1], "sum": jnp.sum,
    "mean": jnp.mean, "norm": lambda x: jnp.sqrt(jnp.sum(x * x)), "max": jnp.max, "min": jnp.min,
    "sumsq": lambda x: jnp.sum(x * x), "norm1": lambda x: jnp.abs(x).sum(), "inv": jnp.linalg.inv,
    "logsumexp": jax.nn.logsumexp, "softmax": jax.nn.softmax, "cumsum": jnp.cumsum,
    "diag": jnp.diag, "solve": jnp.linalg.solve, "maximum": jnp.maximum, "outer": jnp.outer,
    "eye": jnp.eye, "matrix_power": jnp.linalg.matrix_power,
    "adj": lambda X: jnp.linalg.det(X) * jnp.linalg.inv(X),
}  # fmt: skip
TARGETS = ("numpy", "torch", "jax", "numba", "javascript")


def close(found, expected):
    """Equal to 1e-9 of the largest entry, where jax has a slope."""
    expected = np.asarray(expected)
    room = 1e-9 * max(np.abs(expected).max(initial=0.0), 1e-3)
    return not np.isfinite(expected).all() or np.abs(found - expected).max(initial=0.0) <= room


def emitted(derivation, target, values):
    """The value and the slopes that the code of a target computes."""
    code = derivation.code(target)
    if target == "javascript":
        with started() as node:
            return node(code, "value_and_grad", *values.values())
    made = {"__name__": "emitted"}
    exec(code, made)  # noqa: S102  that is what is tested
    numbers = {n: v if v.ndim else float(v) for n, v in values.items()}
    given = {n: torch.as_tensor(v) for n, v in values.items()} if target == "torch" else numbers
    return made["value_and_grad"](**given)


def compared(seed, depth):
    """What came of one expression: compared, or why not."""
    text = Drawn(np.random.default_rng(seed)).scalar(depth)
    axes = {n: over for n, over in VARIABLES.items() if re.search(rf"(?<!\w){n}(?!\w)", text)}
    if not axes:
        return "a number"
    values = {name: array for name, array in drawn_values(seed).items() if name in axes}
    wrt = list(axes)[seed % len(axes)]

    def function(held):
        return eval(text, {"__builtins__": {}}, NAMES | values | {wrt: held})  # noqa: S307  ours

    with jax.enable_x64(True):
        at = jnp.asarray(values[wrt])
        expected = function(at)
        if not np.isfinite(expected) or abs(expected) > 1e8:
            return "no finite value"
        slope, curve = jax.grad(function)(at), jax.hessian(function)(at)
    e = pb.expr(text, **axes)
    d = pb.derive(e, wrt=wrt)
    target = TARGETS[seed % len(TARGETS)]
    try:
        value, slopes = e.function(wrt)(**values)
        again = e.derivative(wrt, 2)(**values)
        with jax.enable_x64(True):
            other, others = emitted(d, target, values)
    except SingularError:  # as of W Wᵀ, with more rows than columns
        return "singular"
    assert close(value, expected), text
    assert close(slopes[wrt], slope), (text, wrt)
    assert close(again, curve), (text, wrt)
    assert close(np.asarray(other), expected), (text, target)
    assert close(np.asarray(others[wrt]).reshape(slopes[wrt].shape), slope), (text, wrt, target)
    assert d.proof.ok or not d.proof.points, (text, wrt, d.proof.text())
    return "compared"


def test_values_slopes_and_hessians_are_those_of_jax(size):
    counts = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(size(5, 300)):
            counts[compared(seed, 2 + seed % 2)] += 1
    print(dict(counts))
    assert counts["compared"] > 0.8 * counts.total()
