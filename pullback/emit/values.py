"""What a lowered program is made of: values with axes, and the steps that compute them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from pullback.ir import Axes, Axis, Index, Pattern, Slice

Source = Literal["parameter", "input", "whole", "size", "work", "view"]


@dataclass(frozen=True)
class Value:
    """One array of the emitted program, under the name it has there.

    A "view" is a part of another array, a "whole" an input of whole numbers. Under other axes a
    value is the same array renamed.
    """

    name: str
    axes: Axes
    source: Source = "work"

    @property
    def is_array(self) -> bool:
        return bool(self.axes)


@dataclass(frozen=True)
class ProgramStep:
    """``out`` is computed from ``operands``; each kind of step says how."""

    out: Value

    @property
    def operands(self) -> tuple[Value, ...]:
        return ()


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
class Part(ProgramStep):
    """A view: ``start:stop`` along one axis, which has another name in the result, or is gone."""

    arg: Value
    axis: Axis
    start: int | None
    stop: int | None

    @property
    def operands(self) -> tuple[Value, ...]:
        return (self.arg,)


@dataclass(frozen=True)
class Diagonal(ProgramStep):
    """A view: where two axes have one index, which is the result's last axis."""

    arg: Value
    first: Axis
    second: Axis

    @property
    def operands(self) -> tuple[Value, ...]:
        return (self.arg,)


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
class Unfolded(ProgramStep):
    """A view: along one axis, entries at the places that an index on other axes gives."""

    arg: Value
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
    def operands(self) -> tuple[Value, ...]:
        return (self.arg,)


@dataclass(frozen=True)
class Mask(ProgramStep):
    """The 0/1 array of a pattern, where it is the result itself or a mask."""

    pattern: Pattern


@dataclass
class Lowered:
    """A program as steps: what it reads, what it does in order, what it gives back."""

    parameters: dict[str, Value] = field(default_factory=dict)
    inputs: dict[str, Value] = field(default_factory=dict)
    sizes: dict[Axis, Value] = field(default_factory=dict)
    steps: list[ProgramStep] = field(default_factory=list)
    results: dict[str, Value] = field(default_factory=dict)
    equations: dict[str, str] = field(default_factory=dict)  # of each named value: its equation
    slices: list[Slice] = field(default_factory=list)  # a slice of a slice stands behind it
    lengths: dict[Axis, Value] = field(default_factory=dict)  # of axes that slices made
    ties: list[tuple[Axis, Axis]] = field(default_factory=list)  # of renamed axes: old and new
    as_long_as: dict[Axis, Axis] = field(default_factory=dict)  # of renamed axes: the old one
    temporaries: set[str] = field(default_factory=set)  # values without a name in the program

    def length(self, axis: Axis) -> Value:
        """The variable that holds how long an axis of unknown size is."""
        known = {**self.lengths, **self.sizes}
        if axis in known:
            return known[axis]
        return self.length(self.as_long_as.get(axis, axis.unprimed))

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
