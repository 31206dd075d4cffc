"""Emitted code of axes put together, as by vec, vech and kron: that of any other expression."""

from __future__ import annotations

import re

import numpy as np
import pytest
from emitted import run
from node_peer import started

import pullback as pb

LENGTHS = {"n": 3, "m": 2, "k": 4, "mn": 6, "n_half": 6}
AXES = {"A": "n n", "S": "n n sym", "X": "n m", "B": "m n", "C": "m m", "x": "n", "u": "m",
        "v": "mn", "h": "n_half", "M": "mn k"}  # fmt: skip
TEXTS = [
    ("vec(A@X)", "X"),
    ("sum(vec(A@X)**3)", "X"),
    ("vec(X)*vec(A@X)", "A"),
    ("vec(X)@vec(B.T)", "B"),
    ("vec(X) - v", "X"),
    ("sum((vec(X) - v)**2)", "X"),
    ("sum((M.T@vec(X))**2)", "X"),
    ("vec(tanh(X))[1:]", "X"),
    ("sum(exp(vec(X)[1:])*vec(X)[:-1])", "X"),
    ("vec(X[1:, :])", "X"),
    ("logsumexp(vec(outer(x, u)))", "x"),
    ("softmax(vec(X))", "X"),
    ("diag(vec(X))", "X"),
    ("vech(A@A)", "A"),
    ("sum(vech(A)**3)", "A"),
    ("sum(tanh(vech(A))*vech(A.T))", "A"),
    ("sum((vech(S) - h)**2)", "S"),
    ("kron(A, C)", "A"),
    ("kron(X, B)@vec(X)", "B"),
    ("tr(kron(A, C))", "C"),
    ("sum(kron(A, X)**2)", "X"),
    ("logdet(kron(S, C))", "S"),
    ("vec(X)@kron(C, A)@vec(X)", "X"),
    ("kron(x, u)", "u"),
    ("sum(kron(x, u)**2)", "x"),
    ("vec(kron(x, u))", "u"),
    ("x@vec(X@u)", "X"),
    ("sum(vec(eye(n))*vec(A))", "A"),
]
TARGETS = ("numpy", "jax", "torch", "numba", "javascript")


def cases(text):
    axes = {name: over for name, over in AXES.items() if re.search(rf"\b{name}\b", text)}
    rng = np.random.default_rng(len(text))
    shapes = {name: [LENGTHS[a] for a in over.split() if a != "sym"] for name, over in axes.items()}
    values = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    if "S" in values:
        values["S"] = values["S"] @ values["S"].T + 3 * np.eye(3)
    if "C" in values:
        values["C"] += 3 * np.eye(2)
    return axes, values


def computed(code, target, values):
    """What each function of emitted code that takes no direction gives."""
    names = re.findall(r"(?:def|function) (value_and_grad|jacobian|hessian|second_derivatives)\(",
                       code)  # fmt: skip
    given = [*values.values()]
    if target == "javascript":
        with started() as node:
            return {name: node(code, name, *given) for name in names}
    module = run(code)
    if target == "torch":
        torch = pytest.importorskip("torch")
        given = [torch.as_tensor(each) for each in given]
    return {name: module[name](*given) for name in names}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("text", "wrt"), TEXTS)
def test_emitted_code_is_what_the_expression_computes(text, wrt, target, loops_in_python):
    axes, values = cases(text)
    e = pb.expr(text, **axes)
    code = pb.derive(e, wrt, order=2).code(target)
    if target == "jax":
        jax = pytest.importorskip("jax")
        with jax.enable_x64(True):
            found = computed(code, target, values)
    else:
        found = computed(code, target, values)
    first, second = e.derivative(wrt)(**values), e.derivative(wrt, 2)(**values)
    if e.node.axes:
        close(found["jacobian"][wrt], first)
        close(found["second_derivatives"][f"{wrt}.{wrt}"], second)
    else:
        close(found["value_and_grad"][0], e(**values))
        close(found["value_and_grad"][1][wrt], first)
        close(found["hessian"][f"{wrt}.{wrt}"], second)


def close(found, expected):
    flat = np.asarray(found).reshape(np.shape(expected))
    np.testing.assert_allclose(flat, expected, rtol=1e-10, atol=1e-12)
