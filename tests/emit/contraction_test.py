"""Contractions of any axes in every target are what ``numpy.einsum`` says; what is a slice or a
trace is a view, and nothing is computed twice."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from pullback.emit import lower
from pullback.emit.target import jax, numba, torch
from pullback.emit.target import numpy as readable
from pullback.emit.target.language import Task
from pullback.ir import (
    Axis,
    Contract,
    Input,
    Node,
    Rename,
)
from pullback.net.program import compile_program, execute

Array = np.ndarray[Any, np.dtype[Any]]
TARGETS = {"numpy": readable, "numba": numba, "jax": jax, "torch": torch}
SIZES = (3, 1, 4, 2, 3, 5)
OPEN = Axis("n")
COUNT = 120  # of drawn contractions; all of them are in one module a target


@cache
def convert(target: str) -> Any:
    if target == "jax":
        jax = pytest.importorskip("jax")
        jax.config.update("jax_enable_x64", True)
        return jax.numpy.asarray
    return pytest.importorskip("torch").as_tensor if target == "torch" else np.asarray


def axes() -> list[Axis]:
    return [OPEN, *(Axis(f"k{at}", size) for at, size in enumerate(SIZES))]


def drawn(seed: int) -> tuple[Node, tuple[Input, ...]]:
    """A product of two to four arrays of one to five axes, one of them under other names."""
    rng = np.random.default_rng(seed)
    factors, leaves = list[Node](), list[Input]()
    for at in range(rng.integers(2, 5)):
        chosen = rng.permutation(len(SIZES) + 1)[: rng.integers(1, 6)]
        mine = tuple(axes()[place] for place in chosen)
        leaves.append(Input(f"x{at}", mine))
        pairs = ((axes()[1], axes()[5]), (axes()[5], axes()[1]))  # of one size
        names = [(old, new) for old, new in pairs if old in mine and new not in mine]
        factors.append(Rename(leaves[-1], tuple(names[:1])) if names else leaves[-1])
    if rng.random() < 0.2:  # one array twice
        factors.append(factors[0])
    every = [axis for axis in axes() if any(axis in factor.axes for factor in factors)]
    over = tuple(every[at] for at in rng.permutation(len(every)) if rng.random() < 0.6)
    return Contract(tuple(factors), over), tuple(leaves)


def by_einsum(node: Contract, values: dict[str, Array]) -> Array:
    letters = dict(zip(axes(), "nabcdef", strict=True))
    operands, subscripts = [], []
    for factor in node.factors:
        leaf = factor.arg if isinstance(factor, Rename) else factor
        operands.append(values[leaf.name])
        subscripts.append("".join(letters[axis] for axis in factor.axes))
    out = "".join(letters[axis] for axis in node.over)
    return np.einsum(f"{','.join(subscripts)}->{out}", *operands, optimize=True)


def values_of(leaves: tuple[Input, ...], seed: int, n: int = 3) -> dict[str, Array]:
    rng = np.random.default_rng([seed, 1])
    return {leaf.name: rng.normal(size=[axis.size or n for axis in leaf.axes]) for leaf in leaves}


def in_target(target: str, cases: list[tuple[dict[str, Node], tuple[Input, ...]]]) -> list[Any]:
    """Functions of one module, one for each case, that take and give NumPy arrays."""
    emitter = TARGETS[target]
    names = [f"f{at}" for at in range(len(cases))]
    tasks = []
    for name, (roots, leaves) in zip(names, cases, strict=True):
        program = lower(roots, emitter.RESERVED | set(names), leaves)
        tasks.append(Task(name, "One case.", program, {key: key for key in roots}))
    space = execute(emitter.emit(tasks, ["Cases."]), {})

    def run(at: int, values: dict[str, Array]) -> dict[str, Array]:
        given = [convert(target)(values[leaf.name]) for leaf in cases[at][1]]
        return {key: np.asarray(value) for key, value in space[names[at]](*given).items()}

    return [lambda values, at=at: run(at, values) for at in range(len(cases))]


def close(found: Any, expected: Any) -> None:
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("n", [1, 3])
def test_drawn_contractions_in_the_program_that_runs(n):
    for seed in range(COUNT):
        node, leaves = drawn(seed)
        values = values_of(leaves, seed, n)
        found = compile_program({"out": node}, "Drawn.", leaves=leaves)({}, values)["out"]
        close(found, by_einsum(node, values))


# jax compiles each product for itself, Numba each function
@pytest.mark.parametrize(
    ("target", "count"), [("numpy", 120), ("torch", 60), ("jax", 8), ("numba", 2)]
)
def test_drawn_contractions_in_every_target(target, count):
    cases = [drawn(seed) for seed in range(count)]
    functions = in_target(target, [({"out": node}, leaves) for node, leaves in cases])
    for seed, (node, leaves) in enumerate(cases):
        values = values_of(leaves, seed)
        close(functions[seed](values)["out"], by_einsum(node, values))
