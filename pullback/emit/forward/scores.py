"""How well a network does, as a function in LLVM: its loss, and how many samples it gets right.

Each block of samples has numbers of its own to sum in, and these are added up in the order of the
blocks: no bit of the result depends on how many workers there are.
"""

from __future__ import annotations

from itertools import accumulate

from llvmlite import ir

from pullback.emit.epoch.hits import write_hits
from pullback.emit.forward.blocks import BlockCode
from pullback.emit.forward.record import SCORE, Scoring
from pullback.emit.forward.step import ForwardStep
from pullback.emit.nest.layout import row_size
from pullback.machine.arrays import FIRST
from pullback.machine.barrier import write_meet
from pullback.machine.blas.writer import WHOLE, Value, whole


class ScoreCode(BlockCode):
    """Writes the module; ``scoring`` is the record of what it takes.

    ``threshold`` is from which output on a sample counts as positive, or NaN; None counts nothing.
    In the table stand, behind the arrays of the step, the addresses of the loss, of the sums, of
    how many samples of each block are right, and of the room in which the workers meet.
    """

    def __init__(self, step: ForwardStep, dtype: str, threshold: float | None) -> None:
        super().__init__(step, dtype, SCORE)
        self.threshold = threshold
        self.scoring = Scoring(
            inputs=tuple(step.program.inputs),
            parameters=tuple(step.program.parameters),
            sums=sum(step.sums.values()),
            room=step.room,
            block=step.block,
            work=step.work,
        )
        real, last = self.real.as_pointer(), FIRST + len(step.given)
        self.total, self.parts = (self.address(last + at, real) for at in (0, 1))
        self.right, self.meeting = (self.address(last + at, WHOLE.as_pointer()) for at in (2, 3))
        self._write()

    def _write(self) -> None:
        w, step, phases = self.w, self.step, self.step.phases
        meet = write_meet(self.module)
        summed = {name: self.begins[name] for name in step.sums if name not in step.numbers}
        self.once(phases.before)
        with self.blocks() as (number, count):
            places = self._parts_of(number)
            self.begins |= {name: places[name] for name in summed}
            ends = whole(0), count
            for unit in phases.through:
                self.code.write(unit, {step.batch: ends}, step.batch, ends)
            for unit in phases.sums:
                self.code.write(unit, {step.batch: ends}, None, ends)
            for name, place in places.items():
                if name not in summed:
                    w.store(self.entries.number(name), place)
            w.store(self._hits(count), w.at(self.right, number))
        self.begins |= summed
        w.call(meet, [self.meeting, self.worker, self.workers])
        with w.if_then(w.icmp_signed("==", self.worker, whole(0))):
            for name, part in self._parts_of(whole(0)).items():
                into = self.entries.variable(name) if name in step.numbers else summed[name]
                self._add_up(part, into, step.sums[name])
            self.once(phases.after)
            assert step.loss is not None
            w.store(self.entries.number(step.loss.name), self.total)
        w.ret(whole(0))

    def _parts_of(self, block: Value) -> dict[str, Value]:
        """Where a block has what it sums up."""
        begin = self.w.at(self.parts, (block, whole(self.scoring.sums)))
        before = accumulate(self.step.sums.values(), initial=0)
        places = zip(self.step.sums, before, strict=False)
        return {name: self.w.at(begin, whole(at)) for name, at in places}

    def _add_up(self, part: Value, into: Value, size: int) -> None:
        """Add up so many numbers of each block, one block behind the other."""
        w, double = self.w, ir.DoubleType()
        with w.goto_entry_block():
            total = w.alloca(double)
        with w.loop(whole(0), whole(size), 1) as at:
            w.store(ir.Constant(double, 0.0), total)
            with w.loop(whole(0), self.count, 1) as block:
                more = w.load(w.at(part, (block, whole(self.scoring.sums)), at))
                more = more if self.real == double else w.fpext(more, double)
                w.store(w.fadd(w.load(total), more), total)
            found = w.load(total)
            w.store(found if self.real == double else w.fptrunc(found, self.real), w.at(into, at))

    def _hits(self, count: Value) -> Value:
        """Code for how many of so many samples are classified right."""
        step, w = self.step, self.w
        output, target = step.output, step.program.inputs.get("target")
        if self.threshold is None or target is None:
            return whole(0)
        columns = output.axes[-1].size or 1
        rows = row_size(output.axes) // columns
        blocked = output.name in step.layout.blocked
        function = write_hits(self.module, self.real, self.lanes, rows if blocked else 0)
        places = [self.begins[value.name] for value in (output, target)]
        given = [*places, w.mul(count, whole(rows)), whole(columns)]
        return w.call(function, [*given, ir.Constant(self.real, self.threshold)])
