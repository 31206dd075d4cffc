"""How many of some rows are classified right, as compiled code; the rule is ``metrics.hits``'s."""

from __future__ import annotations

import math
from collections.abc import Sequence

from llvmlite import ir

from pullback.machine.blas.writer import INT, WHOLE, Value, Writer, whole


def write_hits(module: ir.Module, real: ir.Type, lanes: int, inside: int = 0) -> ir.Function:
    """Add the function (output, target, rows, columns, threshold), whose arrays have these rows.

    Each lane of a vector has a row of its own. Where the samples of the output lie in blocks of so
    many lanes, each has rows ``inside`` it.
    """
    place = real.as_pointer()
    kind = ir.FunctionType(WHOLE, [place, place, WHOLE, WHOLE, real])
    made = ir.Function(module, kind, "hits")
    made.linkage = "internal"
    made.attributes.add("noinline")
    output, target, rows, columns, threshold = made.args
    w = Writer(made, real, lanes)
    right = w.alloca(WHOLE)
    w.store(whole(0), right)
    each = whole(inside or 1)
    samples = w.udiv(rows, each)
    with w.loop(whole(0), samples, lanes) as first, w.loop(whole(0), each, 1) as row:
        there = w.lanes_below(w.sub(samples, first))
        last = w.sub(samples, whole(1))  # lanes behind it look at it, too
        lines = [
            w.add(w.mul(w.smaller(w.add(first, whole(lane)), last), each), row)
            for lane in range(lanes)
        ]
        begin = w.at(output, (w.mul(first, each), columns))
        look = _Look(w, lines, columns, there)
        with w.loop(whole(0), columns, 1) as j:
            if inside:
                at = w.mul(w.add(w.mul(row, columns), j), whole(lanes))
                given = w.read(w.at(begin, at), there)
            else:
                given = look.column(output, j)
            look.take(given, look.column(target, j), j, threshold)
        w.store(w.add(w.load(right), look.right(threshold)), right)
    w.ret(w.load(right))
    return made


class _Look:
    """Looks at rows column by column; each lane of a vector has one of them."""

    def __init__(self, w: Writer, lines: Sequence[Value], columns: Value, there: Value) -> None:
        self.w, self.lines, self.columns, self.there = w, lines, columns, there
        whole_numbers = ir.VectorType(INT, w.lanes)
        self.none = ir.Constant(whole_numbers, [0] * w.lanes)
        self.one = ir.Constant(whole_numbers, [1] * w.lanes)
        lowest = ir.Constant(w.vector, [-math.inf] * w.lanes)
        with w.goto_entry_block():
            self.highest = [w.alloca(w.vector) for _ in range(2)]
            self.best = [w.alloca(whole_numbers) for _ in range(2)]
            self.ones, self.wrong = (w.alloca(whole_numbers) for _ in range(2))
        for place in self.highest:
            w.store(lowest, place)
        for place in (*self.best, self.ones, self.wrong):
            w.store(self.none, place)

    def column(self, array: Value, number: Value) -> Value:
        """A column of rows that lie one behind the other."""
        w, found = self.w, self.w.zeros()
        for lane, line in enumerate(self.lines):
            one = w.load(w.at(array, (line, self.columns), number))
            found = w.insert_element(found, one, ir.Constant(INT, lane))
        return found

    def take(self, given: Value, hoped: Value, number: Value, threshold: Value) -> None:
        """One more column, of what comes out and of what it should be."""
        w, here = self.w, self.w.splat(self.w.trunc(number, INT))
        for value, highest, best in zip((given, hoped), self.highest, self.best, strict=True):
            higher = w.fcmp_ordered(">", value, w.load(highest))
            w.store(w.select(higher, here, w.load(best)), best)
            w.store(w.select(higher, value, w.load(highest)), highest)
        half = ir.Constant(w.vector, [0.5] * w.lanes)
        said = w.fcmp_ordered(">", given, w.splat(threshold))
        wrong = w.xor(said, w.fcmp_ordered(">", hoped, half))
        for place, holds in (
            (self.ones, w.fcmp_ordered(">", hoped, w.zeros())),
            (self.wrong, wrong),
        ):
            w.store(w.add(w.load(place), w.select(holds, self.one, self.none)), place)

    def right(self, threshold: Value) -> Value:
        """How many of the rows are classified right."""
        w, lanes = self.w, self.w.lanes
        largest = w.splat(w.fcmp_unordered("uno", threshold, threshold))
        several = w.splat(w.icmp_signed(">", self.columns, whole(1)))
        single = w.and_(several, w.icmp_signed("==", w.load(self.ones), self.one))
        same = w.icmp_signed("==", *map(w.load, self.best))
        each = w.icmp_signed("==", w.load(self.wrong), self.none)
        found = w.and_(w.select(w.or_(largest, single), same, each), self.there)
        return w.zext(w.ctpop(w.bitcast(found, ir.IntType(lanes))), WHOLE)
