"""A step of training that takes a strip of samples through the whole network, then the next one.

What a strip leaves between the layers stays in a processor's own cache. Each strip sums its own
part of every gradient; the parts are added up in the order of the strips, so no bit depends on
which worker took which.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from llvmlite import ir

from pullback.emit.epoch.code import Ends, EpochCode
from pullback.emit.epoch.record import EVEN
from pullback.emit.epoch.sharing import Meetings, shared_axis
from pullback.emit.nest.language import Unit
from pullback.emit.nest.layout import Spot, row_size, strides_of
from pullback.emit.nest.tiled import VECTORS
from pullback.machine.blas.writer import WHOLE, Value, Writer, whole

_NEAR = 2**19  # bytes of a processor's second cache that a strip may fill
_LINE = 16  # numbers: no two strips write to one line of the cache


class StripCode(EpochCode):
    """The code of an epoch in strips."""

    @cached_property
    def _sums(self) -> dict[str, tuple[int, int]]:
        """What each strip sums up: where it begins in a strip's part, and how many numbers."""
        names, arrays = [], self.training.layout.arrays
        for unit in self.training.phases.sums:
            names += sorted(unit.makes)
        found, at = {}, 0
        for name in names:
            found[name] = (at, row_size(arrays[name]))
            at += _lines(found[name][1])
        return found

    def _strip(self) -> tuple[int, int]:
        each, _ = self.training.memory.totals
        partial = sum(map(_lines, (size for _, size in self._sums.values())))
        return max(1, _NEAR // (each * self.size * self._tile)) * self._tile, partial

    @property
    def _tile(self) -> int:
        """So many samples go through a product together."""
        return VECTORS * self.training.layout.lanes

    def _room(self, name: str) -> Value:
        w, memory, strip = self.w, self.training.memory, self.epoch.strip
        (each, besides), (in_all, _) = memory.begin(name), memory.totals
        samples, _ = memory.sizes[memory.room[name]]
        before = self.given["worker"] if samples else self.given["workers"]
        here = strip * each if samples else besides
        return w.add(w.mul(before, whole(strip * in_all)), whole(here))

    def _steps(self, units: Sequence[Unit]) -> None:
        w, phases, batch = self.w, self.training.phases, self.training.batch
        for unit in phases.before:
            shared = shared_axis(unit)
            if self.meetings.before(self.meetings.of(unit, shared)):
                self._meet()
            self._unit(unit, shared)
        if phases.before:
            self._meet()
        self.done.append(f"in strips of at most {self.epoch.strip} samples:")
        with w.goto_entry_block():
            self.right = w.alloca(WHOLE)
        w.store(whole(0), self.right)
        start, rows, begins = self.start, self.rows, dict(self.begins)
        tiles = _parts(w, rows, self._tile)
        count = w.mul(_parts(w, rows, EVEN * self.epoch.strip), whole(EVEN))
        count = w.smaller(count, tiles)
        self.clock.begin("gather")
        with w.loop(*self._mine_of(count), 1) as number:
            first, end = (
                w.mul(w.udiv(w.mul(tiles, each), count), whole(self._tile))
                for each in (number, w.add(number, whole(1)))
            )
            self.start = w.add(start, first)
            self.rows = w.sub(w.smaller(end, rows), first)
            self.entries.lengths[batch], self.mine = self.rows, (whole(0), self.rows)
            part = self._part(number)
            for name, (at, _) in self._sums.items():
                self.begins[name] = w.at(part, whole(at))
            self._gather()
            for unit in phases.through:
                self._unit(unit, batch)
            for unit in phases.sums:
                self._unit(unit, None)
            for name in self._numbers_summed:
                w.store(self.entries.number(name), self.begins[name])
            self._count(self.right)
            self.clock.begin("gather")
        self.start, self.rows, self.entries.lengths[batch] = start, rows, rows
        for name in self._sums:
            del self.begins[name]
        self.begins |= begins
        self._meet()
        self.meetings = Meetings(self.training.memory.room, self.training.numbers)
        self._add_up(count)
        self._units(units, len(units) - len(phases.after))

    def _mine_of(self, count: Value) -> Ends:
        """Which of so many strips are a worker's."""
        w, worker, workers = self.w, self.given["worker"], self.given["workers"]
        begin, end = (
            w.udiv(w.mul(count, each), workers) for each in (worker, w.add(worker, whole(1)))
        )
        return begin, end

    def _part(self, number: Value) -> Value:
        """Where what a strip sums up lies, behind all other room."""
        w, (each, besides) = self.w, self.training.memory.totals
        rooms = w.mul(self.given["workers"], whole(self.epoch.strip * each))
        return w.at(self.arrays["work"], rooms, whole(besides), (number, whole(self.epoch.partial)))

    @property
    def _numbers_summed(self) -> list[str]:
        return [name for name in self._sums if name in self.training.numbers]

    def _add_up(self, count: Value) -> None:
        """What the strips have summed, added up: of an array each worker has some rows."""
        w, training, first = self.w, self.training, self._part(whole(0))
        step, zero = whole(self.epoch.partial), ir.Constant(self.real, 0.0)
        self.done.append(f"add up: {', '.join(self._sums)}")
        self.clock.begin("update")
        for name, (at, size) in self._sums.items():
            here = w.at(first, whole(at))
            if name in training.numbers:
                total = self.entries.variable(name)
                w.store(zero, total)
                with w.loop(whole(0), count, 1) as strip:
                    w.store(w.fadd(w.load(total), w.load(w.at(here, (strip, step)))), total)
                continue
            axes = training.layout.arrays[name]
            length = (axes[0].size or 1) if axes else 1
            begin, stop = (w.mul(each, whole(size // length)) for each in self._share(length))
            w.call(self._adding, [here, step, count, self.begins[name], begin, stop])
            steps = zip(axes, strides_of(axes), strict=True)
            place = Spot(name, tuple(steps))
            self.meetings.before([self.meetings.touch(place, axes[0] if axes else None, True)])

    @cached_property
    def _adding(self) -> ir.Function:
        """The function (parts, step, count, into, begin, stop) over some numbers of each part."""
        place = self.real.as_pointer()
        kinds = [place, WHOLE, WHOLE, place, WHOLE, WHOLE]
        made = ir.Function(self.module, ir.FunctionType(ir.VoidType(), kinds), "add_up")
        made.linkage = "internal"
        made.attributes.add("noinline")
        parts, step, count, into, begin, stop = made.args
        w = Writer(made, self.real, self.w.lanes)
        total = w.alloca(w.vector)
        with w.loop(begin, stop, w.lanes) as at:
            mask = w.lanes_below(w.sub(stop, at))
            w.store(w.zeros(), total)
            with w.loop(whole(0), count, 1) as part:
                more = w.read(w.at(parts, (part, step), at), mask)
                w.store(w.fadd(w.load(total), more), total)
            w.write(w.load(total), w.at(into, at), mask)
        w.ret_void()
        return made

    def _score(self) -> None:
        self.w.store(self.w.add(self.w.load(self.hit), self.w.load(self.right)), self.hit)


def _parts(w: Writer, rows: Value, size: int) -> Value:
    """Code for how many parts of a size there are; the last one may be smaller."""
    return w.udiv(w.add(rows, whole(size - 1)), whole(size))


def _lines(numbers: int) -> int:
    """The numbers that whole lines of the cache hold, in which so many have room."""
    return -(-numbers // _LINE) * _LINE
