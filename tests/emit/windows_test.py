"""Products with patterns in every target are what the slow interpreter says, which builds them."""

from __future__ import annotations

import numpy as np
import pytest
from contraction_test import close, in_target
from pattern_cases import CASES, LEAVES, leaves_of

from pullback import emit
from pullback.calculus import cotangents
from pullback.ir import Input
from pullback.ir.evaluate import evaluate_all
from pullback.net.program import compile_program


def values(leaves: tuple[Input, ...], n: int = 2) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {leaf.name: rng.normal(size=[axis.size or n for axis in leaf.axes]) for leaf in leaves}


@pytest.mark.parametrize("name", CASES)
def test_the_program_that_runs(name):
    leaves = leaves_of(CASES[name])
    given = values(leaves)
    found = compile_program({"out": CASES[name]}, name, leaves=leaves)({}, given)["out"]
    close(found, evaluate_all((*leaves, CASES[name]), given)[CASES[name]])


@pytest.mark.parametrize("name", CASES)
def test_the_transpose_is_of_the_same_pattern(name):
    """⟨y, J v⟩ = ⟨Jᵀ y, v⟩ for each factor, with the transposes as the calculus has them."""
    node, leaves = CASES[name], leaves_of(CASES[name])
    given = values(leaves)
    seed = Input("seed", node.axes)
    wrt = [leaf for leaf in node.args if isinstance(leaf, Input)]
    back = cotangents(node, wrt, seed)
    roots = {leaf.name: back[leaf] for leaf in wrt}
    every = evaluate_all((*leaves, node), given)[node]
    given["seed"] = np.random.default_rng(1).normal(size=every.shape)
    found = compile_program(roots, name, leaves=(*leaves, seed))({}, given)
    for leaf in wrt:
        moved = given | {leaf.name: np.random.default_rng(2).normal(size=given[leaf.name].shape)}
        change = evaluate_all((*leaves, node), moved)[node]
        there = np.sum(given["seed"] * change)
        np.testing.assert_allclose(np.sum(found[leaf.name] * moved[leaf.name]), there, rtol=1e-9)


@pytest.mark.parametrize("target", ["numpy", "numba", "torch", "jax"])
def test_every_target(target, loops_in_python):
    cases = [({"out": node}, leaves_of(node)) for node in CASES.values()]
    for function, node in zip(in_target(target, cases), CASES.values(), strict=True):
        leaves = leaves_of(node)
        given = values(leaves)
        close(function(given)["out"], evaluate_all((*leaves, node), given)[node])


def test_no_program_builds_a_window():
    """Nothing has the axes of the pattern together, and the places are no array."""
    for direct, read in ((False, "as_strided("), (True, "to_positions(")):
        program = emit.lower({"out": CASES["strided"]}, emit.inplace.RESERVED, LEAVES, direct)
        source = emit.inplace.emit(program, "Conv.")
        assert read in source
        assert "arange" not in source
        assert "eye" not in source
