"""A network's forward pass in LLVM, one block of samples after the other.

Each worker of a pool has blocks of its own and goes through the whole network with each, so that
what one layer leaves is still near when the next one reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

from pullback.emit.forward.step import ForwardStep
from pullback.emit.nest.access import Entries
from pullback.emit.nest.expression import Expressions
from pullback.emit.nest.language import Unit
from pullback.emit.nest.layout import row_size
from pullback.emit.nest.units import UnitCode
from pullback.machine.arrays import FIRST, WORK
from pullback.machine.blas.writer import WHOLE, Value, Writer, whole
from pullback.machine.object.processor import optimised_code, vector_bytes


class BlockCode:
    """Writes a function (worker, workers, rows, table) of a step.

    The table of whole numbers has the address of the room at ``WORK``, and from ``FIRST`` on those
    of the arrays that the step is given.
    """

    def __init__(self, step: ForwardStep, dtype: str, name: str) -> None:
        self.step, self.dtype = step, dtype
        self.real: Any = ir.FloatType() if dtype == "float32" else ir.DoubleType()
        self.lanes = vector_bytes() // (4 if dtype == "float32" else 8)
        self.module = ir.Module(name)
        kinds = [WHOLE, WHOLE, WHOLE, WHOLE.as_pointer()]
        self.run = ir.Function(self.module, ir.FunctionType(WHOLE, kinds), name)
        self.worker, self.workers, self.rows, self.table = self.run.args
        self.w = w = Writer(self.run, self.real, self.lanes)
        self.begins = self._begins()
        self.entries = Entries(
            w, self.begins.__getitem__, {step.batch: self.rows}, step.layout.whole
        )
        self.code = UnitCode.of(self.entries, step.batch, dtype, Expressions(dtype), step.local)
        for number in step.numbers:
            self.entries.variable(number)
        size = step.program.sizes[step.batch].name
        w.store(w.sitofp(self.rows, self.real), self.entries.variable(size))

    def object_code(self) -> bytes:
        """Machine code for the processor that is here."""
        return optimised_code(self.module)

    def address(self, number: int, kind: ir.Type) -> Value:
        """The address that the table holds in one of its places."""
        return self.w.inttoptr(self.w.load(self.w.gep(self.table, [whole(number)])), kind)

    def once(self, units: Sequence[Unit]) -> None:
        """Units that have no samples."""
        for unit in units:
            self.code.write(unit, {}, None, (whole(0), whole(0)))

    @contextmanager
    def blocks(self) -> Iterator[tuple[Value, Value]]:
        """Code for each block that is a worker's: its number, and how many samples it has."""
        w, step, size = self.w, self.step, whole(self.step.block)
        self.count = w.udiv(w.add(self.rows, whole(step.block - 1)), size)
        first, stop = (
            w.udiv(w.mul(self.count, each), self.workers)
            for each in (self.worker, w.add(self.worker, whole(1)))
        )
        all_of = {value.name: self.begins[value.name] for value in step.blocks_of}
        with w.loop(first, stop, 1) as number:
            start = w.mul(number, size)
            here = w.smaller(size, w.sub(self.rows, start))
            for value in step.blocks_of:
                row = whole(row_size(value.axes))
                self.begins[value.name] = w.at(all_of[value.name], (start, row))
            self.entries.lengths[step.batch] = here
            yield number, here
        self.entries.lengths[step.batch] = self.rows
        self.begins |= all_of

    def _begins(self) -> dict[str, Value]:
        """Where each array begins."""
        w, step, real = self.w, self.step, self.real.as_pointer()
        found: dict[str, Value] = {}
        for number, value in enumerate(step.given, FIRST):
            whole_numbers = value.name in step.layout.whole
            found[value.name] = self.address(number, WHOLE.as_pointer() if whole_numbers else real)
        work = w.at(self.address(WORK, real), (self.worker, whole(step.room)))
        for name in step.memory.room:
            each, besides = step.memory.begin(name)
            found[name] = w.gep(work, [whole(each * step.block + besides)])
            if name in step.layout.whole:
                found[name] = w.bitcast(found[name], WHOLE.as_pointer())
        return found
