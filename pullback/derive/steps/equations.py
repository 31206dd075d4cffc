"""The named equations of a program, in the order in which a person would compute them."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pullback.ir import (
    Axes,
    Graph,
    Input,
    Named,
    Node,
    Parameter,
    Role,
    Scan,
    as_printed,
    inside,
    walk,
)
from pullback.ir.unroll import after, opened, told_of

_STAGE = {
    "z": 0, "a": 0, "stat": 0, "value": 0, "loss": 1, "delta": 2, "gradient": 3, "update": 4
}  # fmt: skip
FORWARD = ("z", "a", "stat", "value")  # the roles of what a network computes before its loss
_Key = tuple[object, ...]


@dataclass(frozen=True)
class Equation:
    """One named quantity and the node that defines it."""

    name: str
    node: Named
    role: Role

    @property
    def axes(self) -> Axes:
        return self.node.axes


def equations(roots: Iterable[Node]) -> tuple[Equation, ...]:
    """One equation for each Named node below the roots, each after those that it needs.

    The nodes come back in a textbook's words (``as_printed``). The forward pass comes first, then
    the loss, then δ from the last layer to the first, then the gradients in the order of their δ,
    then what states become.

    >>> from pullback.ir import Add, Axis, Input
    >>> x = Input("x", (Axis("i", 3),))
    >>> z = Named("z.0", Add((x, x)), "z")
    >>> [each.name for each in equations([Named("a.1", z, "a")])]
    ['z.0', 'a.1']
    """
    shown = as_printed(*opened(*roots))
    needs = {node: needed(node) for node in walk(shown) if isinstance(node, Named)}
    wanted_by: dict[Named, list[Named]] = {node: [] for node in needs}
    for node, below in needs.items():
        for each in below:
            wanted_by[each].append(node)
    open_needs = {node: len(below) for node, below in needs.items()}
    place: dict[Named, int] = {}

    def key(node: Named) -> _Key:
        stage = _STAGE[node.role]
        latest = max((place[each] for each in needs[node]), default=0)
        backward = stage >= _STAGE["delta"]
        # a matrix's gradient before its bias'
        order = (latest, -len(node.axes)) if backward else (0, 0)
        return stage, order, natural(node.name), node.digest

    ready = [(key(node), node) for node, count in open_needs.items() if count == 0]
    heapq.heapify(ready)
    while ready:
        _, node = heapq.heappop(ready)
        place[node] = len(place)
        for user in wanted_by[node]:
            open_needs[user] -= 1
            if open_needs[user] == 0:
                heapq.heappush(ready, (key(user), user))
    return tuple(Equation(node.name, node, node.role) for node in place)


def forward(equations: Iterable[Equation]) -> Graph:
    """The equations of the forward pass with what they read."""
    return Graph({each.name: each.node for each in equations if each.role in (*FORWARD, "loss")})


def needed(named: Named) -> tuple[Named, ...]:
    """The Named nodes that the right side speaks of: those reached without passing another."""
    found: dict[Named, None] = {}
    for node in inside(named):
        if isinstance(node, Named):
            found[node] = None
    return tuple(found)


def spoken_of(named: Named) -> tuple[Named, ...]:
    """The Named nodes that the right side names; a state before a turn is what a turn has left.

    A loop's equations may name one another in a circle.
    """
    parts = (named.arg, *map(after, told_of(named.arg)))
    direct = (_beside(part) for part in parts)
    return tuple(dict.fromkeys(each for found in direct for each in found))


def _beside(node: Node) -> Iterator[Named]:
    """The Named nodes below one that are reached without passing another, or a loop."""
    seen: set[Node] = set()
    waiting = [node]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Named):
            yield each
        elif each not in seen and not isinstance(each, Scan):
            waiting += each.args
        seen.add(each)


def trained(equations: Iterable[Equation]) -> frozenset[Node]:
    """The leaves that are adjusted: the parameters, or else whatever has a gradient.

    An expression has no parameters, only inputs; those with respect to which it was
    differentiated play their part.
    """
    several = tuple(equations)
    leaves = [leaf for each in several for leaf in inside(each.node)]
    parameters = frozenset(leaf for leaf in leaves if isinstance(leaf, Parameter))
    wrt = {each.node.label.place for each in several if each.role == "gradient"}
    named = frozenset(leaf for leaf in leaves if isinstance(leaf, Input) and leaf.name in wrt)
    return parameters or named


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A key that puts z.2 before z.10.

    >>> sorted(["z.10", "z.2", "z.2.block.0"], key=natural)
    ['z.2', 'z.2.block.0', 'z.10']
    """
    pieces = re.findall(r"\d+|[^\d.]+", name)
    return tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in pieces)
