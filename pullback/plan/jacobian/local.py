"""The local Jacobians between a network's output and some leaves, found once for each network.

What lies between two nodes is a chain: it is cut at every node that all ways pass, and from one
cut to the next there is one linear map, or there are branches that are added up. Where branches
cross, as the two states of an LSTM do, there are more ways than maps, and the maps stay a graph.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any

from pullback.calculus import Factor, LinearMap, Routes, linearise
from pullback.errors import NotApplicableError
from pullback.ir import Axes, Constant, Input, Node, Parameter, simplify, walk
from pullback.ir.graph import slopes_between
from pullback.net.program import Compiled, compile_program
from pullback.plan.jacobian.windows import WindowedMap


@dataclass(frozen=True)
class Branches:
    """Several ways from one node to another, each a chain, input first."""

    ways: tuple[tuple[Stage, ...], ...]
    start: Node
    end: Node


Stage = LinearMap | Branches | Routes
Place = tuple[str | Node, Axes]  # a key of the program's results, or a leaf; and the axes there


@dataclass(eq=False)
class LocalJacobians:
    """The nodes between some leaves and a root, leaves first, and the map of each edge."""

    root: Node
    order: tuple[Node, ...]
    edges: dict[Node, list[tuple[Node, LinearMap]]]
    compiled: Compiled
    places: dict[Node | None, Place]  # of each map's tensor, where it is no constant
    windows: dict[LinearMap, WindowedMap]  # those that go by windows, without a tensor
    plans: dict[Any, Any] = field(default_factory=dict)
    _chains: dict[tuple[Node, Node], tuple[Stage, ...]] = field(default_factory=dict)

    def chain(self, start: Node, end: Node) -> tuple[Stage, ...]:
        """The stages from one node to another, input first; found once.

        Where there is no way from one to the other, that is the map to 0.
        """
        if (start, end) not in self._chains:
            self._chains[start, end] = self._cut(start, end)
        return self._chains[start, end]

    def place(self, link: LinearMap) -> Place:
        """Where the tensor of a map is found."""
        if isinstance(link.tensor, Constant):
            return link.tensor, ()
        return self.places[link.tensor]

    def _cut(self, start: Node, end: Node) -> tuple[Stage, ...]:
        path = slopes_between(start, end)
        if not path.cuts:
            return (Factor(Constant(0.0), start.axes, end.axes),)
        on_way, at = set(path.nodes), {node: place for place, node in enumerate(path.nodes)}
        stages: list[Stage] = []
        for before, after in pairwise(path.cuts):
            ways = [(arg, link) for arg, link in self.edges[after] if arg in on_way]
            if len(ways) == 1 and ways[0][0] is before:
                if not _does_nothing(ways[0][1]):
                    stages.append(ways[0][1])
                continue
            crossing = self._between(before, path.nodes[at[before] + 1 : at[after] + 1])
            if crossing.count > sum(map(len, crossing.into.values())):
                stages.append(crossing)
                continue
            chains = ((self.chain(before, arg), link) for arg, link in ways)
            found = (c if _does_nothing(link) else (*c, link) for c, link in chains)
            stages.append(Branches(tuple(found), before, after))
        return tuple(stages)

    def _between(self, start: Node, nodes: tuple[Node, ...]) -> Routes:
        """The maps from one node to the last of those behind it."""
        held = {start, *nodes}
        into = {n: tuple((arg, link) for arg, link in self.edges[n] if arg in held) for n in nodes}
        return Routes(start, nodes[-1], into)


@lru_cache(maxsize=64)
def local_jacobians(
    root: Node, leaves: tuple[Node, ...], inputs: tuple[Input, ...] = ()
) -> LocalJacobians:
    """Those from some leaves to a root; the program gives the root and all their tensors.

    ``inputs`` are there whether the root reads them or not: they set the batch.
    Raises NotApplicableError for a map that is no product with a tensor.
    """
    active = set(leaves)
    order: list[Node] = list(leaves)
    edges: dict[Node, list[tuple[Node, LinearMap]]] = {}
    for node in walk((root,)):
        ways = [(arg, link) for arg, link in linearise(node) if arg in active]
        if ways and node not in active:
            active.add(node)
            order.append(node)
            edges[node] = ways
    used = {root}
    for node in reversed(order):
        used |= {arg for arg, _ in edges.get(node, ()) if node in used}
    order = [node for node in order if node in used or node in leaves]  # no slope passes others
    edges = {node: ways for node, ways in edges.items() if node in used}
    links = [link for ways in edges.values() for _, link in ways]
    windows = {link: each for link in links if (each := WindowedMap.of(link))}
    tensors = tuple(dict.fromkeys(_held(link) for link in links if link not in windows))
    wanted = [tensor for tensor in tensors if not isinstance(tensor, Constant)]
    simple = simplify(root, *wanted)
    roots: dict[str, Node] = {"output": simple[0]}
    places: dict[Node | None, Place] = {}
    for at, (tensor, node) in enumerate(zip(wanted, simple[1:], strict=True)):
        if isinstance(node, Constant):
            places[tensor] = node, ()
        elif isinstance(node, (Parameter, Input)):
            places[tensor] = node, node.axes
        else:
            roots[f"tensor{at}"] = node
            places[tensor] = f"tensor{at}", node.axes
    what = "The output and the tensors of its local Jacobians."
    compiled = compile_program(roots, what, leaves=inputs)
    return LocalJacobians(root, tuple(order), edges, compiled, places, windows)


def _held(link: LinearMap) -> Node:
    if link.tensor is None:
        raise NotApplicableError("a local Jacobian of this network can only be applied, not held")
    return link.tensor


def _does_nothing(link: LinearMap) -> bool:
    """Is it an identity along every axis, under other names at most?"""
    became = dict(link.ties)
    same = tuple(became.get(a, a) for a in link.into) == link.out
    return same and link.tensor == Constant(1.0)
