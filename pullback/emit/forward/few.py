"""Products of a few samples, which need no copy of the weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from llvmlite import ir

from pullback.emit.nest.access import Entries
from pullback.emit.nest.language import Multiply
from pullback.emit.nest.multiply import Shape
from pullback.ir import Axis
from pullback.machine.blas.few import FEW, symbol_of_few
from pullback.machine.blas.writer import WHOLE, Value, whole


@dataclass
class FewCode:
    """Writes what is done for a few samples; ``batch`` is their axis."""

    entries: Entries
    batch: Axis
    dtype: str

    @cached_property
    def _function(self) -> Value:
        """The product, which is elsewhere."""
        w = self.entries.w
        place = w.real.as_pointer()
        kinds = [WHOLE, WHOLE, WHOLE, place, WHOLE, place, WHOLE, place, WHOLE]
        kind = ir.FunctionType(ir.VoidType(), kinds)
        return ir.Function(w.module, kind, symbol_of_few(self.dtype))

    def takes(self, unit: Multiply) -> bool:
        """Is it a product of rows by weights whose sums run along memory?"""
        shape = Shape.of(unit, self.batch)
        rows, columns, depth = (run.axes for run in (shape.rows, shape.columns, shape.depth))
        if shape.loops or shape.more or not columns or not depth or rows[:1] != (self.batch,):
            return False
        steps = unit.left.stride(depth[-1]), unit.right.stride(depth[-1])
        lie = (*steps, unit.out.stride(columns[-1])) == (1, 1, 1)
        return lie and shape.rows.inside <= FEW

    def are_few(self, unit: Multiply, samples: Value) -> Value:
        """Code for whether so many samples are few for such a product."""
        most = FEW // Shape.of(unit, self.batch).rows.inside
        return self.entries.w.icmp_signed("<=", samples, whole(most))

    def write(self, unit: Multiply, samples: Value) -> None:
        """The code of such a product."""
        entries, shape, w = self.entries, Shape.of(unit, self.batch), self.entries.w
        at = dict.fromkeys((*unit.axes, *unit.summed), whole(0))
        a, b, c = (entries.address(place, at) for place in (unit.left, unit.right, unit.out))
        n, depth = (whole(run.size(1)) for run in (shape.columns, shape.depth))
        row, column = shape.rows.axes[-1], shape.columns.axes[-1]
        a_row, b_column = whole(unit.left.stride(row)), whole(unit.right.stride(column))
        m, c_row = w.mul(samples, whole(shape.rows.inside)), whole(unit.out.stride(row))
        w.call(self._function, [m, n, depth, a, a_row, b, b_column, c, c_row])
