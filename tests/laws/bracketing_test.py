"""A derivative is a flat product: every order in which it is multiplied gives the same matrix."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from zoo import close

import pullback as pb
from pullback.calculus import linearise
from pullback.ir import Axis, Contract, Input, Node, simplify, walk
from pullback.ir.evaluate import evaluate, evaluate_all
from pullback.laws import bracket_check

L, S = pb.Linear, pb.Sequential
CHAINS = {
    "one layer": S(L(4, 3), pb.Tanh()),
    "two layers": S(L(4, 6), pb.Sigmoid(), L(6, 3)),
    "three layers": S(L(2, 5), pb.Tanh(), L(5, 3), pb.GELU(), L(3, 4)),
    "activations in a row": S(pb.Sin(), L(3, 4), pb.Tanh(), pb.Softplus(), L(4, 2), pb.ELU()),
    "linear": S(L(3, 4), L(4, 2), L(2, 5), L(5, 3)),
    "narrow and wide": S(L(1, 6), pb.SiLU(), L(6, 1), pb.Sin(), L(1, 4)),
}
every_chain = pytest.mark.parametrize("model", CHAINS.values(), ids=CHAINS.keys())


@dataclass(frozen=True)
class Part:
    """Factors from one place of the chain to another as one node, output side first."""

    node: Node
    into: Axis
    out: Axis

    def matrix(self, values: dict[str, Any]) -> Any:
        """(out, into); a diagonal has one axis only."""
        array = evaluate(self.node, values)
        if self.into == self.out:
            return np.diag(array)
        return array if self.node.axes[0] == self.out else array.T


def join(left: Part, right: Part) -> Part:
    """The product: summed over the axis in the middle, unless that is an end of the product."""
    ends = tuple(dict.fromkeys((left.out, right.into)))
    return Part(Contract((left.node, right.node), ends), right.into, left.out)


def chain(model: Any) -> tuple[Node, Input, list[Part], dict[str, Any]]:
    """The factors of a model of one sample, output side first, and values for its leaves."""
    x = Input("x", (Axis("features", model.blocks[0].n_in or model.n_in),))
    (output,) = simplify(model.build(x, ""))
    rng = np.random.default_rng(0)
    values = {"x": rng.normal(size=x.axes[0].size)}
    values |= {spec.name: rng.normal(size=spec.shape) for spec in model.parameters("")}
    parts: list[Part] = []
    node = output
    while node is not x:
        reached = [(arg, f) for arg, f in linearise(node) if x in set(walk((arg,)))]
        ((arg, factor),) = reached
        if factor.kind != "identity":
            ((into,), (out,)) = factor.into, factor.out
            parts.append(Part(factor.tensor, into, out))
        node = arg
    return output, x, parts, values


@every_chain
def test_every_bracketing_of_the_chain(model):
    _, _, parts, values = chain(model)
    found = bracket_check(parts, join, lambda part: part.matrix(values), tolerance=1e-11)
    assert found.ok, found


@every_chain
def test_the_product_is_the_jacobian(model):
    output, x, parts, values = chain(model)
    ends = (parts[0].out, parts[-1].into)
    flat = Contract(tuple(part.node for part in parts), ends)
    columns = [
        evaluate(output, values | {"x": values["x"] + 1e-30j * unit}).imag / 1e-30
        for unit in np.eye(x.axes[0].size)
    ]
    close(evaluate(flat, values), np.stack(columns, 1), tight=1e-11)


def orders(nodes: tuple[Node, ...], over: tuple[Axis, ...]) -> list[Node]:
    """The product in every order of pairs, neighbours or not; each keeps what others still need."""
    if len(nodes) == 1:
        return [Contract(nodes, over)]
    found: list[Node] = []
    for pair in combinations(range(len(nodes)), 2):
        a, b = (nodes[at] for at in pair)
        rest = tuple(node for at, node in enumerate(nodes) if at not in pair)
        needed = {axis for node in rest for axis in node.axes} | set(over)
        every = tuple(dict.fromkeys(a.axes + b.axes))
        product = Contract((a, b), tuple(axis for axis in every if axis in needed))
        found += orders((*rest, product), over)
    return found


def test_every_order_of_a_gradient():
    """∂L/∂W of the first layer with a batch: 18 orders of pairs for each of its four factors."""
    net = pb.Network(S(L(3, 4), pb.Tanh(), L(4, 2)), loss=pb.CrossEntropy())
    rng = np.random.default_rng(0)
    values = {"x": rng.normal(size=(5, 3)), "target": np.eye(2)[rng.integers(0, 2, 5)]}
    values |= {spec.name: rng.normal(size=spec.shape) for spec in net.specs}
    gradient = net.gradients["0.weight"]
    delta = net.equations["delta.0"].arg
    factors = (*delta.factors, net.x)
    ways = orders(factors, gradient.axes)
    assert len(ways) == 18
    known = evaluate_all((gradient, *ways), values)
    for way in ways:
        close(known[way], known[gradient])
