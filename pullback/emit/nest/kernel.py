"""Kernels over windows as calls: workers share the samples, or the taps of a weight's gradient.

A kernel reads its table of numbers on a worker's stack, where what only the run tells is filled in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from llvmlite import ir

from pullback.emit.nest.access import Entries
from pullback.emit.nest.language import Unit, Windowed
from pullback.emit.nest.layout import Spot
from pullback.machine.blas.writer import WHOLE, Value, Writer, whole
from pullback.machine.window.convolution import VECTORS
from pullback.machine.window.library import prepare, symbol
from pullback.machine.window.plan import FIELDS

Ends = tuple[Value, Value]


def shared_parts(unit: Windowed) -> int | None:
    """How many parts of a weight's gradient workers share: each tap along the first axis is one.

    None where they share the samples.
    """
    return unit.parts * _field(unit, "taps0") if unit.kernel == "weights" else None


def prepare_kernels(units: Iterable[Unit], dtype: str) -> None:
    """Have the kernels of units made while their code is written."""
    prepare(symbol(u.kernel, dtype, u.rank) for u in units if isinstance(u, Windowed))


def _field(unit: Windowed, name: str) -> int:
    return unit.table[_places(unit)[name]]


def _places(unit: Windowed) -> Mapping[str, int]:
    """Where the numbers of a unit stand in its table."""
    return FIELDS[unit.kernel](unit.rank).place


@dataclass
class WindowCode:
    """Writes calls of kernels in one precision."""

    w: Writer
    entries: Entries
    dtype: str
    _scratch: dict[int, Value] = field(default_factory=dict)

    def write(self, unit: Windowed, ends: Ends, samples: Value) -> None:
        """The code of a unit; ``ends`` are those of a worker's samples or shared parts."""
        if unit.kernel == "weights":
            self._weights(unit, ends, samples)
            return
        w, (begin, end) = self.w, ends
        count, parts = w.sub(end, begin), whole(unit.parts)
        if unit.kernel == "convolution":
            pair = VECTORS * w.lanes
            parts = w.mul(parts, w.udiv(w.add(count, whole(pair - 1)), whole(pair)))
        table = self._table(unit, count)
        given = [self._address(place, begin) for place in unit.given]
        w.call(self._function(unit), [table, *given, whole(0), parts])

    def _weights(self, unit: Windowed, ends: Ends, samples: Value) -> None:
        """Each part for those of its taps that are a worker's."""
        w, (begin, end), taps = self.w, ends, _field(unit, "taps0")
        table, scratch = self._table(unit, samples), self._room(unit.scratch)
        x, y, weight = (self._address(place, whole(0)) for place in unit.given)
        last = w.udiv(w.add(end, whole(taps - 1)), whole(taps))
        with w.loop(w.udiv(begin, whole(taps)), last, 1) as part:
            before = w.mul(part, whole(taps))
            first = w.larger(w.sub(begin, before), whole(0))
            stop = w.smaller(w.sub(end, before), whole(taps))
            row = w.add(whole(_field(unit, "runs0")), w.mul(first, whole(3)))
            self._fill(unit, table, {"taps0": w.sub(stop, first), "runs0": row})
            into = w.at(weight, (first, whole(_field(unit, "weight0"))))
            given = [table, x, y, into, scratch, part, w.add(part, whole(1))]
            w.call(self._function(unit), given)

    def _address(self, place: Spot | None, sample: Value) -> Value:
        if place is None:
            return ir.Constant(self.w.real.as_pointer(), None)
        at = {axis: sample if axis.size is None else whole(0) for axis, _ in place.strides}
        return self.entries.address(place, at)

    def _table(self, unit: Windowed, samples: Value) -> Value:
        """The numbers of a unit for so many samples."""
        w, name = self.w, f"table of {unit.name}"
        kind = ir.ArrayType(WHOLE, len(unit.table))
        constant = ir.GlobalVariable(w.module, kind, w.module.get_unique_name(name))
        constant.initializer = ir.Constant(kind, [whole(number) for number in unit.table])
        constant.global_constant, constant.linkage = True, "internal"
        with w.goto_entry_block():
            table = w.alloca(WHOLE, len(unit.table))
            w.copy(constant, table, 8 * len(unit.table))
        vectors = w.udiv(w.add(samples, whole(w.lanes - 1)), whole(w.lanes))
        self._fill(unit, table, {"samples": samples, "vectors": vectors})
        return table

    def _fill(self, unit: Windowed, table: Value, numbers: Mapping[str, Value]) -> None:
        for name, number in numbers.items():
            self.w.store(number, self.w.at(table, whole(_places(unit)[name])))

    def _room(self, numbers: int) -> Value:
        """So many numbers on the stack."""
        if numbers not in self._scratch:
            with self.w.goto_entry_block():
                self._scratch[numbers] = self.w.alloca(self.w.real, numbers)
        return self._scratch[numbers]

    def _function(self, unit: Windowed) -> Value:
        """The kernel, which is elsewhere."""
        name, module = symbol(unit.kernel, self.dtype, unit.rank), self.w.module
        given = len(unit.given) + (unit.kernel == "weights")
        kinds = [WHOLE.as_pointer(), *[self.w.real.as_pointer()] * given, WHOLE, WHOLE]
        kind = ir.FunctionType(ir.VoidType(), kinds)
        return module.globals.get(name) or ir.Function(module, kind, name)
