"""⟨u, J v⟩ = ⟨Jᵀ u, v⟩: for each factor of each node, and for networks as a whole.

A factor is also the derivative that it stands for: what it does to v is the complex step along v.
"""

from collections.abc import Iterator
from typing import Any

import graphs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zoo import FLOAT64, close

from pullback.calculus import Factor, cotangents, linearise, pushforward
from pullback.ir import Contract, Input, Node, walk
from pullback.ir.evaluate import evaluate_all
from pullback.laws import adjoint_check

every_case = pytest.mark.parametrize("case", FLOAT64, ids=repr)
STEP = 1e-30


def factors(root: Node, values: dict[str, Any], sizing: tuple[Node, ...]) -> Iterator[Any]:
    """Each factor below the root with its tensor as a given array: node, its place, the map."""
    nodes = list(walk((root,)))
    rows = [(node, linearise(node)) for node in nodes]
    tensors = [factor.tensor for _, row in rows for _, factor in row]
    known = evaluate_all((*sizing, *nodes, *tensors), values)
    for node, row in rows:
        assert [arg for arg, _ in row] == list(node.args)
        for place, (_, factor) in enumerate(row):
            yield node, place, _ArrayMap(factor, known, sizing, values)


class _ArrayMap:
    """A factor as a pair of functions of arrays."""

    def __init__(self, factor: Factor, known: Any, sizing: tuple[Node, ...], values: Any) -> None:
        tensor = Input("tensor", factor.tensor.axes)
        self.factor = Factor(tensor, factor.into, factor.out, factor.ties)
        self.values = {**values, "tensor": known[factor.tensor]}
        self.sizing, self.known = sizing, known

    def apply(self, factor: Factor, vector: Any) -> Any:
        moved = factor @ Input("vector", factor.into)
        return evaluate_all((*self.sizing, moved), {**self.values, "vector": vector})[moved]

    def forward(self, v: Any) -> Any:
        return self.apply(self.factor, v)

    def transpose(self, u: Any) -> Any:
        return self.apply(self.factor.T, u)


def check_factors(root: Node, values: dict[str, Any], sizing: tuple[Node, ...]) -> int:
    rng = np.random.default_rng(0)
    count = 0
    for node, place, array_map in factors(root, values, sizing):
        into, out = array_map.known[node.args[place]].shape, array_map.known[node].shape
        found = adjoint_check(
            array_map.forward, array_map.transpose, into, out, pairs=2, entries=16
        )
        assert found.ok, f"{node}, argument {place}: {found}"

        inputs = tuple(Input(f"arg{at}", arg.axes) for at, arg in enumerate(node.args))
        alone = Contract((node.rebuild(inputs),), node.axes)  # a sum may turn its axes
        at = {each.name: array_map.known[arg] for each, arg in zip(inputs, node.args, strict=True)}
        v = rng.standard_normal(into)
        stepped = {**values, **at, f"arg{place}": at[f"arg{place}"] + STEP * 1j * v}
        expected = evaluate_all((*sizing, alone), stepped)[alone].imag / STEP
        close(array_map.forward(v), expected, tight=1e-10)
        count += 1
    return count


@every_case
def test_factors_of_a_network(case):
    assert check_factors(case.net.total, case.values(), (case.net.x, case.net.target))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(graphs.graphs(), st.integers(1, 4))
def test_factors_of_random_nodes(node, batch):
    check_factors(node, graphs.values(batch=batch), graphs.INPUTS)


@every_case
def test_network(case):
    """The pushforward of the output, and its pullback, for all parameters and x at once."""
    net = case.net
    leaves = {leaf.name: leaf for leaf in (net.x, *net.parameters.values())}
    tangents = {name: Input(f"v.{name}", leaf.axes) for name, leaf in leaves.items()}
    forward = pushforward(net.output, {leaf: tangents[name] for name, leaf in leaves.items()})
    seed = Input("u", net.output.axes)
    backward = cotangents(net.output, leaves.values(), seed)
    values = case.values()
    shapes = {name: values[name].shape for name in leaves}

    def push(v: dict[str, Any]) -> Any:
        return case.evaluate(forward, **{f"v.{name}": part for name, part in v.items()})[0]

    def pull(u: Any) -> dict[str, Any]:
        found = case.evaluate(*(backward[leaf] for leaf in leaves.values()), u=u)
        return dict(zip(leaves, found, strict=True))

    found = adjoint_check(push, pull, shapes, (case.batch, case.outputs), pairs=2, entries=9)
    assert found.ok, found
