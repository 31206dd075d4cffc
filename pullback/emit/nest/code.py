"""Nests as LLVM: one axis in vectors, the others as loops around it.

The axis in vectors is the one along which most of what is read and written lies side by side. What
a statement makes stays in a register for the statements behind it; everything is written at the end
of a turn, so that an array may take the room of one that is read for the last time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from llvmlite import ir

from pullback.emit.nest.access import At, Entries
from pullback.emit.nest.canonical import joined
from pullback.emit.nest.expression import Expressions
from pullback.emit.nest.language import Nest, Statement, batch_of
from pullback.emit.nest.layout import Spot
from pullback.ir import Axes, Axis
from pullback.machine.blas.writer import WHOLE, Value, Writer, whole
from pullback.vmath.real import Real

Bounds = Mapping[Axis, tuple[Value, Value]]
_START = {"sum": 0.0, "max": -math.inf, "where": -math.inf}


@dataclass
class NestCode:
    """Writes nests: ``entries`` knows where arrays and variables are."""

    w: Writer
    entries: Entries
    expressions: Expressions
    local: set[str] = field(default_factory=set)

    def write(self, nest: Nest, bounds: Bounds, around: At = MappingProxyType({})) -> None:
        """The code of a nest; ``bounds`` say between what a loop runs, where not over all.

        ``around`` holds the indices of loops that it stands in.
        """
        _Turns(self, joined(nest, bounds), bounds, around).write()


class _Turns:
    def __init__(self, code: NestCode, nest: Nest, bounds: Bounds, around: At) -> None:
        self.code, self.w, self.nest, self.bounds = code, code.w, nest, bounds
        self.along = vector_axis(nest, self.w.lanes)
        self.whole = self._fills_vectors()
        self.at: dict[Axis, Value] = dict(around)
        kind = self.w.real if self.along is None else self.w.vector
        self.like = Real(self.w, ir.Constant(kind, ir.Undefined))
        self.totals: dict[str, Value] = {}
        self.indices: dict[str, Value] = {}  # where the largest is so far
        for each in nest.statements:
            if each.kind in _START:
                with self.w.goto_entry_block():
                    self.totals[each.name] = self.w.alloca(kind)
                    if each.kind == "where":
                        self.indices[each.name] = self.w.alloca(_whole_like(kind))

    def write(self) -> None:
        self._over(self.nest.axes, self._turns)

    def _over(self, axes: Axes, inside: Callable[[Value | None], None]) -> None:
        """Loops over some axes; vectors come last, but blocks of samples first."""
        order = [axis for axis in axes if axis != self.along]
        if self.along is not None and self.along in axes:
            order.insert(0 if self.nest.blocked else len(order), self.along)
        self._loops(order, None, inside)

    def _loops(
        self, axes: Sequence[Axis], count: Value | None, inside: Callable[[Value | None], None]
    ) -> None:
        if not axes:
            inside(count)
            return
        axis, *rest = axes
        if axis == self.along:
            self._in_vectors(lambda lanes: self._loops(rest, lanes, inside))
            return
        with self.w.loop(*self._ends(axis), 1) as self.at[axis]:
            self._loops(rest, count, inside)

    def _turns(self, count: Value | None) -> None:
        """All turns that sum into one entry, or, in vectors, into so many of them."""
        for name, total in self.totals.items():
            start = _START[next(s.kind for s in self.nest.statements if s.name == name)]
            self.w.store(self.like.like(start).value, total)
        for place in self.indices.values():
            self.w.store(ir.Constant(place.type.pointee, None), place)
        self._over(self.nest.summed, lambda lanes: self._turn(lanes if count is None else count))
        for statement in self.nest.statements:
            if statement.kind in _START:
                self._finish(statement, count)

    def _ends(self, axis: Axis) -> tuple[Value, Value]:
        if axis in self.bounds:
            return self.bounds[axis]
        return whole(0), self.code.entries.length(axis)

    def _in_vectors(self, turn: Callable[[Value | None], None]) -> None:
        """A turn for each vector along the axis, the last one with only some of its lanes."""
        w, lanes, axis = self.w, self.w.lanes, self.along
        assert axis is not None
        begin, end = self._ends(axis)
        if self.whole:
            with w.loop(begin, end, lanes) as at:
                self.at[axis] = at
                turn(w.sub(end, at))
            return
        size = axis.size if axis not in self.bounds else None
        if size is not None:
            full, rest = whole(size // lanes * lanes), size % lanes
            if size >= lanes:
                with w.loop(begin, full, lanes) as at:
                    self.at[axis] = at
                    turn(None)
            if rest:
                self.at[axis] = full
                turn(whole(rest))
            return
        full = w.add(begin, w.and_(w.sub(end, begin), whole(-lanes)))
        with w.loop(begin, full, lanes) as at:
            self.at[axis] = at
            turn(None)
        with w.if_then(w.icmp_signed("<", full, end)):
            self.at[axis] = full
            turn(w.sub(end, full))

    def _fills_vectors(self) -> bool:
        """Is there room for whole vectors of samples wherever one is read or written?"""
        batch, entries = self.along, self.code.entries
        if batch is None or not self.nest.blocked:
            return False
        touched = {*self.nest.reads, *self.nest.writes}
        return all(
            (place.each or entries.padded) and not place.looked and place.array not in entries.whole
            for place in touched
            if place.stride(batch)
        )

    def _turn(self, count: Value | None) -> None:
        """All statements once, in so many lanes, or in all of them."""
        entries, known, made = (
            self.code.entries,
            dict[Spot, Real](),
            list[tuple[Spot, Real]](),
        )
        there = None if self.whole else count

        def read(place: Spot) -> Real:
            if place not in known:
                known[place] = entries.read(place, self.at, self.along, there)
            return known[place]

        for statement in self.nest.statements:
            leaves = {sym: read(place) for sym, place in statement.reads}
            found = self.code.expressions.written(statement.expr, leaves, self.like)
            if statement.kind in _START:
                self._collect(statement, found, count)
                continue
            if statement.kind == "add":
                found = read(statement.into) + found
            known[statement.into] = found
            if statement.name not in self.code.local:
                made.append((statement.into, found))
        for place, value in made:
            entries.write(place, value, self.at, self.along, there)

    def _collect(self, statement: Statement, found: Real, count: Value | None) -> None:
        w, place = self.w, self.totals[statement.name]
        total = Real(w, w.load(place))
        if statement.kind == "where":
            self._look(statement, found, total)
            return
        if statement.kind == "sum":
            new = total + found
        else:
            new = (found > total).choose(found, found.or_nan(total))
        if count is not None and self.along in self.nest.summed:
            new = Real(w, w.select(w.lanes_below(count), new.value, total.value))
        w.store(new.value, place)

    def _look(self, statement: Statement, found: Real, best: Real) -> None:
        """Is this entry larger than all before?"""
        w, place = self.w, self.indices[statement.name]
        (axis,) = self.nest.summed
        number = self.at[axis] if self.along is None else w.splat(self.at[axis])
        larger = (found > best).value
        w.store(w.select(larger, number, w.load(place)), place)
        w.store(w.select(larger, found.value, best.value), self.totals[statement.name])

    def _finish(self, statement: Statement, count: Value | None) -> None:
        w = self.w
        total = w.load(self.indices.get(statement.name, self.totals[statement.name]))
        if self.along in self.nest.summed:
            total = w.all_lanes(total, statement.kind)
            self.code.entries.write(statement.into, Real(w, total), self.at, None, None)
            return
        there = None if self.whole else count
        self.code.entries.write(statement.into, Real(w, total), self.at, self.along, there)


def vector_axis(nest: Nest, lanes: int) -> Axis | None:
    """The axis along which a nest goes in vectors; None where it is better done one by one.

    What lies side by side is worth a vector; what does not is put together number by number. Blocks
    of samples are vectors, and nothing else goes along them.
    """
    best, worth = None, 0.0
    if nest.blocked:
        batch = batch_of(nest.loops)
        return None if batch is None or _meet(nest, batch) else batch
    for axis in nest.loops:
        if _meet(nest, axis):
            continue
        filled = min(axis.size or lanes, lanes) / lanes
        score = 0.0
        for statement in nest.statements:
            step = statement.into.stride(axis)
            score += 2 if step == 1 else 0.5 if step == 0 else -2
            steps = [
                2 if place.looks(axis) else abs(place.stride(axis)) for _, place in statement.reads
            ]
            score += sum(1 if each == 1 else 0.5 if each == 0 else -2 for each in steps)
            score += 0.1 * len(getattr(statement.expr, "args", ()))
        score *= filled
        if score > worth:
            best, worth = axis, score
    return best


def _meet(nest: Nest, axis: Axis) -> bool:
    """Does more than one entry along an axis go to one place?"""
    return any(
        (each.kind == "add" and (each.into.stride(axis) == 0 or each.into.looks(axis)))
        or (each.kind == "where" and axis in nest.summed)
        for each in nest.statements
    )


def _whole_like(kind: ir.Type) -> ir.Type:
    """Whole numbers, as many as a type holds."""
    return ir.VectorType(WHOLE, kind.count) if isinstance(kind, ir.VectorType) else WHOLE
