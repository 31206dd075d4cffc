"""Random expression graphs for property tests: nodes over given leaves, and values for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from pullback.ir import (
    Add,
    Axis,
    Constant,
    Contract,
    Input,
    LogSumExp,
    Map,
    Max,
    Named,
    Node,
    Rename,
    Scalar,
    symbol,
)
from pullback.ir.axis import union
from pullback.ir.language.parse import parse_scalar

B, I, J, K = Axis("b"), Axis("i", 3), Axis("j", 2), Axis("k", 3)  # i and k are of one size
LEAVES = (Input("x", (B, I)), Input("y", (I,)), Input("W", (J, I)))
# added before a maximum is taken: at a tie there is no derivative to compare with
APART = {axis: Input(f"apart.{axis.name}", (axis,)) for axis in (B, I, J, K)}
INPUTS = (*LEAVES, *APART.values())

FUNCTIONS = [
    parse_scalar(text)
    for text in (
        "tanh(x)", "sigmoid(x)", "softplus(x)", "gelu(x)", "sin(x) + x/2", "x**2", "x**3/3",
        "log(1 + exp(x))", "log(sigmoid(x))", "1/(1 + exp(-x))", "log(1 - sigmoid(2*x))",
        "x*sigmoid(x)", "exp(-x**2/2)", "1/(1 + x**2)", "sqrt(1 + x**2)",
    )
]  # fmt: skip
KINKED = [parse_scalar(text) for text in ("relu(x)", "elu(x)", "abs(x)", "0.1*x + 0.9*relu(x)")]
PAIRS = [
    Scalar.of(symbol(0) - symbol(1), 2),
    Scalar.of(symbol(0) * symbol(1) ** 2, 2),
    Scalar.of(symbol(0) / (1 + symbol(1) ** 2), 2),
]


def values(seed: int = 0, batch: int = 4) -> dict[str, Any]:
    """An array for each input."""
    rng = np.random.default_rng(seed)
    sizes = {B: batch}
    return {
        leaf.name: rng.normal(size=[sizes.get(axis, axis.size) for axis in leaf.axes])
        for leaf in INPUTS
    }


Draw = Callable[[Any], Any]
Pick = Callable[[], Node]


def apply(draw: Draw, pick: Pick, functions: list[Scalar]) -> Node:
    return Map(draw(st.sampled_from(functions)), (pick(),))


def pair(draw: Draw, pick: Pick) -> Node:
    return Map(draw(st.sampled_from(PAIRS)), (pick(), pick()))


def contract(draw: Draw, pick: Pick) -> Node:
    factors = tuple(pick() for _ in range(draw(st.integers(1, 3))))
    every = draw(st.permutations(union(factor.axes for factor in factors)))
    return Contract(factors, tuple(axis for axis in every if draw(st.booleans())))


def rename(draw: Draw, pick: Pick) -> Node:
    node = pick()
    pairs = ((I, K), (K, I))
    fitting = [(old, new) for old, new in pairs if old in node.axes and new not in node.axes]
    return Rename(node, (fitting[0],)) if fitting else node


def log_sum_exp(draw: Draw, pick: Pick) -> Node:
    node = pick()
    return LogSumExp(node, draw(st.sampled_from(node.axes))) if node.axes else node


def maximum(draw: Draw, pick: Pick) -> Node:
    node = pick()
    if not node.axes:
        return node
    axis = draw(st.sampled_from(node.axes))
    return Max(Add((node, APART[axis])), axis)


def name(draw: Draw, pick: Pick) -> Node:
    node = pick()
    return Named(f"z.{node.digest[:6]}", node, draw(st.sampled_from(["z", "a", "value"])))


@st.composite
def graphs(draw: Draw, smooth: bool = False, steps: int = 6) -> Node:
    """A node over the inputs, with shared parts; only smooth operations on request."""
    pool = [*LEAVES, Constant(2.0), Constant(-0.5, (I,)), Constant(1.0, (B,))]

    def pick() -> Node:
        return draw(st.sampled_from(pool))

    operations = [
        lambda: apply(draw, pick, FUNCTIONS if smooth else FUNCTIONS + KINKED),
        lambda: pair(draw, pick),
        lambda: Add((pick(), pick())),
        lambda: contract(draw, pick),
        lambda: rename(draw, pick),
        lambda: (log_sum_exp if smooth or draw(st.booleans()) else maximum)(draw, pick),
        lambda: name(draw, pick),
    ]
    for _ in range(draw(st.integers(1, steps))):
        operation = draw(st.sampled_from(operations))
        pool.append(operation())
    return pool[-1]
