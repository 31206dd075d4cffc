"""Units of every kind as code: nests, products, kernels over windows, and what repeats them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pullback.emit.nest.access import Entries
from pullback.emit.nest.code import Bounds, NestCode
from pullback.emit.nest.expression import Expressions
from pullback.emit.nest.function import Ends, UnitFunctions
from pullback.emit.nest.kernel import WindowCode
from pullback.emit.nest.language import Multiply, Nest, Repeat, Unit, Windowed
from pullback.emit.nest.multiply import ProductCode, Shape
from pullback.ir import Axis
from pullback.machine.blas.writer import Writer, whole


@dataclass
class UnitCode:
    """Writes units in one precision; ``batch`` is the axis of the samples."""

    w: Writer
    entries: Entries
    batch: Axis
    nests: NestCode
    functions: UnitFunctions
    products: ProductCode
    windows: WindowCode

    @classmethod
    def of(
        cls, entries: Entries, batch: Axis, dtype: str, expressions: Expressions,
        local: Collection[str],
    ) -> UnitCode:  # fmt: skip
        """That of arrays whose places are known; what is ``local`` is never stored."""
        w = entries.w
        return cls(
            w, entries, batch,
            NestCode(w, entries, expressions, set(local)),
            UnitFunctions(w, entries, dtype, expressions, local),
            ProductCode(w, entries, dtype),
            WindowCode(w, entries, dtype),
        )  # fmt: skip

    def write(self, unit: Unit, bounds: Bounds, shared: Axis | None, parts: Ends) -> None:
        """The code of a unit, of whose axis ``shared`` ``bounds`` give a worker's part.

        ``parts`` are those of a kernel over windows: samples, or the taps of a weight's gradient;
        of a product in blocks the samples.
        """
        ends = (whole(0), whole(0)) if shared is None else bounds[shared]
        if isinstance(unit, Nest) and not unit.loops:
            self.nests.write(unit, bounds)
        elif isinstance(unit, Nest):
            self.functions.call(unit, shared, ends, self.batch)
        elif isinstance(unit, Multiply) and unit.blocked:
            self.functions.call(unit, None, parts, self.batch)
        elif isinstance(unit, Multiply) and Shape.of(unit, shared).is_one:
            self.products.write(unit, bounds, shared)
        elif isinstance(unit, Multiply):
            self.functions.call(unit, shared, ends, self.batch)
        elif isinstance(unit, Windowed):
            self.windows.write(unit, parts, self.entries.lengths[self.batch])
        else:
            self._repeated(unit, bounds)

    def _repeated(self, unit: Repeat, bounds: Bounds) -> None:
        w, size = self.w, unit.along.size or 0
        with w.loop(whole(0), whole(size), 1) as turn:
            index = w.sub(whole(size - 1), turn) if unit.backward else turn
            for each in unit.units:
                if isinstance(each, Nest):
                    self.nests.write(each, bounds, {unit.along: index})
                else:
                    self.products.write(each, bounds, unit.batch, around={unit.along: index})
