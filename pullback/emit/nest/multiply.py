"""Products of arrays as calls of our matrix product, and loops around it where there are more axes.

Axes of the result that only one factor has are rows or columns, those that are summed the depth.
Axes that follow one another in memory are one; of several that are not, the longest is the
matrix's, and the others are loops.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from llvmlite import ir

from pullback.emit.nest.access import At, Entries
from pullback.emit.nest.code import Bounds
from pullback.emit.nest.language import Multiply
from pullback.emit.nest.layout import Spot
from pullback.ir import Axis
from pullback.machine.blas.matmul_code import symbol, symbol_in_strips
from pullback.machine.blas.writer import WHOLE, Value, Writer, whole


@dataclass(frozen=True)
class Run:
    """Axes that are one in memory, the outermost first; the last one's strides are the run's."""

    axes: tuple[Axis, ...]

    @property
    def inside(self) -> int:
        """How many indices one of the outermost axis has behind it."""
        total = 1
        for axis in self.axes[1:]:
            total *= axis.size or 1
        return total

    def size(self, batch: int) -> int:
        """How long it is, for a batch of so many samples."""
        return (self.axes[0].size or batch) * self.inside


_ONCE = Run(())
_BATCH = 1 << 20  # samples: longer than any other axis, when it is asked which one is longest


@dataclass(frozen=True)
class Shape:
    """A product as a product of matrices, with what is left as loops."""

    rows: Run
    columns: Run
    depth: Run
    loops: tuple[Run, ...]
    more: tuple[Run, ...]  # loops that sum

    @property
    def is_one(self) -> bool:
        """Is it one product of matrices, without loops?"""
        return not self.loops and not self.more

    @classmethod
    def of(cls, unit: Multiply, shared: Axis | None) -> Shape:
        """The shape of a product of which workers share an axis."""
        left, right, out = unit.left, unit.right, unit.out
        both, rows, columns = list[Axis](), list[Axis](), list[Axis]()
        for axis in unit.axes:
            steps = left.stride(axis), right.stride(axis)
            (both if all(steps) else columns if steps[1] else rows).append(axis)
        row, others = _longest(_runs(rows, out, left, shared))
        column, beside = _longest(_runs(columns, out, right, shared))
        depth, more = _longest(_runs(unit.summed, left, right, shared))
        loops = tuple(Run((axis,)) for axis in both)
        return cls(row, column, depth, (*loops, *others, *beside), more)


def _longest(runs: Sequence[Run]) -> tuple[Run, tuple[Run, ...]]:
    if not runs:
        return _ONCE, ()
    best = max(runs, key=lambda run: run.size(_BATCH))
    return best, tuple(run for run in runs if run is not best)


def _runs(axes: Sequence[Axis], one: Spot, other: Spot, shared: Axis | None) -> list[Run]:
    """Axes put together where they are one in both arrays; a shared axis stays outermost."""
    order = sorted(axes, key=lambda axis: (axis.size is not None, -one.stride(axis)))
    runs: list[Run] = []
    for axis in order:
        if runs and axis != shared and axis.size is not None:
            last = runs[-1].axes[-1]
            steps = ((place.stride(last), place.stride(axis)) for place in (one, other))
            if all(outer == axis.size * inner for outer, inner in steps):
                runs[-1] = Run((*runs[-1].axes, axis))
                continue
        runs.append(Run((axis,)))
    return runs


@dataclass(frozen=True)
class Into:
    """Where a product goes: place ← amount · product + keep · place."""

    amount: Value
    keep: Value
    place: Spot


@dataclass
class ProductCode:
    """Writes products in one precision."""

    w: Writer
    entries: Entries
    dtype: str

    @cached_property
    def function(self) -> Value:
        """The product of matrices, which is elsewhere."""
        real = self.w.real
        matrix = [real.as_pointer(), WHOLE, WHOLE]
        kinds = [WHOLE, WHOLE, WHOLE, real, *matrix, *matrix, real, *matrix]
        return self._elsewhere(symbol(self.dtype), kinds)

    @cached_property
    def in_strips(self) -> Value:
        """The product with a right factor in strips."""
        place = self.w.real.as_pointer()
        kinds = [WHOLE, WHOLE, WHOLE, place, WHOLE, WHOLE, place, place, WHOLE]
        return self._elsewhere(symbol_in_strips(self.dtype), kinds)

    def _elsewhere(self, name: str, kinds: Sequence[ir.Type]) -> Value:
        module, kind = self.w.module, ir.FunctionType(ir.VoidType(), kinds)
        return module.globals.get(name) or ir.Function(module, kind, name)

    def write(
        self,
        unit: Multiply,
        bounds: Bounds,
        shared: Axis | None,
        into: Into | None = None,
        around: At = MappingProxyType({}),
    ) -> None:
        """The code of a product; ``shared`` is the axis of which ``bounds`` give a part.

        ``around`` holds the indices of loops that it stands in.
        """
        w, shape = self.w, Shape.of(unit, shared)
        one, zero = (ir.Constant(w.real, number) for number in (1.0, 0.0))
        into = into or Into(one, zero, unit.out)
        at: dict[Axis, Value] = dict(around)
        counts = {}
        for part in (shape.rows, shape.columns, shape.depth):
            counts[part] = self._begin(part, bounds, at)
        with ExitStack() as stack:
            for run in shape.loops:
                self._loop(run, bounds, at, stack)
            sums = [self._loop(run, bounds, at, stack) for run in shape.more]
            keep = into.keep
            for number in sums:  # later parts are added to the first
                first = w.icmp_signed("==", number, whole(0))
                keep = w.select(first, keep, one)
            a, c = (self.entries.address(place, at) for place in (unit.left, into.place))
            m, n, k = (counts[part] for part in (shape.rows, shape.columns, shape.depth))
            of_a = [a, *self._steps(unit.left, shape.rows, shape.depth)]
            of_c = [c, *self._steps(into.place, shape.rows, shape.columns)]
            if unit.in_strips is not None:
                b = self.entries.begins(unit.in_strips.array)
                w.call(self.in_strips, [m, n, k, *of_a, b, *of_c[:-1]])
                return
            of_b = [self.entries.address(unit.right, at)]
            of_b += self._steps(unit.right, shape.depth, shape.columns)
            w.call(self.function, [m, n, k, into.amount, *of_a, *of_b, keep, *of_c])

    def _steps(self, place: Spot, *runs: Run) -> list[Value]:
        """The strides of a matrix; one that is as long as one number has any."""
        return [whole(place.stride(run.axes[-1]) if run.axes else 1) for run in runs]

    def _begin(self, run: Run, bounds: Bounds, at: dict[Axis, Value]) -> Value:
        """Put a matrix's side where it begins; how long it is."""
        at |= dict.fromkeys(run.axes, whole(0))
        if not run.axes:
            return whole(1)
        first = run.axes[0]
        size = self.entries.length(first)
        if first in bounds:
            begin, end = bounds[first]
            at[first], size = begin, self.w.sub(end, begin)
        return size if run.inside == 1 else self.w.mul(size, whole(run.inside))

    def _loop(self, run: Run, bounds: Bounds, at: dict[Axis, Value], stack: ExitStack) -> Value:
        """A loop over a run; the number of its turn."""
        w, first = self.w, run.axes[0]
        begin, end = bounds.get(first, (whole(0), self.entries.length(first)))
        number = whole(0)
        for axis in run.axes:
            ends = (begin, end) if axis is first else (whole(0), whole(axis.size or 1))
            at[axis] = stack.enter_context(w.loop(*ends, 1))
            number = w.or_(number, at[axis])
        return number
