"""Slices by named axis: x[1:] is a product with some rows of an identity matrix.

So a slice needs no rule of its own: its pullback is the product with the same matrix. The axis of
a slice is named by how long it is, so that x[1:] and x[:-1] stand on one axis. x[:3] and x[1:]
are of one length where x has 4 entries: such a ``Meeting`` tells how long the axis is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pullback.errors import AxisError, ShapeError
from pullback.ir.axis import Axes, Axis
from pullback.ir.kinds import Contract, Rename
from pullback.ir.node import Node
from pullback.ir.pattern import rows


@dataclass(frozen=True)
class Extent:
    """A stretch of an axis: ``length`` entries of it, or all but ``missing``."""

    base: Axis
    length: int | None = None
    missing: int = 0
    text: str = field(default="", compare=False)  # of a slice that is this much

    @property
    def axis(self) -> Axis:
        """The axis of a tensor that has this much of the base."""
        if self.length is not None:
            return Axis(f"{self.base.name}:{self.length}", self.length)
        return Axis(f"{self.base.name}-{self.missing}") if self.missing else self.base

    def __str__(self) -> str:
        if self.length is not None:
            return f"{self.length} of {self.base.unprimed.name!r}"
        name = repr(self.base.unprimed.name)
        return f"all of {name} but {self.missing}" if self.missing else f"all of {name}"

    def part(self, start: int, stop: int | None) -> Extent:
        """What ``start:stop`` leaves; raises AxisError where that is nothing, or unclear."""
        span = f"[{start or ''}:{'' if stop is None else stop}]"
        size = self.base.size if not self.missing and self.length is None else self.length
        if size is not None:
            length = len(range(size)[start:stop])
            if not length:
                raise AxisError(f"nothing of {self.axis} is left by {span}")
            return self if length == size else Extent(self.base, length)
        if stop is None and start < 0:
            return Extent(self.base, -start)
        if stop is None or stop < 0 <= start:
            return Extent(self.base, None, self.missing + start - (stop or 0))
        if (start < 0) == (stop < 0):
            if stop <= start:
                raise AxisError(f"nothing of {self.axis} is left by {span}")
            return Extent(self.base, stop - start)
        raise AxisError(f"the length of {span} depends on that of {self.base.name!r}")

    def may_equal(self, other: Extent) -> bool:
        """Can the two be of one length? The whole axis and some entries of it are not meant."""
        if (self.length is None) == (other.length is None):
            return self == other
        return self.missing + other.missing > 0

    def of(self, size: int) -> int:
        """How long it is where the base has so many entries."""
        return max(size - self.missing, 0) if self.length is None else min(size, self.length)


@dataclass(frozen=True)
class Meeting:
    """Two slices of one axis that go together entry by entry, and so tell its length."""

    one: Extent
    other: Extent

    @property
    def axis(self) -> Axis:
        """The axis that they are slices of, of that length."""
        length = sum(part.length or part.missing for part in (self.one, self.other))
        return Axis(self.one.base.unprimed.name, length)

    def check(self, given: str, axes: Axes, shape: tuple[int, ...]) -> None:
        """Raise ShapeError where what is given makes the slices of two lengths."""
        for axis, size in zip(axes, shape, strict=False):
            if axis.unprimed.name == self.axis.name and size != self.axis.size:
                lengths = (f"{part.text} has length {part.of(size)}" for part in self._parts)
                raise ShapeError(
                    f"{given}, and where {self.axis.name!r} is {size}, {' and '.join(lengths)}: "
                    f"{self}"
                )

    @property
    def _parts(self) -> tuple[Extent, Extent]:
        return (self.one, self.other)

    def __str__(self) -> str:
        met = " and ".join(part.text for part in self._parts)
        return f"{met} meet entry by entry only where {self.axis.name!r} is {self.axis.size}"


Meetings = Mapping[str, Meeting]  # by the name of the axis


class Slices:
    """The slices of one formula: which axis each is of, and how much of it.

    ``told`` are meetings that are known already: slices have to fit the lengths that they tell.

    >>> from pullback.ir import Input
    >>> slices, x = Slices(), Input("x", (Axis("n"),))
    >>> slices.pick(x, x.axes[0], 1, None).axes == slices.pick(x, x.axes[0], None, -1).axes
    True
    """

    def __init__(self, told: Meetings | None = None) -> None:
        self._extents: dict[Axis, Extent] = {}
        self._told = told or {}
        self.meetings: dict[str, Meeting] = {}

    def of(self, axis: Axis) -> Extent:
        """How much of which axis this one is."""
        return self._extents.get(axis, Extent(axis))

    def named(self, name: str, axes: Axes) -> Axis | None:
        """The axis of that name, or else the only slice of an axis of that name."""
        exact = [axis for axis in axes if axis.name == name]
        found = exact or [axis for axis in axes if self.of(axis).base.name == name]
        return found[0] if len(found) == 1 else None

    def pick(
        self, node: Node, axis: Axis, start: int | None, stop: int | None, text: str = ""
    ) -> Node:
        """The entries ``start:stop`` along one axis; ``text`` is what a person wrote."""
        told, reach = self._told.get(axis.unprimed.name), max(stop or 0, -(start or 0))
        if told is not None and reach > (told.axis.size or reach):
            raise AxisError(f"{text} needs {reach} entries of {axis.unprimed.name!r}; {told}")
        extent = replace(self.of(axis).part(start or 0, stop), text=text)
        row = extent.axis
        if row == axis:
            return node
        self._extents[row] = extent
        over = tuple(row if each == axis else each for each in node.axes)
        return Contract((node, rows(row, axis, start, stop)), over)

    def aligned(self, *nodes: Node) -> tuple[Node, ...]:
        """The nodes with slices of one axis under one name, so that they meet entry by entry.

        Raises AxisError for slices that cannot be of one length.
        """
        done: list[Node] = []
        for node in nodes:
            for earlier in done:
                node = self._beside(node, earlier)
            done.append(node)
        return tuple(done)

    def under(self, node: Node, axis: Axis, theirs: Axis) -> Node:
        """The node with its slice under the name of another slice of the same axis."""
        if axis == theirs or self.of(axis).base != self.of(theirs).base:
            return node
        if not self.of(axis).may_equal(self.of(theirs)):
            raise AxisError(
                f"{self.of(theirs)} and {self.of(axis)} do not meet: slices of one axis meet "
                "entry by entry; take as many entries on both sides"
            )
        self._note(Meeting(self.of(theirs), self.of(axis)))
        return Rename(node, ((axis, theirs),))

    def check_square(self, name: str, axes: Axes) -> None:
        """Raise AxisError for a matrix of two slices of one axis that are not the same stretch."""
        if len(axes) == 2:
            one, other = (self.of(axis) for axis in axes)
            alike = (one.length, one.missing) == (other.length, other.missing)
            if one.base.unprimed == other.base.unprimed and not alike:
                raise AxisError(f"{name} takes a square matrix, found {one} by {other}")

    def _note(self, meeting: Meeting) -> None:
        known = self.meetings.setdefault(meeting.axis.name, meeting)
        if known.axis != meeting.axis:
            raise AxisError(f"{known}, {meeting}: no length is both")

    def _beside(self, node: Node, other: Node) -> Node:
        for axis in node.axes:
            base = self.of(axis).base
            partners = [
                each for each in other.axes if self.of(each).base == base and each not in node.axes
            ]
            if axis not in other.axes and len(partners) == 1:
                node = self.under(node, axis, partners[0])
        return node


def pick(node: Node, axis: Axis, start: int | None, stop: int | None) -> Node:
    """The entries ``start:stop`` along one axis, for a node that is built by hand."""
    return Slices().pick(node, axis, start, stop)


def entry(node: Node, axis: Axis, at: int) -> Node:
    """One entry along an axis, which is then gone."""
    stop = at + 1 if at != -1 else None
    row = Axis(f"{axis.name}[{at}]", 1)
    over: Axes = tuple(each for each in node.axes if each != axis)
    return Contract((node, rows(row, axis, at, stop)), over)
