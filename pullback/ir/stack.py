"""Axes put together as one whose length only the data tell: what vec, vech and Kronecker do.

A pattern says where an entry goes once lengths are numbers; until then a ``Stack`` stands for it,
a constant leaf of a product as it is. ``concrete`` puts the patterns in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from pullback.ir.axis import Axes, Axis, distinct
from pullback.ir.kinds import Add
from pullback.ir.node import Node, walk
from pullback.ir.pattern import Index, Pattern, Range, identity


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Stack(Node):
    """1 where the place on ``whole`` is that of the parts together, the last of them the fastest.

    Of a ``half`` the parts are the columns and rows of a square matrix, of which only the lower
    triangle has places.
    """

    whole: Axis
    parts: Axes
    half: bool = False

    def result_axes(self) -> Axes:
        return (self.whole, *self.parts)

    def fault(self) -> str | None:
        return distinct(self.result_axes())

    def renamed(self, names: Mapping[Axis, Axis]) -> Stack:
        """The same of other axes."""
        return Stack(
            names.get(self.whole, self.whole),
            tuple(names.get(axis, axis) for axis in self.parts),
            self.half,
        )

    def length(self, sizes: Sequence[int]) -> int:
        """How long the whole axis is, for parts of these lengths."""
        if self.half:
            return sizes[0] * (sizes[0] + 1) // 2
        total = 1
        for size in sizes:
            total *= size
        return total

    def pattern(self) -> Node:
        """The 0/1 tensor, for axes of known lengths."""
        if not self.half:
            place = Index()
            for axis in self.parts:
                place = (axis.size or 0) * place + Index.on(axis)
            return Pattern(self.axes, (Index.on(self.whole) - place,))
        column, row = self.parts
        n = column.size or 0
        terms: list[Node] = []
        for at in range(n):  # column by column, each from the diagonal on
            first = at * n - at * (at - 1) // 2
            place = Index.on(row) + (first - at)
            equations = (Index.on(column) - at, Index.on(self.whole) - place)
            terms.append(Pattern(self.axes, equations, (Range(Index.on(row), at, None),)))
        return terms[0] if len(terms) == 1 else Add(tuple(terms))


def stacks_of(roots: Iterable[Node]) -> list[Stack]:
    """The stacks below some nodes."""
    return [node for node in walk(roots) if isinstance(node, Stack)]


def unstacked(factors: Sequence[Node], over: Axes) -> list[Node]:
    """The factors of a product without stacks that undo one another.

    Where two stacks alone have a whole axis, and it is summed, their parts are the same two by two;
    where they alone have all their parts, their whole axes are.
    """
    found = list(factors)
    for one in [factor for factor in factors if isinstance(factor, Stack)]:
        for other in [each for each in found if isinstance(each, Stack) and each is not one]:
            if one not in found or one.half != other.half or len(one.parts) != len(other.parts):
                continue
            rest = [factor for factor in found if factor is not one and factor is not other]
            kept = {*over, *(axis for factor in rest for axis in factor.axes)}
            if one.whole == other.whole and one.whole not in kept and not one.half:
                pairs = list(zip(one.parts, other.parts, strict=True))
            elif one.parts == other.parts and not kept & {*one.parts}:
                pairs = [(one.whole, other.whole)]
            else:
                continue
            if any(a == b for a, b in pairs):
                continue
            found = [*rest, *(identity(a, b) for a, b in pairs)]
    return found


def concrete(roots: tuple[Node, ...], sizes: Mapping[Axis, int]) -> tuple[Node, ...]:
    """The roots with all axes of their lengths, and patterns in the place of stacks."""
    known: dict[Node, Node] = {}

    def sized(value: Any) -> Any:
        if isinstance(value, Node):
            return known[value]
        if isinstance(value, Axis) and value.size is None:
            return Axis(value.name, sizes.get(value, sizes.get(value.unprimed)))
        if isinstance(value, tuple):
            return tuple(map(sized, value))
        if isinstance(value, (Index, Range)):
            return type(value)(*(sized(getattr(value, each.name)) for each in fields(value)))
        return value

    for node in walk(roots):
        new = type(node)(*(sized(getattr(node, name)) for name in node.field_names))
        known[node] = new.pattern() if isinstance(new, Stack) else new
    return tuple(known[root] for root in roots)
