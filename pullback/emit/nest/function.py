"""Units as functions of their own: those that do the same to other arrays are one."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, field

from llvmlite import ir

from pullback.emit.nest.access import Entries
from pullback.emit.nest.canonical import Canonical, joined
from pullback.emit.nest.code import NestCode
from pullback.emit.nest.expression import Expressions
from pullback.emit.nest.language import Multiply, Nest, batch_of
from pullback.emit.nest.multiply import ProductCode
from pullback.emit.nest.tiled import TiledCode
from pullback.ir import Axis
from pullback.machine.blas.writer import WHOLE, Value, Writer, whole

Ends = tuple[Value, Value]


@dataclass
class UnitFunctions:
    """Writes calls of nests and products.

    ``entries`` are the caller's, ``local`` is what is never stored.
    """

    w: Writer
    entries: Entries
    dtype: str
    expressions: Expressions
    local: Collection[str]
    _known: dict[Hashable, Value] = field(default_factory=dict)

    def call(self, unit: Nest | Multiply, shared: Axis | None, ends: Ends, batch: Axis) -> None:
        """The code of a unit; of its axis ``shared`` the part between two ends is a worker's.

        Of a product of samples in blocks it is that of those between two ends.
        """
        if isinstance(unit, Nest):
            unit = joined(unit, () if shared is None else (shared,))
        form, entries = Canonical.of(unit), self.entries
        stored = [name for name in form.arrays if name not in self.local]
        numbers = [name for name in stored if name in entries.variables]
        arrays = [name for name in stored if name not in entries.variables]
        given = [self._begin(name, form) for name in arrays]
        given += [entries.variables[name] for name in numbers]
        indices = [form.arrays[name] for name in arrays if name in entries.whole]
        arrays, numbers = ([form.arrays[name] for name in names] for names in (arrays, numbers))
        along = None if shared is None else form.axes[shared]
        key = (form.key, *map(tuple, (arrays, numbers, indices)), along)
        if key not in self._known:
            kinds = [each.type for each in given]
            self._known[key] = self._written(form, kinds, arrays, numbers, indices, along)
        self.w.call(self._known[key], [*ends, self.entries.lengths[batch], *given])

    def _begin(self, array: str, form: Canonical) -> Value:
        begin, start = self.entries.begins(array), form.begins.get(array, 0)
        return self.w.gep(begin, [whole(start)]) if start else begin

    def _written(
        self,
        form: Canonical,
        kinds: Sequence[ir.Type],
        arrays: Sequence[str],
        numbers: Sequence[str],
        indices: Collection[str],
        shared: Axis | None,
    ) -> Value:
        """The function (begin, end, samples, arrays, numbers) of a unit in canonical form."""
        module, unit = self.w.module, form.unit
        kind = ir.FunctionType(ir.VoidType(), [WHOLE, WHOLE, WHOLE, *kinds])
        made = ir.Function(module, kind, module.get_unique_name("unit"))
        made.linkage = "internal"
        made.attributes.add("noinline")
        begin, end, rows, *addresses = made.args
        inside = Writer(made, self.w.real, self.w.lanes)
        places = dict(zip(arrays, addresses, strict=False))
        batch = batch_of(unit.loops)
        entries = Entries(inside, places.__getitem__, {batch: rows} if batch else {}, indices)
        entries.padded = self.entries.padded
        entries.variables |= dict(zip(numbers, addresses[len(arrays) :], strict=True))
        bounds = {} if shared is None else {shared: (begin, end)}
        local = {*form.arrays.values()} - {*arrays, *numbers}
        if isinstance(unit, Nest):
            NestCode(inside, entries, self.expressions, local).write(unit, bounds)
        elif unit.blocked:
            TiledCode(inside, entries, self.expressions, local).write(unit, (begin, end))
        else:
            ProductCode(inside, entries, self.dtype).write(unit, bounds, shared)
        inside.ret_void()
        return made
