"""Products of one sample alone, which need no copy of the weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from pullback.emit.nest.access import Entries
from pullback.emit.nest.language import Multiply
from pullback.emit.nest.multiply import Shape
from pullback.ir import Axis
from pullback.machine.blas.row import row
from pullback.machine.blas.writer import Value, whole


@dataclass
class AloneCode:
    """Writes what is done for one sample; ``here`` says whether there is only one.

    ``batch`` is the axis of the samples.
    """

    entries: Entries
    batch: Axis
    here: Value

    @cached_property
    def _row(self) -> Value:
        w = self.entries.w
        return row(w.module, w.real, w.lanes)

    def takes(self, unit: Multiply) -> bool:
        """Is it a product of a row by weights whose sums run along memory?"""
        shape = Shape.of(unit, self.batch)
        if shape.loops or shape.more or shape.rows.axes != (self.batch,):
            return False
        if not shape.columns.axes or not shape.depth.axes:
            return False
        column, step = shape.columns.axes[-1], shape.depth.axes[-1]
        steps = unit.left.stride(step), unit.right.stride(step), unit.out.stride(column)
        return steps == (1, 1, 1)

    def write(self, unit: Multiply) -> None:
        """The code of such a product."""
        entries, shape = self.entries, Shape.of(unit, self.batch)
        at = dict.fromkeys((*unit.axes, *unit.summed), whole(0))
        a, b, c = (entries.address(place, at) for place in (unit.left, unit.right, unit.out))
        n, depth = (whole(run.size(1)) for run in (shape.columns, shape.depth))
        stride = whole(unit.right.stride(shape.columns.axes[-1]))
        entries.w.call(self._row, [n, depth, a, b, stride, c])
