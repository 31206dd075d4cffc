"""Nests as functions of their own: those that do the same to other arrays are one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from llvmlite import ir

from pullback.emit.nest.access import Entries
from pullback.emit.nest.code import NestCode
from pullback.emit.nest.expression import Expressions
from pullback.emit.nest.language import Multiply, Nest
from pullback.emit.nest.tiled import TiledCode
from pullback.ir import Axis
from pullback.machine.blas.writer import WHOLE, Value, Writer

Ends = tuple[Value, Value]


@dataclass
class NestFunctions:
    """Writes calls of nests: ``entries`` are the caller's, ``local`` is what is never stored."""

    w: Writer
    entries: Entries
    expressions: Expressions
    local: Collection[str]
    _known: dict[tuple[str, ...], Value] = field(default_factory=dict)

    def call(self, unit: Nest | Multiply, shared: Axis | None, ends: Ends, batch: Axis) -> None:
        """The code of a nest; of its axis ``shared`` the part between two ends is a worker's.

        Or that of a product of samples in blocks, for those between two ends.
        """
        variables = self.entries.variables
        touched = dict.fromkeys(place.array for place in (*unit.reads, *unit.writes))
        numbers = [name for name in touched if name in variables]
        arrays = [
            name for name in touched if name and name not in variables and name not in self.local
        ]
        given = [*map(self.entries.begins, arrays), *(variables[name] for name in numbers)]
        kinds = [WHOLE, WHOLE, WHOLE, *(each.type for each in given)]
        module = self.w.module
        name = module.get_unique_name("nest")
        made = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
        made.linkage = "internal"
        made.attributes.add("noinline")
        begin, end, rows, *addresses = made.args
        inside = Writer(made, self.w.real, self.w.lanes)
        places = dict(zip(arrays, addresses, strict=False))
        entries = Entries(inside, places.__getitem__, {batch: rows}, self.entries.whole)
        entries.variables |= dict(zip(numbers, addresses[len(arrays) :], strict=True))
        if isinstance(unit, Nest):
            code = NestCode(inside, entries, self.expressions, set(self.local))
            code.write(unit, {} if shared is None else {shared: (begin, end)})
        else:
            TiledCode(inside, entries, self.expressions, self.local).write(unit, (begin, end))
        inside.ret_void()
        text = (*map(str, kinds), *map(str, made.blocks))
        if text in self._known:
            del module.globals[name]
        function = self._known.setdefault(text, made)
        self.w.call(function, [*ends, self.entries.lengths[batch], *given])
