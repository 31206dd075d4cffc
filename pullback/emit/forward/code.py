"""A forward pass as functions in LLVM: of one block of samples after the other.

Each worker of a pool has blocks of its own and goes through the whole network with each, so that
what one layer leaves is still near when the next one reads it. Samples meet nowhere: no bit of the
result depends on how many workers there are, or on which samples come together; one that comes
alone is summed in an order of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from llvmlite import ir

from pullback.emit.forward.alone import AloneCode
from pullback.emit.forward.record import CALL, RUN, Forward
from pullback.emit.forward.step import ForwardStep
from pullback.emit.nest.access import Entries
from pullback.emit.nest.expression import Expressions
from pullback.emit.nest.language import Multiply, Repeat, Unit
from pullback.emit.nest.layout import row_size
from pullback.emit.nest.text import text
from pullback.emit.nest.units import UnitCode
from pullback.machine.arrays import AT_ONCE, FIRST, WORK, WRONG
from pullback.machine.blas.writer import WHOLE, Value, Writer, whole
from pullback.machine.look import table_of, write_look
from pullback.machine.object.processor import optimised_code, vector_bytes


class ForwardCode:
    """Writes the module of a forward pass; ``forward`` is the record of what it takes."""

    def __init__(self, step: ForwardStep, dtype: str, limits: Mapping[str, int]) -> None:
        self.step, self.dtype, self.limits = step, dtype, limits
        self.real: Any = ir.FloatType() if dtype == "float32" else ir.DoubleType()
        self.lanes = vector_bytes() // (4 if dtype == "float32" else 8)
        self.module = ir.Module("forward")
        self.lines = [text(unit) for unit in (*step.once, *step.repeated)]  # to be read
        self.forward = Forward(
            inputs=tuple(step.program.inputs),
            parameters=tuple(step.program.parameters),
            outputs=tuple(axis.size or 0 for axis in step.output.axes[1:]),
            room=step.room,
            block=step.block,
            work=sum(map(_work, step.repeated)),
        )
        self._write_call(self._write_run())

    def object_code(self) -> bytes:
        """Machine code for the processor that is here."""
        return optimised_code(self.module)

    def _write_call(self, run: Value) -> None:
        """The function of a tuple: it looks at the arrays, and does the work where that is small.

        It gives back how many samples there are, or -1 where something is not as expected.
        """
        look = write_look(self.module)
        made = ir.Function(self.module, ir.FunctionType(WHOLE, [WHOLE]), CALL)
        w = Writer(made, self.real, self.lanes)
        table = table_of(w, made.args[0])
        rows = w.call(look, [made.args[0], table])
        most = w.load(w.gep(table, [whole(AT_ONCE)]))
        with w.if_then(w.icmp_unsigned(">", rows, most)):  # -1 is more than any number
            w.ret(rows)
        wrong = w.gep(table, [whole(WRONG)])
        w.store(whole(0), wrong)
        w.call(run, [whole(0), whole(1), rows, table])
        w.ret(w.select(w.is_one(w.load(wrong)), whole(-1), rows))

    def _write_run(self) -> Value:
        """The function (worker, workers, rows, table)."""
        step, place = self.step, WHOLE.as_pointer()
        made = ir.Function(self.module, ir.FunctionType(WHOLE, [WHOLE, WHOLE, WHOLE, place]), RUN)
        worker, workers, rows, table = made.args
        w = Writer(made, self.real, self.lanes)
        begins = self._arrays(w, table, worker)
        whole_inputs = {v.name for v in step.program.inputs.values()} & step.layout.whole
        entries = Entries(w, begins.__getitem__, {step.batch: rows}, step.layout.whole)
        code = UnitCode.of(entries, step.batch, self.dtype, Expressions(self.dtype), step.local)
        alone = AloneCode(entries, step.batch, w.is_one(rows))
        for name in step.numbers:
            entries.variable(name)
        size = step.program.sizes[step.batch].name
        w.store(w.sitofp(rows, self.real), entries.variable(size))
        for unit in step.once:
            code.write(unit, {}, None, (whole(0), whole(0)))
        blocks = w.udiv(w.add(rows, whole(step.block - 1)), whole(step.block))
        first, stop = (
            w.udiv(w.mul(blocks, each), workers) for each in (worker, w.add(worker, whole(1)))
        )
        given = (*step.program.inputs.values(), step.output)
        all_of = {value.name: begins[value.name] for value in given}
        with w.loop(first, stop, 1) as number:
            start = w.mul(number, whole(step.block))
            count = w.smaller(whole(step.block), w.sub(rows, start))
            for value in given:
                row = whole(row_size(value.axes))
                begins[value.name] = w.at(all_of[value.name], (start, row))
            entries.lengths[step.batch] = count
            fits = ir.Constant(ir.IntType(1), 1)
            for key, value in step.program.inputs.items():
                numbers = w.mul(count, whole(row_size(value.axes)))
                if value.name in whole_inputs:
                    found = _all_below(w, begins[value.name], numbers, self.limits.get(key))
                else:
                    found = _all_finite(w, begins[value.name], numbers)
                fits = w.and_(fits, found)
            with w.if_else(fits) as (yes, no):
                with yes:
                    for unit in step.repeated:
                        self._write_unit(code, alone, unit, count)
                with no:
                    w.store(whole(1), w.gep(table, [whole(WRONG)]))
        w.ret(whole(0))
        return made

    def _write_unit(self, code: UnitCode, alone: AloneCode, unit: Unit, count: Value) -> None:
        """The code of a unit for so many samples of a block."""
        batch, ends = code.batch, (whole(0), count)
        if not isinstance(unit, Multiply) or not alone.takes(unit):
            code.write(unit, {batch: ends}, batch, ends)
            return
        with code.w.if_else(alone.here) as (one, many):
            with one:
                alone.write(unit)
            with many:
                code.write(unit, {batch: ends}, batch, ends)

    def _arrays(self, w: Writer, table: Value, worker: Value) -> dict[str, Value]:
        """Where each array begins."""
        step, real = self.step, self.real.as_pointer()
        program, layout = step.program, step.layout
        found: dict[str, Value] = {}
        given = (step.output, *program.inputs.values(), *program.parameters.values())
        for number, value in enumerate(given):
            kind = WHOLE.as_pointer() if value.name in layout.whole else real
            address = w.load(w.gep(table, [whole(FIRST + number)]))
            found[value.name] = w.inttoptr(address, kind)
        size = w.bytes * step.room
        work = w.add(w.load(w.gep(table, [whole(WORK)])), w.mul(worker, whole(size)))
        work = w.inttoptr(work, real)
        for name in step.memory.room:
            each, besides = step.memory.begin(name)
            found[name] = w.gep(work, [whole(each * step.block + besides)])
            if name in layout.whole:
                found[name] = w.bitcast(found[name], WHOLE.as_pointer())
        return found


def _work(unit: Unit) -> int:
    """About how many multiplications a unit makes of one sample."""
    if isinstance(unit, Repeat):
        return (unit.along.size or 1) * sum(map(_work, unit.units))
    return math.prod(axis.size or 1 for axis in unit.loops)


def _all_finite(w: Writer, begin: Value, count: Value) -> Value:
    """Code for whether so many numbers are all finite: only then x - x is 0."""
    total = w.alloca(w.vector)
    w.store(w.zeros(), total)

    def add(at: Value, mask: Value | None = None) -> None:
        x = w.read(w.gep(begin, [at]), mask)
        w.store(w.fadd(w.load(total), w.fsub(x, x)), total)

    full = w.and_(count, whole(-w.lanes))
    with w.loop(whole(0), full, w.lanes) as at:
        add(at)
    add(full, w.lanes_below(w.sub(count, full)))
    zero = ir.Constant(w.real, 0.0)
    return w.fcmp_ordered("==", w.all_lanes(w.load(total), "sum"), zero)


def _all_below(w: Writer, begin: Value, count: Value, limit: int | None) -> Value:
    """Code for whether so many whole numbers are all from 0, and below a limit if there is one."""
    yes = ir.Constant(ir.IntType(1), 1)
    found = w.alloca(yes.type)
    w.store(yes, found)
    with w.loop(whole(0), count, 1) as at:
        number = w.load(w.gep(begin, [at]))
        fits = w.icmp_signed(">=", number, whole(0))
        if limit is not None:
            fits = w.and_(fits, w.icmp_signed("<", number, whole(limit)))
        w.store(w.and_(w.load(found), fits), found)
    return w.load(found)
