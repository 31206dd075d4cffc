"""In which order the nodes of a product stand on its line: neighbours side by side.

A product of matrices then reads from left to right, and the loop of a trace goes round it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pullback.diagram.tensor_network import TensorNetwork, Wire

_TRIED = 14  # nodes up to which every move of one of them is tried
_ARC, _FARTHER = 1.0, 0.3  # the costs of an edge over others: one long one beats two short ones
_STUB, _TURN = 0.6, 0.2  # of a free edge away from its side, of a node read backwards


@dataclass(frozen=True)
class InnerEdge:
    """An edge between two items; where an item is a dot, its leg is −1."""

    wire: Wire
    start: int
    start_leg: int
    end: int
    end_leg: int


@dataclass(frozen=True)
class OpenEdge:
    """An edge from an item to a place of the result, at the left for rows, else at the right.

    One that has no place ends in a dot: it is summed.
    """

    wire: Wire
    item: int
    leg: int
    place: int | None
    leftward: bool = False


Edge = InnerEdge | OpenEdge


class Items:
    """Tensors and then dots, their edges, and which of them hang below a dot."""

    def __init__(self, network: TensorNetwork, rank: int) -> None:
        self.links: list[InnerEdge] = []
        self.stubs: list[OpenEdge] = []
        self.dots: list[Wire] = []
        tensors = len(network.tensors)
        for wire in network.wires:
            if wire.is_length:
                continue
            if wire.is_edge and len(wire.ends) == 2:
                (one, leg), (other, at) = wire.ends
                self.links.append(InnerEdge(wire, one, leg, other, at))
                continue
            if len(wire.ends) == 1 and not wire.free:
                self.stubs.append(OpenEdge(wire, *wire.ends[0], None))
                continue
            if wire.is_edge and wire.ends:
                item, leg = wire.ends[0]
            else:
                item, leg = tensors + len(self.dots), -1
                self.dots.append(wire)
                self.links += [InnerEdge(wire, item, -1, one, at) for one, at in wire.ends]
            for place in wire.free:
                leftward = place < (rank + 1) // 2
                self.stubs.append(OpenEdge(wire, item, leg, place, leftward))
        self.count, self.tensors = tensors + len(self.dots), tensors
        self.legs = [len(tensor.legs) for tensor in network.tensors]
        self.hung: dict[int, list[int]] = {}  # of a dot, what hangs below it
        self._hang()

    def is_dot(self, item: int) -> bool:
        """Is it where edges meet, and not a tensor?"""
        return item >= self.tensors

    def _hang(self) -> None:
        """Vectors that meet others at a dot hang there, but for one if there is nobody else."""
        for dot in range(self.tensors, self.count):
            at = [link.end for link in self.links if link.start == dot]
            single = [item for item in dict.fromkeys(at) if self.legs[item] == 1]
            free = sum(stub.item == dot for stub in self.stubs)
            if single and len(at) + free > 2:
                alone = len(single) == len(at) and not free
                self.hung[dot] = single[1:] if alone else single

    def components(self) -> list[list[int]]:
        """The items on the line, those that hold together in one list, each in order."""
        hanging = {item for items in self.hung.values() for item in items}
        near: dict[int, set[int]] = {i: set() for i in range(self.count) if i not in hanging}
        for link in self.links:
            if link.start in near and link.end in near:
                near[link.start].add(link.end)
                near[link.end].add(link.start)
        found: list[list[int]] = []
        seen: set[int] = set()
        for item in near:
            if item in seen:
                continue
            group, waiting = [], [item]
            while waiting:
                each = waiting.pop()
                if each not in seen:
                    seen.add(each)
                    group.append(each)
                    waiting += sorted(near[each] - seen, reverse=True)
            found.append(self._ordered(sorted(group)))
        return sorted(found, key=self._rank_of_group)

    def _rank_of_group(self, group: Sequence[int]) -> tuple[int, int]:
        """Scalars first, then what has rows, then what has columns alone."""
        free = [stub for stub in self.stubs if stub.place is not None]
        sides = [stub.leftward for stub in free if stub.item in group]
        return (1 if any(sides) else 2 if sides else 0), min(group)

    def _ordered(self, group: list[int]) -> list[int]:
        links = [each for each in self.links if each.start in group and each.end in group]
        stubs = [each for each in self.stubs if each.item in group]
        order = self._walked(group, links, stubs)
        if not 2 < len(order) <= _TRIED:
            turned = order[::-1]
            return min((order, turned), key=lambda each: self._cost(each, links, stubs))
        best = self._cost(order, links, stubs)
        improved = True
        while improved:
            improved = False
            moves = [order[::-1]]
            for at, item in enumerate(order):
                rest = order[:at] + order[at + 1 :]
                moves += [[*rest[:to], item, *rest[to:]] for to in range(len(order)) if to != at]
            for each in moves:
                cost = self._cost(each, links, stubs)
                if cost < best - 1e-9:
                    order, best, improved = each, cost, True
        return order

    def _walked(
        self, group: Sequence[int], links: Sequence[InnerEdge], stubs: Sequence[OpenEdge]
    ) -> list[int]:
        """From the item with the rows of the result along its edges to the others."""
        near: dict[int, list[int]] = {item: [] for item in group}
        for link in links:
            near[link.start].append(link.end)
            near[link.end].append(link.start)
        lefts = {stub.item for stub in stubs if stub.leftward}
        start = min(group, key=lambda item: (item not in lefts, len(near[item]), item))
        order, placed = [start], {start}
        while len(order) < len(group):
            last = next(item for item in reversed(order) if set(near[item]) - placed)
            beside = [item for item in near[last] if item not in placed]
            chosen = max(beside, key=lambda item: (near[last].count(item), -len(near[item]), -item))
            order.append(chosen)
            placed.add(chosen)
        return order

    def _cost(
        self, order: Sequence[int], links: Sequence[InnerEdge], stubs: Sequence[OpenEdge]
    ) -> float:
        at = {item: place for place, item in enumerate(order)}
        cost = 0.0
        first: dict[int, float] = {}  # where a node's first and last axis lead to
        last: dict[int, float] = {}
        for link in links:
            one, other = at[link.start], at[link.end]
            cost += _ARC + _FARTHER * (abs(one - other) - 2) if abs(one - other) > 1 else 0.0
            for item, leg, there in (
                (link.start, link.start_leg, other),
                (link.end, link.end_leg, one),
            ):
                self._note(item, leg, there, first, last)
        for stub in (each for each in stubs if each.place is not None):
            end = -1 if stub.leftward else len(order)
            cost += _STUB * (abs(at[stub.item] - end) - 1)
            self._note(stub.item, stub.leg, end, first, last)
        turned = sum(first[item] > last[item] for item in first.keys() & last.keys())
        return cost + _TURN * turned

    def _note(
        self, item: int, leg: int, there: float, first: dict[int, float], last: dict[int, float]
    ) -> None:
        if item < self.tensors and self.legs[item] > 1:
            if leg == 0:
                first[item] = there
            elif leg == self.legs[item] - 1:
                last[item] = there
