"""A forward pass as functions in LLVM: what a network says of each sample.

Samples meet nowhere: no bit of the result depends on how many workers there are, or on which
samples come together; a few that come in one call are summed in an order of their own.
"""

from __future__ import annotations

from collections.abc import Mapping

from llvmlite import ir

from pullback.emit.forward.blocks import BlockCode
from pullback.emit.forward.few import FewCode
from pullback.emit.forward.record import CALL, RUN, Forward
from pullback.emit.forward.step import ForwardStep
from pullback.emit.nest.language import Multiply, Unit
from pullback.emit.nest.layout import row_size
from pullback.machine.arrays import AT_ONCE, WRONG
from pullback.machine.blas.writer import WHOLE, Value, Writer, whole
from pullback.machine.look import table_of, write_look


class ForwardCode(BlockCode):
    """Writes the module of a forward pass; ``forward`` is the record of what it takes."""

    def __init__(self, step: ForwardStep, dtype: str, limits: Mapping[str, int]) -> None:
        super().__init__(step, dtype, RUN)
        self.limits = limits
        self.few = FewCode(self.entries, step.batch, dtype)
        self.forward = Forward(
            inputs=tuple(step.program.inputs),
            parameters=tuple(step.program.parameters),
            outputs=tuple(axis.size or 0 for axis in step.output.axes[1:]),
            room=step.room,
            block=step.block,
            work=step.work,
        )
        self._write_run()
        self._write_call()

    def _write_call(self) -> None:
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
        w.call(self.run, [whole(0), whole(1), rows, table])
        w.ret(w.select(w.is_one(w.load(wrong)), whole(-1), rows))

    def _write_run(self) -> None:
        w, phases = self.w, self.step.phases
        self.once(phases.before)
        with self.blocks() as (_, count), w.if_else(self._fits(count)) as (yes, no):
            with yes:
                for unit in phases.through:
                    self._write_unit(unit, count)
            with no:
                w.store(whole(1), w.gep(self.table, [whole(WRONG)]))
        w.ret(whole(0))

    def _fits(self, count: Value) -> Value:
        """Code for whether all numbers of so many samples are as expected."""
        w, fits = self.w, ir.Constant(ir.IntType(1), 1)
        for key, value in self.step.program.inputs.items():
            begin, numbers = self.begins[value.name], w.mul(count, whole(row_size(value.axes)))
            if value.name in self.step.layout.whole:
                found = _all_below(w, begin, numbers, self.limits.get(key))
            else:
                found = _all_finite(w, begin, numbers)
            fits = w.and_(fits, found)
        return fits

    def _write_unit(self, unit: Unit, count: Value) -> None:
        """The code of a unit for so many samples of a block."""
        batch, ends, code = self.step.batch, (whole(0), count), self.code
        if not isinstance(unit, Multiply) or not self.few.takes(unit):
            code.write(unit, {batch: ends}, batch, ends)
            return
        with code.w.if_else(self.few.are_few(unit, self.rows)) as (few, many):
            with few:
                self.few.write(unit, count)
            with many:
                code.write(unit, {batch: ends}, batch, ends)


_SUMS = 8  # none of which waits for itself


def _all_finite(w: Writer, begin: Value, count: Value) -> Value:
    """Code for whether so many numbers are all finite: only then x - x is 0."""
    with w.goto_entry_block():
        totals = [w.alloca(w.vector) for _ in range(_SUMS)]
    for total in totals:
        w.store(w.zeros(), total)

    def add(total: Value, at: Value, mask: Value | None = None) -> None:
        x = w.read(w.gep(begin, [at]), mask)
        w.store(w.fadd(w.load(total), w.fsub(x, x)), total)

    full, several = (w.and_(count, whole(-w.lanes * times)) for times in (1, _SUMS))
    with w.loop(whole(0), several, w.lanes * _SUMS) as at:
        for number, total in enumerate(totals):
            add(total, w.add(at, whole(number * w.lanes)))
    with w.loop(several, full, w.lanes) as at:
        add(totals[0], at)
    add(totals[0], full, w.lanes_below(w.sub(count, full)))
    found = w.load(totals[0])
    for total in totals[1:]:
        found = w.fadd(found, w.load(total))
    zero = ir.Constant(w.real, 0.0)
    return w.fcmp_ordered("==", w.all_lanes(found, "sum"), zero)


def _all_below(w: Writer, begin: Value, count: Value, limit: int | None) -> Value:
    """Code for whether so many whole numbers are all from 0, and below a limit if there is one."""
    yes = ir.Constant(ir.IntType(1), 1)
    with w.goto_entry_block():
        found = w.alloca(yes.type)
    w.store(yes, found)
    with w.loop(whole(0), count, 1) as at:
        number = w.load(w.gep(begin, [at]))
        fits = w.icmp_signed(">=", number, whole(0))
        if limit is not None:
            fits = w.and_(fits, w.icmp_signed("<", number, whole(limit)))
        w.store(w.and_(w.load(found), fits), found)
    return w.load(found)
