"""Where values lie: which array, and how far one index on from the next is along each axis.

An array has its batch axis outermost, so that all strides are known before the data are. Or its
samples lie in blocks, as kernels over windows read them: as many as a vector holds side by side,
and the blocks outermost. A view is no array: a slice, a window, a diagonal is other strides over
the array that it is a part of.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import singledispatchmethod

from pullback.emit.nest.refusal import refusal
from pullback.emit.values import Detached, Diagonal, Part, ProgramStep, Unfolded, Value, View
from pullback.ir import Axes, Axis, Index
from pullback.ir.pattern import Range


@dataclass(frozen=True)
class Spot:
    """An entry of an array for each index of a loop; what lies outside of a range is zero.

    ``looked`` are places of whole numbers, each with how much further on one more of them is.
    Where ``array`` is empty it is no entry: 1 where the offset comes to 0, else 0. Where samples
    lie in blocks, ``each`` is how many numbers one of them takes.
    """

    array: str
    strides: tuple[tuple[Axis, int], ...]  # those that are not 0, in numbers
    offset: int = 0
    within: tuple[Range, ...] = ()
    looked: tuple[tuple[Spot, int], ...] = ()
    each: int = 0

    def stride(self, axis: Axis) -> int:
        """How many numbers further on the next entry along an axis is."""
        return dict(self.strides).get(axis, 0)

    def looks(self, axis: Axis | None) -> bool:
        """Does what is looked up change along an axis?"""
        return axis is not None and any(index.stride(axis) for index, _ in self.looked)

    def at_index(self, axis: Axis, index: Spot) -> Spot:
        """The same with whole numbers for the index on an axis."""
        rest = tuple(each for each in self.strides if each[0] != axis)
        return replace(self, strides=rest, looked=(*self.looked, (index, self.stride(axis))))

    @property
    def indices(self) -> tuple[Spot, ...]:
        """The places that are read to find it."""
        return tuple(index for index, _ in self.looked)


@dataclass(frozen=True)
class Viewed:
    """A value as entries of an array: for each axis of the array, the index there."""

    array: str
    axes: Axes
    index: tuple[Index, ...]
    within: tuple[Range, ...] = ()

    def where(self, axis: Axis, other: Index) -> Viewed:
        """The same where the index on an axis is given by others."""
        held = tuple(replace(each, index=each.index.where(axis, other)) for each in self.within)
        return replace(self, index=tuple(i.where(axis, other) for i in self.index), within=held)

    def under(self, axes: Axes) -> Viewed:
        """The same with its axes under other names."""
        names = dict(zip(self.axes, axes, strict=True))
        if all(old == new for old, new in names.items()):
            return self
        held = tuple(replace(each, index=each.index.renamed(names)) for each in self.within)
        return Viewed(self.array, axes, tuple(i.renamed(names) for i in self.index), held)


@dataclass
class ArrayLayout:
    """The arrays of a program by name, with their axes, and what each view sees of them.

    A block has as many samples as a vector has ``lanes``.
    """

    lanes: int = 1
    arrays: dict[str, Axes] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)  # the arrays of whole numbers
    blocked: set[str] = field(default_factory=set)  # the arrays whose samples lie in blocks
    _seen: dict[str, Viewed] = field(default_factory=dict)

    def declare(self, values: Iterable[Value], blocked: bool = False) -> None:
        """Values that are arrays of their own."""
        for value in values:
            self.arrays.setdefault(value.name, value.axes)
            if blocked:
                self.blocked.add(value.name)
            if value.source == "whole":
                self.whole.add(value.name)

    def seen(self, value: Value) -> Viewed:
        """What a value is, under its axes."""
        if value.name in self._seen:
            return self._seen[value.name].under(value.axes)
        return Viewed(value.name, value.axes, tuple(map(Index.on, value.axes)))

    def of(self, value: Value) -> Spot:
        """Where a value lies."""
        return self.place(self.seen(value))

    def place(self, seen: Viewed) -> Spot:
        """Where the entries are that are seen."""
        strides, offset, axes = dict[Axis, int](), 0, self.arrays[seen.array]
        blocked = seen.array in self.blocked
        steps = blocks_of(axes, self.lanes) if blocked else strides_of(axes)
        for index, step in zip(seen.index, steps, strict=True):
            if index.lengths:
                raise refusal("a slice ends where only the data tell")
            offset += step * index.offset
            for axis, times in index.terms:
                strides[axis] = strides.get(axis, 0) + step * times
        kept = tuple((axis, step) for axis, step in strides.items() if step)
        each = row_size(axes) if blocked else 0
        return Spot(seen.array, kept, offset, seen.within, each=each)

    def look(self, step: View) -> None:
        """A view is what it sees from now on."""
        found = self._part(step)
        self._seen[step.out.name] = replace(found, axes=step.out.axes)

    def see(self, value: Value, as_it: Value) -> None:
        """Whoever reads a value reads a copy of it from now on."""
        self._seen[value.name] = self.seen(as_it)

    def take(self, now: Value, whole: Value) -> None:
        """A value is what another one has at one index of the axis that it lacks."""
        self._seen[now.name] = replace(self.seen(whole), axes=now.axes)

    @singledispatchmethod
    def _part(self, step: ProgramStep) -> Viewed:
        raise TypeError(f"no view: {type(step).__name__}")

    @_part.register
    def _(self, step: Detached) -> Viewed:
        return self.seen(step.arg)

    @_part.register
    def _(self, step: Part) -> Viewed:
        seen, size = self.seen(step.arg), step.axis.size
        if size is None:
            raise refusal(f"a slice is taken along {step.axis}")
        begin = Index(offset=range(size)[step.start : step.stop].start)
        if len(step.out.axes) < len(step.arg.axes):
            return seen.where(step.axis, begin)
        row = step.out.axes[step.arg.axes.index(step.axis)]
        return seen.where(step.axis, Index.on(row) + begin)

    @_part.register
    def _(self, step: Diagonal) -> Viewed:
        row = Index.on(step.out.axes[-1])
        return self.seen(step.arg).where(step.first, row).where(step.second, row)

    @_part.register
    def _(self, step: Unfolded) -> Viewed:
        return self.seen(step.arg).where(step.axis, step.index)


def strides_of(axes: Axes) -> tuple[int, ...]:
    """How far apart the entries of an array lie along each of its axes, the batch outermost."""
    order = sorted(axes, key=lambda axis: axis.size is not None)  # sorting keeps the others
    sizes = [axis.size or 1 for axis in order]
    steps = {axis: math.prod(sizes[at + 1 :]) for at, axis in enumerate(order)}
    return tuple(steps[axis] for axis in axes)


def blocks_of(axes: Axes, lanes: int) -> tuple[int, ...]:
    """The same for an array in blocks: samples lie side by side, entries a vector apart."""
    steps = zip(axes, strides_of(axes), strict=True)
    return tuple(1 if axis.size is None else step * lanes for axis, step in steps)


def row_size(axes: Axes) -> int:
    """How many numbers an array holds, or how many for each sample."""
    return math.prod(axis.size or 1 for axis in axes)


def of_samples(axes: Iterable[Axis]) -> bool:
    """Is the batch one of these axes?"""
    return any(axis.size is None for axis in axes)
