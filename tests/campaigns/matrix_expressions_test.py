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
    "adj": lambda X: jnp.linalg.det(X) * jnp.linalg.inv(X), "kron": jnp.kron, "einsum": jnp.einsum,
    "vec": lambda X: X.T.ravel(), "vech": lambda X: X.T[jnp.triu_indices(len(X))],
}  # fmt: skip
TARGETS = ("numpy", "torch", "jax", "numba", "javascript")


def close(found, expected):
    """Equal to 1e-9 of the largest entry, where jax has a slope."""
    expected = np.asarray(expected)
    room = 1e-9 * max(np.abs(expected).max(initial=0.0), 1e-3)
    return not np.isfinite(expected).all() or np.abs(found - expected).max(initial=0.0) <= room


def emitted(derivation, target, values):
    """The value, the slopes and the Hessian that the code of a target computes."""
    code, functions = derivation.code(target), ("value_and_grad", "hessian")
    if target == "javascript":
        with started() as node:
            return [node(code, each, *values.values()) for each in functions]
    made = {"__name__": "emitted"}
    exec(code, made)  # noqa: S102  that is what is tested
    numbers = {n: v if v.ndim else float(v) for n, v in values.items()}
    given = {n: torch.as_tensor(v) for n, v in values.items()} if target == "torch" else numbers
    return [made[each](**given) for each in functions]


def mirrored(slope):
    """By the entries of a symmetric matrix, of which the last two axes are: G + Gᵀ − G ⊙ I."""
    turned = np.swapaxes(slope, -1, -2)
    return slope + turned - slope * np.eye(slope.shape[-1])


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
    if wrt == "S":
        axes["S"] += " sym"
        slope, curve = mirrored(np.asarray(slope)), mirrored(np.asarray(curve))
        curve = np.moveaxis(mirrored(np.moveaxis(curve, (0, 1), (2, 3))), (2, 3), (0, 1))
    e = pb.expr(text, **axes)
    d = pb.derive(e, wrt=wrt, order=2)
    target = TARGETS[seed % len(TARGETS)]
    try:
        value, slopes = e.function(wrt)(**values)
        again = e.derivative(wrt, 2)(**values)
        with jax.enable_x64(True):
            (other, others), second = emitted(d, target, values)
    except SingularError:  # as of W Wᵀ, with more rows than columns
        return "singular"
    mine, found = [value, slopes[wrt], again], [other, others[wrt], second[f"{wrt}.{wrt}"]]
    for own, code, theirs in zip(mine, found, (expected, slope, curve), strict=True):
        assert close(own, theirs), (text, wrt)
        assert close(np.asarray(code).reshape(np.shape(own)), theirs), (text, wrt, target)
    assert d.proof.ok or not d.proof.points, (text, wrt, d.proof.text())
    return "compared"


def test_values_slopes_and_hessians_are_those_of_jax(size, first):
    counts = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(first, first + size(5, 300)):
            counts[compared(seed, 2 + seed % 2)] += 1
    print(dict(counts))
    assert counts["compared"] > 0.8 * counts.total()
