"""Simplification: one normal form for one meaning, reached once, with the value kept."""

import random

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from pullback.ir import (
    Add,
    Axis,
    Constant,
    Contract,
    Delta,
    Input,
    LogSumExp,
    Map,
    Max,
    Named,
    Rename,
    Scalar,
    simplify,
    symbol,
    walk,
)
from pullback.ir.build import add, mean_over, multiply, scalar_map, scale, sum_over, with_axes
from pullback.ir.evaluate import evaluate_all
from pullback.ir.primitives import fn

SIZES = {"n": 3, "d": 2}
OPEN = {name: Axis(name) for name in SIZES}
KNOWN = {name: Axis(name, size) for name, size in SIZES.items()}
LEAVES = {"X": "nd", "Y": "nd", "y": "n", "w": "d", "s": ""}
x = symbol(0)
FUNCTIONS = {
    "tanh": sp.tanh(x),
    "sigmoid": fn("sigmoid")(x),
    "softplus": fn("softplus")(x),
    "square": x**2,
    "bell": sp.exp(-(x**2) / 2),
    "halved": x / 2,
    "swish": x * fn("sigmoid")(x),
    "odd": 1 - 2 * fn("sigmoid")(-x),
}

# A formula, without an order: operands are a bag, and how they are nested is not said.
leaf = st.sampled_from(sorted(LEAVES))
# sums and products of these are exact, so that their order does not show in the last digit
numbers = st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, 3.0])


def formulas(inner):
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.tuples(st.just("add"), several, st.lists(numbers, max_size=2)),
        st.tuples(st.just("multiply"), several, st.lists(numbers, max_size=1)),
        st.tuples(st.just("contract"), several, st.sampled_from(["", "n", "d"])),
        st.tuples(st.just("map"), st.sampled_from(sorted(FUNCTIONS)), inner),
        st.tuples(st.sampled_from(["logsumexp", "max", "mean"]), inner),
    )


formula = st.recursive(leaf, formulas, max_leaves=7)


def leaves(axes):
    return {
        name: Input(name, tuple(axes[letter] for letter in letters))
        for name, letters in LEAVES.items()
    }


def written(tree, axes, order):
    """The formula as one person may write it: operands in some order, bracketed somehow."""

    def bracketed(operands, combine):
        order.shuffle(operands)
        while len(operands) > 1:
            at = order.randrange(len(operands) - 1)
            operands[at : at + 2] = [sorted_axes(combine(*operands[at : at + 2]))]
        return operands[0]

    def build(tree):
        match tree:
            case str():
                return leaves(axes)[tree]
            case ("add", inner, constants):
                return bracketed([*map(build, inner), *map(Constant, constants)], add)
            case ("multiply", inner, constants):
                return bracketed([*map(build, inner), *map(Constant, constants)], multiply)
            case ("contract", inner, over):
                product = bracketed([build(each) for each in inner], multiply)
                return sum_over(product, [a for a in product.axes if a.name not in over])
            case ("map", name, inner):
                return scalar_map(FUNCTIONS[name], build(inner))
            case (reduction, inner):
                node = build(inner)
                if not node.axes:
                    return node
                last = node.axes[-1]
                if reduction == "mean":
                    return mean_over(node, (last,))
                return {"logsumexp": LogSumExp, "max": Max}[reduction](node, last)

    return build(tree)


def sorted_axes(node):
    return with_axes(node, tuple(sorted(node.axes, key=lambda axis: axis.name, reverse=True)))


def values(node, axes):
    """The node's value, and the largest number met on the way to it."""
    rng = np.random.default_rng(5)
    arrays = {
        name: rng.uniform(-1, 1, [SIZES[letter] for letter in letters])
        for name, letters in LEAVES.items()
    }
    every = evaluate_all((*leaves(axes).values(), node), arrays)
    return every[node], max(1.0, *(np.abs(every[each]).max() for each in walk((node,))))


slow = settings(max_examples=80, deadline=None, derandomize=True)


@slow
@given(formula, st.integers(0, 10**6), st.sampled_from([OPEN, KNOWN]))
def test_the_order_of_writing_leaves_no_trace(tree, seed, axes):
    one = written(tree, axes, random.Random(seed))
    other = written(tree, axes, random.Random(seed + 1))
    assert simplify(one)[0] is simplify(other)[0]


@slow
@given(formula, st.sampled_from([OPEN, KNOWN]))
def test_simplifying_twice_is_simplifying_once(tree, axes):
    (once,) = simplify(written(tree, axes, random.Random(0)))
    assert simplify(once)[0] is once


@slow
@given(formula, st.sampled_from([OPEN, KNOWN]))
def test_value_and_axes_are_kept(tree, axes):
    node = written(tree, axes, random.Random(0))
    (simple,) = simplify(node)
    assert simple.axes == node.axes
    before, scale = values(node, axes)
    after, _ = values(simple, axes)
    np.testing.assert_allclose(after, before, rtol=1e-12, atol=1e-12 * scale)
