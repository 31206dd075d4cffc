"""A part of a network, cut out where what it reads has laws and shares no units."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pullback.errors import NotApplicableError
from pullback.ir import Axis, Graph, Input, Named, Node, Parameter, walk
from pullback.ir.source import sources
from pullback.moments.law.units import Units

Source = Named | Input


@dataclass(frozen=True)
class NetworkPart:
    """``root``, an equation or the loss, as a function of ``leaves``, which share no units.

    ``inner`` are the equations in between.
    """

    root: Node
    leaves: tuple[Source, ...]
    inner: tuple[Named, ...]

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All that is computed of it, its parameters too."""
        return tuple(n for n in walk((self.root,), stop=self.leaves) if n not in self.leaves)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Those within it."""
        return tuple(node for node in self.nodes if isinstance(node, Parameter))

    def mixes(self, batch: Axis | None) -> bool:
        """Does it take a statistic over samples?"""
        return any(
            batch in arg.axes and batch not in node.axes for node in self.nodes for arg in node.args
        )


def part_of(
    root: Node,
    graph: Graph,
    known: Mapping[Node, Units],
    given: Mapping[Node, Any],
    opens: Callable[[Node], bool],
) -> NetworkPart:
    """The smallest part with this root; ``given`` are numbers of the data, drawn together.

    What only weights have a say in is no leaf, nor what ``opens``.
    Raises NotApplicableError where a leaf has no law, or samples are mixed.
    """
    order: dict[Node, int] = {each: at for at, each in enumerate(graph.equations)}
    leaves = dict.fromkeys(reads(root))
    inner: list[Named] = []

    def is_open(node: Node) -> bool:
        if node in given:
            return False
        if node not in known or graph.batch not in node.axes or opens(node):
            return True
        return any(_shared(node, n, known, given) for n in leaves if n is not node)

    while True:
        latest = sorted(leaves, key=lambda node: order.get(node, -1), reverse=True)
        node = next((each for each in latest if is_open(each)), None)
        if node is None:
            part = NetworkPart(root, tuple(leaves), tuple(inner))
            if part.mixes(graph.batch):
                raise NotApplicableError("it takes a statistic over samples")
            return part
        if not isinstance(node, Named):
            raise NotApplicableError(f"no law is known of {node!r}")
        del leaves[node]
        inner.append(node)
        leaves |= dict.fromkeys(reads(node))


def reads(node: Node) -> tuple[Source, ...]:
    """The equations and inputs that an equation, or a loss, is computed from."""
    found = sources(node.arg if isinstance(node, Named) else node)
    return tuple(each for each in found if isinstance(each, (Named, Input)))


def _shared(one: Node, other: Node, known: Mapping[Node, Units], given: Mapping[Node, Any]) -> bool:
    """Do two leaves depend on the same units?"""
    if other in given:
        return any(node in given for node in known[one].origin)
    return other in known and bool(known[one].origin & known[other].origin)
