"""Patterns: 0/1 tensors given by equations between indices; every linear map that only moves.

A convolution's window, a slice, padding, a flip, axes put together or apart, a mask: each is one
constant leaf of a product. So none of them needs a rule of its own, and none is ever built by an
emitted program.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from pullback.errors import AxisError
from pullback.ir.axis import Axes, Axis, distinct, show
from pullback.ir.node import Node

Terms = tuple[tuple[Axis, int], ...]


@dataclass(frozen=True, slots=True)
class Index:
    """A whole number Σ c·index + Σ k·length + offset, for the index on each of some axes.

    >>> o, t = Axis("out", 4), Axis("tap", 3)
    >>> 2 * Index.on(o) + Index.on(t) - 1
    2·out + tap − 1
    """

    terms: Terms = ()
    offset: int = 0
    lengths: Terms = ()  # of axes whose size only the data tell

    @classmethod
    def on(cls, axis: Axis) -> Index:
        """The index on an axis."""
        return cls(((axis, 1),))

    @classmethod
    def length(cls, axis: Axis) -> Index:
        """How long an axis is."""
        return cls(lengths=((axis, 1),)) if axis.size is None else cls(offset=axis.size)

    @property
    def axes(self) -> Axes:
        """The axes whose index it needs."""
        return tuple(axis for axis, _ in self.terms)

    def of(self, axis: Axis) -> int:
        """What the index on an axis is multiplied by."""
        return dict(self.terms).get(axis, 0)

    def __add__(self, other: Index | int) -> Index:
        if isinstance(other, int):
            return Index(self.terms, self.offset + other, self.lengths)
        terms, lengths = _sum(self.terms, other.terms), _sum(self.lengths, other.lengths)
        return Index(terms, self.offset + other.offset, lengths)

    def __mul__(self, by: int) -> Index:
        terms, lengths = (
            tuple((a, c * by) for a, c in each if by) for each in (self.terms, self.lengths)
        )
        return Index(terms, self.offset * by, lengths)

    __rmul__ = __mul__

    def __sub__(self, other: Index | int) -> Index:
        return self + -1 * other

    def where(self, axis: Axis, other: Index) -> Index:
        """The same number where the index on an axis is given by others."""
        rest = Index(
            tuple(term for term in self.terms if term[0] != axis), self.offset, self.lengths
        )
        return rest + self.of(axis) * other

    def renamed(self, names: Mapping[Axis, Axis]) -> Index:
        """The same number of other axes."""
        terms, lengths = (
            tuple((names.get(axis, axis), c) for axis, c in each)
            for each in (self.terms, self.lengths)
        )
        return Index(_sum(terms, ()), self.offset, _sum(lengths, ()))

    def bounds(self, sizes: Mapping[Axis, int] | None = None) -> tuple[int, int]:
        """The least and the largest that it can be, for axes of known sizes."""
        known = {} if sizes is None else sizes
        at = self.offset + sum(c * known[axis] for axis, c in self.lengths)
        ends = [c * ((axis.size or known[axis]) - 1) for axis, c in self.terms]
        return at + sum(min(end, 0) for end in ends), at + sum(max(end, 0) for end in ends)

    def __repr__(self) -> str:
        parts = [(c, axis.name) for axis, c in self.terms]
        parts += [(c, f"|{axis.name}|") for axis, c in self.lengths]
        text = ""
        for c, name in parts:
            sign = " − " if c < 0 else " + " if text else ""
            text += f"{sign}{name if abs(c) == 1 else f'{abs(c)}·{name}'}"
        if self.offset or not text:
            sign = (" − " if self.offset < 0 else " + ") if text else "−" if self.offset < 0 else ""
            text += f"{sign}{abs(self.offset)}"
        return text.strip()


def _sum(one: Terms, other: Terms) -> Terms:
    total: dict[Axis, int] = {}
    for axis, c in (*one, *other):
        total[axis] = total.get(axis, 0) + c
    return tuple(sorted((axis, c) for axis, c in total.items() if c))


@dataclass(frozen=True, slots=True)
class Range:
    """low ≤ index ≤ high, where None is no bound."""

    index: Index
    low: int | None = None
    high: int | None = None

    @property
    def always(self) -> bool:
        """Does it hold whatever the indices are?"""
        if self.index.lengths or any(axis.size is None for axis in self.index.axes):
            return self.low is None and self.high is None
        least, largest = self.index.bounds()
        return (self.low is None or self.low <= least) and (
            self.high is None or largest <= self.high
        )


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Pattern(Node):
    """1 where every equation is 0 and every range holds, else 0.

    >>> h, o, t = Axis("height", 5), Axis("out", 3), Axis("tap", 3)
    >>> window = Pattern((h, o, t), (Index.on(h) - Index.on(o) - Index.on(t),))
    >>> window.axes, window.solved(h)
    ((height=5, out=3, tap=3), out + tap)
    """

    over: Axes
    equations: tuple[Index, ...]
    ranges: tuple[Range, ...] = ()

    def __post_init__(self) -> None:
        signed = {
            each if each.terms[0][1] > 0 else -1 * each for each in self.equations if each.terms
        }
        constant = tuple(each for each in self.equations if not each.terms)
        object.__setattr__(self, "equations", (*sorted(signed, key=repr), *constant))
        kept = {each for each in self.ranges if not each.always}
        object.__setattr__(self, "ranges", tuple(sorted(kept, key=repr)))

    def result_axes(self) -> Axes:
        return self.over

    def fault(self) -> str | None:
        indices = (*self.equations, *(each.index for each in self.ranges))
        needed = {axis for each in indices for axis in (*each.axes, *(a for a, _ in each.lengths))}
        if not needed <= {*self.over}:
            return f"it has no axes {show(tuple(sorted(needed - {*self.over})))}"
        if (part := self.slice) is not None:
            if (wrong := part.fault) is not None:
                return wrong
        elif self.equations and any(axis.size is None for axis in needed):
            return f"only a slice can be of an axis whose length is not known, in {show(self.over)}"
        return distinct(self.over)

    def renamed(self, names: Mapping[Axis, Axis]) -> Pattern:
        """The same pattern of other axes."""
        return Pattern(
            tuple(names.get(axis, axis) for axis in self.over),
            tuple(each.renamed(names) for each in self.equations),
            tuple(replace(each, index=each.index.renamed(names)) for each in self.ranges),
        )

    def solved(self, axis: Axis) -> Index | None:
        """The index on an axis as the one equation gives it; None where it is not ±1 times it."""
        if len(self.equations) != 1 or abs(c := self.equations[0].of(axis)) != 1:
            return None
        return -c * self.equations[0].where(axis, Index())

    def where(self, axis: Axis, other: Index) -> Pattern:
        """The pattern where the index on an axis is given by others."""
        rest = [each for each in self.over if each != axis]
        rest += [each for each in other.axes if each not in rest]
        return Pattern(
            tuple(rest),
            tuple(each.where(axis, other) for each in self.equations),
            tuple(
                Range(each.index.where(axis, other), each.low, each.high) for each in self.ranges
            ),
        )

    @property
    def parts(self) -> tuple[Pattern, ...]:
        """Patterns of one equation each, and one of the ranges, whose product it is.

        Each has the axes that it says something about; one more has the others, and says nothing.
        """
        if self.slice is not None:
            return (self,)
        found = [Pattern(each.axes, (each,)) for each in self.equations]
        if self.ranges:
            axes = {axis for each in self.ranges for axis in each.index.axes}
            found.append(Pattern(tuple(sorted(axes)), (), self.ranges))
        held = {axis for each in found for axis in each.over}
        lonely = tuple(axis for axis in self.over if axis not in held)
        return (*found, *((Pattern(lonely, ()),) if lonely else ()))

    @property
    def number(self) -> int | None:
        """What it is everywhere, if it says nothing or has no axes."""
        if self.over and (self.equations or self.ranges):
            return None
        return int(not any(each.offset for each in self.equations) and not self.ranges)

    @property
    def slice(self) -> Slice | None:
        """The rows of an identity that it is, if it is some."""
        return _slice(self)


@dataclass(frozen=True, slots=True)
class Slice:
    """The rows ``start:stop`` of an identity matrix, as Python slices: a product with it picks."""

    row: Axis
    column: Axis
    start: int | None = None
    stop: int | None = None

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """The axis of the slice, and the axis that it is of."""
        return (self.row, self.column)

    @property
    def is_whole(self) -> bool:
        """Is it the identity itself?"""
        return self.start is None and self.stop is None

    def picked(self, size: int) -> range:
        """Which entries of the column axis are picked."""
        return range(size)[self.start : self.stop]

    @property
    def fault(self) -> str | None:
        """What is wrong with it, as far as sizes are known."""
        if self.is_whole and self.row.size != self.column.size:
            return f"{self.row} and {self.column} differ in size"
        if self.column.size is None:
            return None
        length = len(self.picked(self.column.size))
        if not length:
            return f"nothing of {show((self.column,))} is picked"
        if self.row.size not in (None, length):
            return f"{length} entries of {show((self.column,))} are picked for {self.row}"
        return None

    @property
    def pattern(self) -> Pattern:
        """The 0/1 matrix (row, column); raises AxisError for a slice with a fault."""
        if (wrong := self.fault) is not None:
            raise AxisError(f"a slice of {show((self.column,))}: {wrong}")
        row, column = Index.on(self.row), Index.on(self.column)
        start, stop, size = self.start, self.stop, self.column.size
        if self.is_whole:
            return Pattern(self.axes, (column - row,))
        if size is not None:
            picked = self.picked(size)
            start, stop = picked.start, picked.stop - size or None
        ends = start is not None and start < 0
        first = Index.length(self.column) + (start or 0) if ends else Index(offset=start or 0)
        from_end = column - Index.length(self.column)
        # where the column's length is open, a row of known length has to be as long as the slice
        to_end = size is None and not ends and (stop is None or stop < 0)
        told = to_end if self.row.size is not None else stop is not None
        return Pattern(
            self.axes,
            (column - row - first,),
            (Range(from_end, None, (stop or 0) - 1),) if told else (),
        )


@lru_cache(maxsize=1024)  # whoever reads a product asks for it, again and again
def _slice(pattern: Pattern) -> Slice | None:
    if len(pattern.over) != 2 or len(pattern.equations) != 1:
        return None
    one, other = pattern.over
    found = (_rows(pattern, one, other), _rows(pattern, other, one))
    # where the column's length is open, the rows are the side whose length is known
    return next((s for s in found if s and s.row.size is not None), None) or found[0] or found[1]


def _rows(pattern: Pattern, row: Axis, column: Axis) -> Slice | None:
    """The slice of ``column`` with the axis ``row`` that a pattern is, if it is one."""
    first = pattern.solved(column)
    if first is None or first.of(row) != 1:
        return None
    start, from_end = first.offset, first.lengths == ((column, 1),)
    if (first.lengths and not from_end) or from_end != (start < 0):
        return None
    end = Range(Index.on(column) - Index.length(column), None)
    ends = [each for each in pattern.ranges if (each.index, each.low) == (end.index, end.low)]
    if len(ends) != len(pattern.ranges) or len(ends) > 1:
        return None
    if ends:
        return Slice(row, column, start, (ends[0].high or 0) + 1 or None)
    if row.size is None:
        return Slice(row, column, start or None)
    if column.size is not None and start + row.size > column.size:
        return None
    if row.size == column.size:
        return Slice(row, column)
    return Slice(row, column, start, start + row.size or None)


def identity(row: Axis, column: Axis) -> Pattern:
    """The identity matrix δ_ij between two axes of one size.

    Raises AxisError where they differ in size.
    """
    return Slice(row, column).pattern


def rows(row: Axis, column: Axis, start: int | None, stop: int | None) -> Pattern:
    """The rows ``start:stop`` of an identity matrix, as Python slices.

    >>> rows(Axis("part", 2), Axis("whole", 5), -2, None)
    Pattern((part=2, whole=5))
    """
    return Slice(row, column, start, stop).pattern
