"""What is called by name, moved in front of a sum or left out as 0 leaves the value as it was."""

from __future__ import annotations

import numpy as np
import pytest

from pullback.ir import Axis, Contract, Input, Named, Node, simplify, symbol
from pullback.ir.build import add, mean_over, multiply, scalar_map, scale, subtract, sum_over
from pullback.ir.evaluate import evaluate_all

N, F, T = Axis("n", 3), Axis("f", 4), Axis("t", 2)
x, g, v, w = Input("x", (N, F)), Input("g", (N, F)), Input("v", (N, F)), Input("w", (N, F, T))
LEAVES = (x, g, v, w)
mean = Named("stat.mean", mean_over(x, (F,)), "stat")
wide = Named("stat.wide", scalar_map(1 + symbol(0) ** 2, v), "stat")  # one for each feature
inverse = Named("stat.inverse", scalar_map(1 / (1 + symbol(0) ** 2), mean), "stat")
away = subtract(x, mean)
normed = Named("a.normed", multiply(away, inverse), "a")
squared = Named("a.squared", Contract((away, away), (N, F)), "a")
twice = Named("a.twice", Contract((away, away, wide), (N, F)), "a")
EQUATIONS = (mean, wide, inverse, normed, squared, twice)
VALUES = {
    leaf.name: np.random.default_rng(at).normal(size=[axis.size for axis in leaf.axes])
    for at, leaf in enumerate(LEAVES)
}


def drawn(rng: np.random.Generator) -> Node:
    """A sum of products of all these, some summed over an axis and some inside of others."""

    front = [inverse, wide][: rng.integers(0, 3)]

    def product(depth: int) -> Node:
        every = (x, g, v, w, mean, wide, inverse, away, away, normed, squared, twice)
        factors = [every[at] for at in rng.integers(0, len(every), rng.integers(1, 5))]
        factors += [product(depth - 1)] if depth and rng.random() < 0.5 else []
        factors += front if rng.random() < 0.7 else []
        found = multiply(*factors)
        gone = [axis for axis in found.axes if rng.random() < 0.4]
        return sum_over(found, gone) if gone else found

    terms = [scale(float(rng.integers(-2, 3)), product(2)) for _ in range(rng.integers(1, 4))]
    return add(*terms)


def same(node: Node) -> None:
    for beside in ((), EQUATIONS):
        simple = simplify(*beside, node)[-1]
        values = evaluate_all((*LEAVES, node, simple), VALUES)
        assert simple.axes == node.axes
        np.testing.assert_allclose(values[simple], values[node], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "node",
    [
        sum_over(squared, (F,)),
        sum_over(twice, (F,)),
        add(multiply(wide, g), sum_over(multiply(wide, v), (F,))),
        add(multiply(wide, g), multiply(sum_over(multiply(wide, v), (F,)), g)),
        sum_over(multiply(away, wide), (F,)),
        multiply(away, inverse, inverse, sum_over(multiply(away, g), (F,))),
        sum_over(away, (N,)),
    ],
    ids=repr,
)
def test_a_sum_that_is_none_of_deviations_stays_one(node):
    same(node)


def test_sums_of_products_of_deviations_and_statistics_keep_their_value():
    for seed in range(150):
        same(drawn(np.random.default_rng(seed)))


def test_deviations_sum_to_nothing():
    for node in (sum_over(away, (F,)), sum_over(normed, (F,)), sum_over(away, (N, F))):
        assert not simplify(*EQUATIONS, node)[-1].args
