"""The local Jacobians between a network's output and some leaves, found once for each network.

What lies between two nodes is a chain of stages: single factors where there is one way, and sums
of chains where there are several (residual blocks). The chain is cut at every node that all ways
pass through.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any

from pullback.calculus import linearise
from pullback.calculus.factor import Factor as Symbolic
from pullback.ir import Constant, Input, Node, Parameter, simplify, walk
from pullback.net.program import Compiled, compile_program


@dataclass(frozen=True)
class Fork:
    """Several ways from one node to another, each a chain of stages, input first."""

    branches: tuple[tuple[Stage, ...], ...]
    start: Node
    end: Node


Stage = Symbolic | Fork


@dataclass(eq=False)
class Graph:
    """The active part of a network: its nodes, leaves first, and the factor of each edge."""

    root: Node
    leaves: tuple[Node, ...]
    order: tuple[Node, ...]
    edges: dict[Node, list[tuple[Node, Symbolic]]]
    compiled: Compiled
    tensors: dict[Node, str | Node]  # of each factor's tensor: a key of the results, or a leaf
    plans: dict[Any, Any] = field(default_factory=dict)
    _chains: dict[tuple[Node, Node], tuple[Stage, ...]] = field(default_factory=dict)

    def chain(self, start: Node, end: Node) -> tuple[Stage, ...]:
        """The stages from one node to another, input first; found once.

        Where there is no way from one to the other, that is the map to 0.
        """
        if (start, end) not in self._chains:
            nodes = self._between(start, end)
            nothing = (Symbolic(Constant(0.0), start.axes, end.axes),)
            found = _chain(self.edges, nodes, start, end) if end in nodes else nothing
            self._chains[start, end] = found
        return self._chains[start, end]

    def _between(self, start: Node, end: Node) -> list[Node]:
        """The nodes on the ways from start to end, in order."""
        reached = {start}
        for node in self.order:
            if any(arg in reached for arg, _ in self.edges.get(node, ())):
                reached.add(node)
        needed = {end}
        for node in reversed(self.order):
            if node in needed and node is not start:
                needed.update(arg for arg, _ in self.edges.get(node, ()))
        return [node for node in self.order if node in reached and node in needed]


@lru_cache(maxsize=64)
def graph_of(root: Node, leaves: tuple[Node, ...], inputs: tuple[Input, ...] = ()) -> Graph:
    """The graph from some leaves to a root; its program gives the root and all factor tensors.

    ``inputs`` are there whether the root reads them or not: they set the batch.
    """
    active = set(leaves)
    order: list[Node] = list(leaves)
    edges: dict[Node, list[tuple[Node, Symbolic]]] = {}
    for node in walk((root,)):
        ways = [(arg, factor) for arg, factor in linearise(node) if arg in active]
        if ways and node not in active:
            active.add(node)
            order.append(node)
            edges[node] = ways
    tensors = dict.fromkeys(factor.tensor for ways in edges.values() for _, factor in ways)
    wanted = [tensor for tensor in tensors if not isinstance(tensor, Constant)]
    simple = simplify(root, *wanted)
    roots: dict[str, Node] = {"output": simple[0]}
    places: dict[Node, str | Node] = {}
    for tensor, node in zip(wanted, simple[1:], strict=True):
        if isinstance(node, (Parameter, Input, Constant)):
            places[tensor] = node
        else:
            roots[f"tensor{len(roots)}"] = node
            places[tensor] = f"tensor{len(roots) - 1}"
    what = "The output and the tensors of its local Jacobians."
    compiled = compile_program(roots, what, leaves=inputs)
    return Graph(root, leaves, tuple(order), edges, compiled, places)


def _chain(
    edges: dict[Node, list[tuple[Node, Symbolic]]], nodes: list[Node], start: Node, end: Node
) -> tuple[Stage, ...]:
    """Cut at every node that all ways pass; between two cuts a factor, or a fork."""
    on_way = set(nodes)
    cuts = _cuts(edges, nodes, start, end)
    stages: list[Stage] = []
    for before, after in pairwise(cuts):
        ways = [(arg, factor) for arg, factor in edges[after] if arg in on_way]
        if len(ways) == 1 and ways[0][0] is before:
            if not _does_nothing(ways[0][1]):
                stages.append(ways[0][1])
            continue
        inside = nodes[nodes.index(before) : nodes.index(after) + 1]
        branches = []
        for arg, factor in ways:
            needed = _ancestors(edges, inside, arg)
            inner = _chain(edges, [n for n in inside if n in needed], before, arg)
            branches.append(inner if _does_nothing(factor) else (*inner, factor))
        stages.append(Fork(tuple(branches), before, after))
    return tuple(stages)


def _cuts(
    edges: dict[Node, list[tuple[Node, Symbolic]]], nodes: list[Node], start: Node, end: Node
) -> list[Node]:
    """The nodes that every way passes: ways from the start times ways to the end are all ways."""
    on_way = set(nodes)
    from_start = {start: 1}
    for node in nodes:
        if node is not start:
            from_start[node] = sum(from_start[a] for a, _ in edges[node] if a in on_way)
    to_end = dict.fromkeys(nodes, 0) | {end: 1}
    for node in reversed(nodes):
        for arg, _ in edges.get(node, ()) if node is not start else ():
            if arg in on_way:
                to_end[arg] += to_end[node]
    return [node for node in nodes if from_start[node] * to_end[node] == from_start[end]]


def _does_nothing(factor: Symbolic) -> bool:
    """Is it an identity along every axis, under other names at most?"""
    became = dict(factor.ties)
    return (
        factor.tensor == Constant(1.0)
        and tuple(became.get(a, a) for a in factor.into) == factor.out
    )


def _ancestors(
    edges: dict[Node, list[tuple[Node, Symbolic]]], inside: Iterable[Node], end: Node
) -> set[Node]:
    needed = {end}
    for node in reversed(list(inside)):
        if node in needed:
            needed.update(arg for arg, _ in edges.get(node, ()))
    return needed
