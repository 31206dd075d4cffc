"""An epoch of training as one function in LLVM: batch after batch, without a return.

Each worker of a thread pool runs it, on its share of the rows. It takes numbers and the addresses
of all arrays, allocates nothing, and calls nothing but our matrix product and the C library.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from llvmlite import ir

from pullback.emit.epoch.clock import Clock
from pullback.emit.epoch.hits import write_hits
from pullback.emit.epoch.record import (
    CHUNK,
    FIRST,
    LINE,
    NAME,
    NUMBERS,
    WHOLE_NUMBERS,
    Epoch,
    Variant,
)
from pullback.emit.epoch.sharing import Meetings, Touch, shared_axis
from pullback.emit.epoch.training import TrainingStep
from pullback.emit.epoch.update import Sweep, number
from pullback.emit.nest.access import Entries
from pullback.emit.nest.code import NestCode
from pullback.emit.nest.expression import Expressions, is_finite
from pullback.emit.nest.kernel import shared_parts
from pullback.emit.nest.language import Multiply, Nest, Unit, Windowed
from pullback.emit.nest.layout import row_size
from pullback.emit.nest.multiply import Into
from pullback.emit.nest.text import text
from pullback.emit.nest.units import UnitCode
from pullback.ir import Axis
from pullback.machine.barrier import share, write_meet
from pullback.machine.blas.writer import WHOLE, Value, Writer, whole
from pullback.machine.object.processor import optimised_code, vector_bytes
from pullback.vmath.real import Real

_BYTE = ir.IntType(8)
Ends = tuple[Value, Value]


class EpochCode:
    """Writes the module of an epoch from top to bottom; ``epoch`` is what its function takes."""

    def __init__(
        self,
        training: TrainingStep,
        dtype: str,
        variant: Variant,
        noise: Collection[str] = (),
    ) -> None:
        self.training, self.variant, self.noise = training, variant, noise
        self.done: list[Unit | str] = []  # in a step
        self.real: Any = ir.FloatType() if dtype == "float32" else ir.DoubleType()
        self.size = 4 if dtype == "float32" else 8
        lanes = vector_bytes() // self.size
        self.module = ir.Module(NAME)
        units, memory = training.units, training.memory
        data = tuple(training.program.inputs)
        whole_inputs = tuple(
            key for key, v in training.program.inputs.items() if v.name in training.layout.whole
        )
        self.epoch = Epoch(
            training.update.slots, data, whole_inputs, training.indices, training.held,
            *memory.totals, *self._strip(),
        )  # fmt: skip
        self.meet_function = write_meet(self.module)
        output = training.program.results["output"]
        inside = row_size(output.axes[:-1]) if output.name in training.layout.blocked else 0
        self.hits_function = write_hits(self.module, self.real, lanes, inside)
        kinds = [*[WHOLE] * len(NUMBERS), ir.DoubleType(), _BYTE.as_pointer().as_pointer()]
        function = ir.Function(self.module, ir.FunctionType(WHOLE, kinds), NAME)
        self.given = dict(zip((*NUMBERS, "threshold", "places"), function.args, strict=True))
        self.w = w = Writer(function, self.real, lanes)
        self.arrays = self._arrays()
        self.begins = self._begins()
        self.entries = Entries(w, self.begins.__getitem__, {}, training.layout.whole, padded=True)
        expressions = Expressions(dtype)
        self.code = UnitCode.of(self.entries, training.batch, dtype, expressions, training.local)
        # the update's numbers have names of their own
        entries = Entries(w, self.begins.__getitem__, {})
        self.updates = NestCode(w, entries, expressions, training.update.local)
        for name in training.numbers:
            self.entries.variable(name)
        for name in training.update.numbers:
            entries.variable(name)
        self.meetings = Meetings(memory.room, training.numbers)
        self.shares: dict[int, Ends] = {}
        update = training.update
        self.sweeps = [
            Sweep.of(self.module, at, unit, update, self.code.nests) if unit.loops else unit
            for at, unit in enumerate(update.units)
        ]
        self._write(units)

    @property
    def lines(self) -> list[str]:
        """What is done in a step, to be read."""
        return [each if isinstance(each, str) else text(each) for each in self.done]

    def object_code(self) -> bytes:
        """Machine code for the processor that is here."""
        return optimised_code(self.module)

    def _strip(self) -> tuple[int, int]:
        """How many samples are gone through at a time, and how many numbers these sum up."""
        return 0, 0  # all of them

    def _arrays(self) -> dict[str, Value]:
        """Each array that is given, by name, as an address of its kind."""
        w, found = self.w, {}
        epoch = self.epoch
        of_wholes = {*WHOLE_NUMBERS, *(f"rows {name}" for name in epoch.whole)}
        names = (*FIRST, *epoch.slots, *(f"rows {name}" for name in epoch.data))
        names += tuple(f"held {name}" for name in epoch.held)
        for at, name in enumerate(names):
            place = w.load(w.gep(self.given["places"], [whole(at)]))
            kind = WHOLE if name in of_wholes else self.real
            found[name] = w.bitcast(place, kind.as_pointer())
        return found

    def _begins(self) -> dict[str, Value]:
        """Where each array of the program begins."""
        w, training = self.w, self.training
        found: dict[str, Value] = {}
        for key, offset in training.offsets.items():
            value = training.parameter(key)
            found[value.name] = w.gep(self.arrays["weights"], [whole(offset)])
        for key in training.held:
            found[training.parameter(key).name] = self.arrays[f"held {key}"]
        for name, key in training.gradients.items():
            offset = training.offsets[key]
            found[name] = w.gep(self.arrays["gradient"], [whole(offset)])
        for name in training.memory.room:
            found[name] = w.gep(self.arrays["work"], [self._room(name)])
            if name in training.layout.whole:
                found[name] = w.bitcast(found[name], WHOLE.as_pointer())
        return found

    def _room(self, name: str) -> Value:
        """How far into the room to work in an array begins."""
        w, (each, besides) = self.w, self.training.memory.begin(name)
        samples = w.and_(w.add(self.given["batch_size"], whole(15)), whole(-16))
        return w.add(w.mul(samples, whole(each)), whole(besides))

    def _write(self, units: Sequence[Unit]) -> None:
        w, given, training = self.w, self.given, self.training
        self.hit = w.alloca(WHOLE)
        spent = w.at(self.arrays["spent"], (given["worker"], whole(LINE)))
        self.clock = Clock(w, spent if self.variant == "profile" else None)
        rates, update = self.arrays["rates"], training.update.program
        size = given["batch_size"]
        batches = w.udiv(w.add(given["samples"], w.sub(size, whole(1))), size)
        with w.loop(whole(0), given["steps"], 1) as self.step:
            w.store(whole(0), self.hit)
            epoch = w.udiv(self.step, batches)
            before = w.mul(w.sub(self.step, w.mul(epoch, batches)), size)
            self.start = w.add(before, w.mul(epoch, given["further"]))
            self.rows = w.smaller(size, w.sub(given["samples"], before))
            self.entries.lengths[training.batch] = self.rows
            block = w.lanes if training.layout.blocked else 1
            self.mine = share(w, self.rows, given["worker"], given["workers"], block)
            rows = training.program.sizes[training.batch].name
            w.store(self._as_real(self.rows), self.entries.variable(rows))
            count = w.add(given["first_step"], self.step)
            now = {"rate": w.load(w.gep(rates, [self.step])), "step": self._as_real(count)}
            for key, value in now.items():
                if key in update.inputs:
                    place = self.updates.entries.variable(update.inputs[key].name)
                    w.store(value, place)
            if self.variant == "products":
                self._products(units)
            else:
                self._steps(units)
                self._meet()
                self.clock.begin("gather")
            hits = w.at(self.arrays["hits"], (self.step, given["workers"]), given["worker"])
            w.store(w.load(self.hit), hits)
        w.ret(whole(-1))

    def _steps(self, units: Sequence[Unit]) -> None:
        """All that is done in a step."""
        self._gather()
        self._units(units)

    def _as_real(self, value: Value) -> Value:
        return self.w.sitofp(value, self.real)

    def _meet(self) -> None:
        self.done.append("meet")
        self.clock.begin("meetings")
        given = (self.arrays["meeting"], self.given["worker"], self.given["workers"])
        self.w.call(self.meet_function, given)

    def _ends(self, axis: Axis | None) -> dict[Axis, Ends]:
        """Between what a worker's part of an axis lies."""
        if axis is None:
            return {}
        return {axis: self.mine if axis.size is None else self._share(axis.size)}

    def _share(self, size: int) -> Ends:
        if size not in self.shares:
            with self.w.goto_entry_block():
                worker, workers = self.given["worker"], self.given["workers"]
                self.shares[size] = share(self.w, whole(size), worker, workers)
        return self.shares[size]

    def _gather(self) -> None:
        """Each worker fetches its rows of the batch."""
        w, training = self.w, self.training
        inputs = training.program.inputs
        self.done.append(f"gather: {', '.join(value.name for value in inputs.values())}")
        with w.loop(*self.mine, 1) as at:
            place = w.add(self.start, at)
            row = w.load(w.gep(self.arrays["order"], [place]))
            for key, value in inputs.items():
                length = row_size(value.axes)
                drawn = key in self.noise
                source = w.at(self.arrays[f"rows {key}"], (place if drawn else row, whole(length)))
                target = w.at(self.begins[value.name], (at, whole(length)))
                w.copy(source, target, length * (8 if key in self.epoch.whole else self.size))
        places = [training.layout.of(value) for value in inputs.values()]
        self.meetings.before(
            self.meetings.touch(place, training.batch, writes=True) for place in places
        )

    def _units(self, units: Sequence[Unit], first: int = 0) -> None:
        """The units from one on, and what follows when the loss and the gradients are there."""
        training, judged = self.training, False
        rest = units[first:]
        makers = Counter(name for unit in rest for name in unit.makes)
        missing = {key: makers[name] for name, key in training.gradients.items()}
        # parameters whose gradient is there
        waiting = [key for key, more in missing.items() if not more]
        if not any(training.loss in unit.makes for unit in rest):
            self._judge()
            judged = True
        for at, unit in enumerate(rest, first):
            shared = shared_axis(unit)
            key = training.straight(unit, at) if judged else None
            touches = list(self.meetings.of(unit, shared))
            if key is not None:
                place = training.layout.of(training.parameter(key))
                touches.append(self.meetings.touch(place, shared, writes=True))
            if self.meetings.before(touches):
                self._meet()
            if key is not None and isinstance(unit, Multiply):
                self._multiplied_into(unit, key, shared)
                continue
            self._unit(unit, shared)
            if training.loss in unit.makes:
                self._judge()
                judged = True
            made = [training.gradients[n] for n in unit.makes if n in training.gradients]
            for each in made:
                missing[each] -= 1
            waiting += [each for each in made if not missing[each]]
            later = training.read_later[at]
            if judged and training.update.at_once:
                free = [k for k in waiting if not self._wanted(k) & later]
                free = [k for k in free if not self.meetings.needed(self._changes(k))]
                waiting = [k for k in waiting if k not in free]
                for each in free:
                    self._changed(each)
        if training.update.at_once:
            for each in waiting:  # the workers meet once for all of them
                self._changed(each)
        else:
            self._changed_at_last()

    def _wanted(self, key: str) -> set[str]:
        return {self.training.parameter(key).name, self.training.program.results[key].name}

    def _products(self, units: Sequence[Unit]) -> None:
        """The products alone: the least that a step can cost."""
        self._numbers(self.training.update.leading)
        for at, unit in enumerate(units):
            if not isinstance(unit, Multiply):
                continue
            shared, key = shared_axis(unit), self.training.straight(unit, at)
            if key is None:
                self._unit(unit, shared)
            else:
                self._multiplied_into(unit, key, shared)

    def _unit(self, unit: Unit, shared: Axis | None) -> None:
        self.done.append(unit)
        # most of what is repeated are products
        self.clock.begin("elementwise" if isinstance(unit, Nest) else "products")
        parts = shared_parts(unit) if isinstance(unit, Windowed) else None
        own = self.mine if parts is None else self._share(parts)
        self.code.write(unit, self._ends(shared), shared, own)

    def _multiplied_into(self, unit: Multiply, key: str, shared: Axis | None) -> None:
        """A gradient that changes its parameter as it is multiplied."""
        assert self.training.update.linear is not None
        amount, keep = (
            number(self.updates, self.updates.expressions, expr)
            for expr in self.training.update.linear
        )
        value = self.training.parameter(key)
        place = self.training.layout.of(value)
        self.done += [unit, f"into {value.name}"]
        self.clock.begin("products")
        self.code.products.write(unit, self._ends(shared), shared, Into(amount, keep, place))

    def _judge(self) -> None:
        """What is told of the batch before anything is learnt from it."""
        w, training, given = self.w, self.training, self.given
        self.clock.begin("elementwise")
        self.done.append("judge: the loss, and how many are classified right")
        loss = self.entries.number(training.loss)
        with w.if_then(w.icmp_signed("==", given["worker"], whole(0))):
            w.store(loss, w.gep(self.arrays["losses"], [self.step]))
        with w.if_then(w.not_(is_finite(Real(w, loss)).value)):
            w.ret(self.step)
        self._score()
        self._numbers(training.update.leading)

    def _score(self) -> None:
        """Add up how many samples are classified right."""
        self._count(self.hit)

    def _count(self, into: Value) -> None:
        """Count how many of a worker's samples are classified right."""
        w, training, given = self.w, self.training, self.given
        output, target = training.program.results["output"], training.program.inputs["target"]
        if target.axes != output.axes:
            return
        columns = output.axes[-1].size or 1
        rows = row_size(output.axes) // columns
        with w.if_then(w.is_one(given["score"])):
            first, end = self.mine
            begins = (
                w.at(self.begins[value.name], (first, whole(rows * columns)))
                for value in (output, target)
            )
            count = w.mul(w.sub(end, first), whole(rows))
            threshold = given["threshold"]
            if self.size == 4:
                threshold = w.fptrunc(threshold, self.real)
            more = w.call(self.hits_function, [*begins, count, whole(columns), threshold])
            w.store(w.add(w.load(into), more), into)

    def _numbers(self, units: Sequence[Nest]) -> None:
        for unit in units:
            self.updates.write(unit, {})

    def _changes(self, key: str) -> list[Touch]:
        """What the update of a parameter touches: of its first axis each worker has a part."""
        training = self.training
        value, gradient = training.parameter(key), training.program.results[key]
        along = value.axes[0] if value.axes else None
        touches = [self.meetings.touch(training.layout.of(value), along, writes=True)]
        return [*touches, self.meetings.touch(training.layout.of(gradient), along)]

    def _changed(self, key: str) -> None:
        """A worker's part of a parameter updated, when nobody else reads it any more."""
        w, training = self.w, self.training
        value = training.parameter(key)
        along = value.axes[0] if value.axes else None
        if self.meetings.before(self._changes(key)):
            self._meet()
        self.done.append(f"update: {value.name}")
        size = along.size if along is not None and along.size else 1
        row = row_size(value.axes) // size
        begin, stop = (
            w.add(whole(training.offsets[key]), w.mul(each, whole(row)))
            for each in self._share(size)
        )
        for sweep in self.sweeps:
            if isinstance(sweep, Sweep):
                self._sweep(sweep, (begin, stop))

    def _sweep(self, sweep: Sweep, ends: Ends) -> Value:
        self.clock.begin("update")
        places = {"weight": self.arrays["weights"], **self.arrays}
        return sweep.call(self.updates, ends, places, self.training.update)

    def _changed_at_last(self) -> None:
        """The sweeps one after the other over all weights, and the numbers between them."""
        self._meet()
        self.done.append("update: all weights")
        for each in self.sweeps[len(self.training.update.leading) :]:
            if not isinstance(each, Sweep):
                self.updates.write(each, {})
            elif each.sums:
                self._sum(each)
            else:
                self._sweep(each, self._share(self.training.weights))

    def _sum(self, sweep: Sweep) -> None:
        """The sum over all weights, of parts that are the same whoever takes them."""
        w, total = self.w, self.training.weights
        parts = math.ceil(total / CHUNK)
        sums = self.arrays["sums"]
        with w.loop(*self._share(parts), 1) as part:
            begin = w.mul(part, whole(CHUNK))
            stop = w.smaller(w.add(begin, whole(CHUNK)), whole(total))
            w.store(self._sweep(sweep, (begin, stop)), w.gep(sums, [part]))
        self._meet()
        variable = self.updates.entries.variable(sweep.sums[0])
        w.store(ir.Constant(self.real, 0.0), variable)
        with w.loop(whole(0), whole(parts), 1) as part:
            more = w.load(w.gep(sums, [part]))
            w.store(w.fadd(w.load(variable), more), variable)
