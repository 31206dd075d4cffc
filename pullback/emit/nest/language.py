"""A small language of loops: what a step of training is, before it is machine code.

A unit is a nest of loops over axes, a product of matrices, or a kernel over windows. Units run one
after the other; what one of them leaves lies in an array, or, if it is a number, in a variable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pullback.emit.nest.layout import Spot
from pullback.ir import Axes, Axis
from pullback.machine.window.geometry import Kind as WindowKind

Kind = Literal["each", "sum", "max", "add", "where"]


@dataclass(frozen=True)
class Statement:
    """What is done for each index of a nest: an expression over what is read, and where it goes.

    "each" writes it; "sum" and "max" write what it comes to over the nest's summed axes; "add" adds
    it to what is there, and "where" writes at which index of the summed axis the first largest is.
    """

    name: str  # of the value that it makes
    into: Spot
    expr: Any
    reads: tuple[tuple[Any, Spot], ...] = ()
    kind: Kind = "each"

    @property
    def arrays(self) -> tuple[str, ...]:
        """The arrays that it reads."""
        return tuple(place.array for _, place in self.reads)


@dataclass
class Nest:
    """Loops over axes with statements inside; over the axes ``summed`` some of them sum."""

    axes: Axes
    summed: Axes = ()
    statements: list[Statement] = field(default_factory=list)

    @property
    def loops(self) -> Axes:
        """All axes that it runs over."""
        return self.axes + self.summed

    @property
    def reads(self) -> Iterator[Spot]:
        """All that it reads."""
        for statement in self.statements:
            for _, place in statement.reads:
                yield from (place, *place.indices)
            yield from statement.into.indices
            if statement.kind == "add":
                yield statement.into

    @property
    def writes(self) -> Iterator[Spot]:
        """All that it writes."""
        return (statement.into for statement in self.statements)

    @property
    def makes(self) -> set[str]:
        """The values that it computes."""
        return {statement.name for statement in self.statements}

    @property
    def blocked(self) -> bool:
        """Does it read or write samples in blocks?"""
        return any(place.each for place in (*self.reads, *self.writes))


@dataclass(frozen=True)
class Multiply:
    """out ← left · right, summed over the axes ``summed``, for each index of ``axes``.

    ``in_strips`` is a copy of the right factor in the order in which a product reads it, if any.
    Statements that are done for each of these indices ``then`` find the sum still in a register.
    """

    name: str
    out: Spot
    left: Spot
    right: Spot
    axes: Axes
    summed: Axes
    in_strips: Spot | None = None
    then: tuple[Statement, ...] = ()

    @property
    def loops(self) -> Axes:
        """All axes that it runs over."""
        return self.axes + self.summed

    @property
    def blocked(self) -> bool:
        """Do samples that it reads lie in blocks?"""
        return any(place.each for place in self.reads)

    @property
    def reads(self) -> Iterator[Spot]:
        """All that it reads."""
        yield from (self.left, self.in_strips or self.right)
        yield from (place for statement in self.then for _, place in statement.reads)

    @property
    def writes(self) -> Iterator[Spot]:
        """All that it writes."""
        yield from (self.out, *(statement.into for statement in self.then))

    @property
    def makes(self) -> set[str]:
        """The values that it computes."""
        return {self.name, *(statement.name for statement in self.then)}


@dataclass(frozen=True)
class Windowed:
    """A convolution or a pool, or what carries one back: a kernel goes through arrays in blocks.

    ``kernel`` and ``rank`` say which one, ``given`` is what it takes behind its table of numbers;
    None is an address of nothing. ``parts`` are those of all the work, or, of a convolution, those
    of two vectors of samples.
    """

    name: str
    kernel: WindowKind
    rank: int
    out: Spot
    given: tuple[Spot | None, ...]
    axes: Axes
    summed: Axes
    table: tuple[int, ...]
    parts: int
    scratch: int = 0

    @property
    def loops(self) -> Axes:
        """All axes that it runs over."""
        return self.axes + self.summed

    @property
    def reads(self) -> Iterator[Spot]:
        """All that it reads."""
        return (place for place in self.given if place is not None and place != self.out)

    @property
    def writes(self) -> Iterator[Spot]:
        """What it writes."""
        return iter((self.out,))

    @property
    def makes(self) -> set[str]:
        """The value that it computes."""
        return {self.name}


@dataclass(frozen=True)
class Repeat:
    """Units that are done for each index along an axis, one after the other, or from the last on.

    Samples stay apart in it: each unit has their axis, of which workers share the whole.
    """

    along: Axis
    backward: bool
    units: tuple[Nest | Multiply, ...]
    batch: Axis

    @property
    def axes(self) -> Axes:
        """The axis of the samples."""
        return (self.batch,)

    @property
    def summed(self) -> Axes:
        """None that all of it sums over."""
        return ()

    @property
    def loops(self) -> Axes:
        """The axes that all of it runs over."""
        return (self.batch, self.along)

    @property
    def reads(self) -> Iterator[Spot]:
        """All that it reads."""
        return (place for unit in self.units for place in unit.reads)

    @property
    def writes(self) -> Iterator[Spot]:
        """All that it writes."""
        return (place for unit in self.units for place in unit.writes)

    @property
    def makes(self) -> set[str]:
        """The values that it computes."""
        return {name for unit in self.units for name in unit.makes}


Unit = Nest | Multiply | Windowed | Repeat


def flat(units: Iterable[Unit]) -> Iterator[Nest | Multiply | Windowed]:
    """The units, and in the place of those that repeat some these."""
    for unit in units:
        if isinstance(unit, Repeat):
            yield from unit.units
        else:
            yield unit


def moved(unit: Nest | Multiply, to: Callable[[Spot], Spot]) -> Nest | Multiply:
    """A unit that reads and writes in other places."""
    if isinstance(unit, Nest):
        return replace(unit, statements=[_moved(each, to) for each in unit.statements])
    then = tuple(_moved(each, to) for each in unit.then)
    out, left, right = map(to, (unit.out, unit.left, unit.right))
    return replace(unit, out=out, left=left, right=right, then=then)


def _moved(statement: Statement, to: Callable[[Spot], Spot]) -> Statement:
    reads = tuple((sym, to(place)) for sym, place in statement.reads)
    return replace(statement, into=to(statement.into), reads=reads)


def sums_samples(unit: Unit) -> bool:
    """Does the axis of the samples end in this unit?"""
    return any(axis.size is None for axis in unit.summed)


def batch_of(axes: Axes) -> Axis | None:
    """The axis of the samples, if it is one of these."""
    return next((axis for axis in axes if axis.size is None), None)
