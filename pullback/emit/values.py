"""What a lowered program is made of: values with axes, and the steps that compute them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from pullback.emit.expression.scalar import calculated
from pullback.ir import Axes, Axis, Index, Pattern, Slice, Stack

Source = Literal["parameter", "input", "whole", "size", "work", "view"]


@dataclass(frozen=True)
class Value:
    """One array of the emitted program, under the name it has there.

    A "view" is a part of another array, a "whole" holds whole numbers. Under other axes a value is
    the same array renamed.
    """

    name: str
    axes: Axes
    source: Source = "work"

    @property
    def is_array(self) -> bool:
        return bool(self.axes)


@dataclass(frozen=True)
class ProgramStep:
    """``out`` is computed from ``operands``; each kind of step says how, and what it makes."""

    out: Value
    makes: ClassVar[Source] = "work"

    @property
    def operands(self) -> tuple[Value, ...]:
        return ()

    @property
    def outs(self) -> tuple[Value, ...]:
        """All that it computes; ``out`` is the first."""
        return (self.out,)


@dataclass(frozen=True)
class View(ProgramStep):
    """Part of another array, or the whole of it, without a copy."""

    makes: ClassVar[Source] = "view"
    arg: Value

    @property
    def operands(self) -> tuple[Value, ...]:
        return (self.arg,)


@dataclass(frozen=True)
class ElementwiseStep(ProgramStep):
    """A SymPy expression over placeholders, at every place of the result."""

    expr: Any
    leaves: tuple[tuple[Any, Value], ...]

    @property
    def operands(self) -> tuple[Value, ...]:
        return tuple(value for _, value in self.leaves)


@dataclass(frozen=True)
class Product(ProgramStep):
    """Two arrays multiplied and summed over the axes that the result lacks."""

    left: Value
    right: Value

    @property
    def operands(self) -> tuple[Value, ...]:
        return (self.left, self.right)


@dataclass(frozen=True)
class Reduction(ProgramStep):
    """A sum, a maximum or a log-sum-exp over the axes that the result lacks."""

    kind: Literal["sum", "max", "logsumexp"]
    arg: Value

    @property
    def operands(self) -> tuple[Value, ...]:
        return (self.arg,)


@dataclass(frozen=True)
class Part(View):
    """A view: ``start:stop`` along one axis, which has another name in the result, or is gone."""

    axis: Axis
    start: int | None
    stop: int | None

    @property
    def operands(self) -> tuple[Value, ...]:
        return (self.arg,)


@dataclass(frozen=True)
class Diagonal(View):
    """A view: where two axes have one index, which is the result's last axis."""

    first: Axis
    second: Axis

    @property
    def operands(self) -> tuple[Value, ...]:
        return (self.arg,)


@dataclass(frozen=True)
class Reshaped(View):
    """A view: all entries row by row under other axes, as of axes put together or taken apart."""

    @property
    def operands(self) -> tuple[Value, ...]:
        return (self.arg,)


@dataclass(frozen=True)
class Triangle(ProgramStep):
    """The places in a square, row by row, of those entries whose column is not below their row."""

    makes: ClassVar[Source] = "whole"
    column: Axis


@dataclass(frozen=True)
class Padded(ProgramStep):
    """Zeros, with an array in the place ``start:stop`` along one axis; the transpose of a part.

    The array has the axis ``inner`` there, or the same numbers at each place. ``adds`` where the
    result holds other parts already.
    """

    arg: Value
    inner: Axis
    axis: Axis
    start: int | None
    stop: int | None
    adds: bool = False

    @property
    def operands(self) -> tuple[Value, ...]:
        return (self.arg,)

    @property
    def before(self) -> Axes:
        """The axes of the result as the array has them: one is shorter."""
        return tuple(self.inner if axis == self.axis else axis for axis in self.out.axes)


@dataclass(frozen=True)
class Eye(ProgramStep):
    """The rows ``start:stop`` of an identity matrix, where both of its axes are the result's."""

    start: int | None
    stop: int | None


@dataclass(frozen=True)
class Detached(View):
    """The same array, through which a library that differentiates the program sees none."""

    @property
    def operands(self) -> tuple[Value, ...]:
        return (self.arg,)


@dataclass(frozen=True)
class Places(ProgramStep):
    """Where the first largest entry stands along the one axis that the result lacks."""

    makes: ClassVar[Source] = "whole"
    arg: Value

    @property
    def operands(self) -> tuple[Value, ...]:
        return (self.arg,)

    @property
    def axis(self) -> Axis:
        """The axis that is gone."""
        return next(axis for axis in self.arg.axes if axis not in self.out.axes)


@dataclass(frozen=True)
class AtPlaces(ProgramStep):
    """A step that reads an ``index`` of places along an axis."""

    index: Value
    axis: Axis

    @property
    def operands(self) -> tuple[Value, ...]:
        return (self.index,)


@dataclass(frozen=True)
class Gather(AtPlaces):
    """``arg`` at the places of the index; where both have an axis it is one axis of the result."""

    arg: Value

    @property
    def operands(self) -> tuple[Value, ...]:
        return (self.arg, self.index)


@dataclass(frozen=True)
class Scatter(AtPlaces):
    """Zeros, to which each entry of ``arg`` is added at its place.

    ``arg`` has the axes of the index first; the result has those of them that it keeps first, then
    the axis of the places, then the others of ``arg``.
    """

    arg: Value

    @property
    def operands(self) -> tuple[Value, ...]:
        return (self.arg, self.index)


@dataclass(frozen=True)
class Hits(AtPlaces):
    """1 where the place along the last axis of the result is the index, else 0."""


@dataclass(frozen=True)
class Unfolded(View):
    """A view: along one axis, entries at the places that an index on other axes gives."""

    axis: Axis
    index: Index

    @property
    def operands(self) -> tuple[Value, ...]:
        return (self.arg,)


@dataclass(frozen=True)
class Folded(ProgramStep):
    """Zeros, to which each entry is added at the place on ``axis`` that an index gives.

    It is the transpose of ``Unfolded``; entries that meet are summed.
    """

    arg: Value
    axis: Axis
    index: Index

    @property
    def before(self) -> Axes:
        """The axes of the result, with those of the index in place of the one that it is for."""
        new = tuple(axis for axis in self.index.axes if axis not in self.out.axes)
        at = self.out.axes.index(self.axis)
        return (*self.out.axes[:at], *new, *self.out.axes[at + 1 :])

    @property
    def operands(self) -> tuple[Value, ...]:
        return (self.arg,)


@dataclass(frozen=True)
class Mask(ProgramStep):
    """The 0/1 array of a pattern, where it is the result itself or a mask."""

    pattern: Pattern


@dataclass(frozen=True)
class LoopStep(ProgramStep):
    """One turn's program, repeated along the axis that all results have first.

    ``states`` are, for each: its value before a turn, the one before the first turn, and the one
    after a turn. ``reads`` are what a turn reads of which array; ``beside`` are arrays that every
    turn reads as they are. ``made`` is what each turn leaves of the results.
    """

    more: tuple[Value, ...]
    turn: Lowered
    index: str
    over: Axis
    backward: bool
    states: tuple[tuple[Value, Value, Value], ...]
    reads: tuple[tuple[Value, Value], ...]
    beside: tuple[Value, ...]
    made: tuple[Value, ...]

    @property
    def operands(self) -> tuple[Value, ...]:
        starts = tuple(start for _, start, _ in self.states)
        return (*starts, *(whole for _, whole in self.reads), *self.beside)

    @property
    def outs(self) -> tuple[Value, ...]:
        return (self.out, *self.more)

    def entries(self) -> list[tuple[Value, str]]:
        """What a turn reads of arrays that lie along the axis, each with its source."""
        found = []
        for now, whole in self.reads:
            place = [":"] * whole.axes.index(self.over) + [self.index]
            found.append((now, f"{whole.name}[{', '.join(place)}]"))
        return found


@dataclass
class Lowered:
    """A program as steps: what it reads, what it does in order, what it gives back."""

    parameters: dict[str, Value] = field(default_factory=dict)
    inputs: dict[str, Value] = field(default_factory=dict)
    sizes: dict[Axis, Value] = field(default_factory=dict)
    steps: list[ProgramStep] = field(default_factory=list)
    results: dict[str, Value] = field(default_factory=dict)
    equations: dict[str, str] = field(default_factory=dict)  # of each named value: its equation
    # what makes axes of others; what makes some of these in turn stands behind it
    makers: list[Slice | Stack] = field(default_factory=list)
    lengths: dict[Axis, Value] = field(default_factory=dict)  # of the axes that are made
    ties: list[tuple[Axis, Axis]] = field(default_factory=list)  # of renamed axes: old and new
    as_long_as: dict[Axis, Axis] = field(default_factory=dict)  # of renamed axes: the old one
    temporaries: set[str] = field(default_factory=set)  # values without a name in the program
    told: dict[str, str] = field(default_factory=dict)  # by an axis's name: why it has its length

    @property
    def slices(self) -> list[Slice]:
        """The slices among the makers of axes."""
        return [each for each in self.makers if isinstance(each, Slice)]

    @property
    def stacks(self) -> list[Stack]:
        """The stacks among the makers of axes."""
        return [each for each in self.makers if isinstance(each, Stack)]

    def length_made(self, maker: Slice | Stack) -> Value | None:
        """The variable for how long the axis of a slice or a stack is, if nothing else tells it."""
        made = maker.whole.unprimed if isinstance(maker, Stack) else maker.row
        return self.lengths.get(made)

    def stack_of(self, axis: Axis) -> Stack | None:
        """The first stack that makes an axis, if no leaf has it."""
        made = (each for each in self.stacks if each.whole.unprimed == axis.unprimed)
        return None if axis.unprimed in self.sizes else next(made, None)

    @property
    def indices(self) -> dict[str, Axis]:
        """The inputs that are read as places, by identifier, each with the shortest axis."""
        names = {value.name for value in self.inputs.values()}
        found: dict[str, Axis] = {}
        for step in self.steps:
            if isinstance(step, AtPlaces) and step.index.name in names:
                known = found.get(step.index.name, step.axis)
                found[step.index.name] = min(known, step.axis, key=lambda axis: axis.size or 0)
        return found

    @property
    def numbers(self) -> set[str]:
        """The inputs of whole numbers that are calculated with, by identifier."""
        whole = {value.name for value in self.inputs.values() if value.source == "whole"}
        read: set[str] = set()
        for step in self.steps:
            if isinstance(step, ElementwiseStep):
                used = calculated(step.expr)
                read |= {value.name for placeholder, value in step.leaves if placeholder in used}
            elif isinstance(step, AtPlaces):
                read |= {value.name for value in step.operands if value != step.index}
            else:
                read |= {value.name for value in step.operands}
        return whole & read

    def length(self, axis: Axis) -> Value:
        """The variable that holds how long an axis of unknown size is."""
        known = {**self.lengths, **self.sizes}
        while axis not in known:
            plain = axis.unprimed
            axis = plain if plain in known else self.as_long_as.get(axis, plain)
        return known[axis]

    def measure(self, sizes: dict[Axis, int]) -> None:
        """Add the lengths that follow from those of the leaves: of slices and of renamed axes."""
        known = -1
        while known < len(sizes):
            known = len(sizes)
            for new, old in self.as_long_as.items():
                if old in sizes:
                    sizes.setdefault(new, sizes[old])
            for each in self.slices:
                if (size := sizes.get(each.column, each.column.size)) is not None:
                    sizes.setdefault(each.row, len(each.picked(size)))
