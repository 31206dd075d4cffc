"""Products of many factors: two at a time in the cheapest order, slices and traces as views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import sympy as sp

from pullback.emit.expression.brackets import pairs
from pullback.emit.lookups import Hit, LookupSteps
from pullback.emit.record import Lazy, Record
from pullback.emit.stacks import Operands, StackSteps
from pullback.emit.values import Diagonal, Eye, Padded, Part, Product, Reduction, Value
from pullback.emit.windows import WindowSteps
from pullback.ir import Axes, Axis, Pattern, Slice, Stack
from pullback.ir.axis import union
from pullback.ir.normal.patterns import simplest
from pullback.ir.scalar.function import divisor

Kind = Literal["sum", "max", "logsumexp"]


class ProductSteps:
    """Writes the steps of products into a record."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.windows = WindowSteps(record, self)
        self.lookups = LookupSteps(record, self)
        self.stacks = StackSteps(record, self._of)

    def __call__(
        self,
        factors: Sequence[Lazy],
        patterns: Sequence[Pattern],
        over: Axes,
        hits: Sequence[Hit] = (),
        stacks: Sequence[Stack] = (),
    ) -> Lazy:
        """The product of factors, patterns, one-hots and stacks, summed over all but ``over``."""
        if stacks:
            return self.stacks(Operands(factors, patterns, hits, stacks), over)
        windows = any(pattern.slice is None for pattern in patterns)
        if (hits or windows) and (last := [f for f in factors if {*f.axes} <= {*over}]):
            return self._times(last, factors, patterns, over, hits)
        if hits:
            return self.lookups(factors, patterns, over, hits)
        parts = [part for pattern in patterns for part in simplest(pattern)]
        numbers = [Lazy(sp.Integer(n), p.axes) for p in parts if (n := p.number) is not None]
        factors, parts = [*factors, *numbers], [part for part in parts if part.number is None]
        slices = [part.slice for part in parts]
        if None in slices:
            return self.windows(factors, parts, over)
        return self._sliced(factors, [part for part in slices if part is not None], over)

    def _of(self, given: Operands, over: Axes) -> Lazy:
        return self(given.arrays, given.patterns, over, given.hits, given.stacks)

    def _times(
        self,
        last: Sequence[Lazy],
        factors: Sequence[Lazy],
        patterns: Sequence[Pattern],
        over: Axes,
        hits: Sequence[Hit],
    ) -> Lazy:
        """Factors with no axis but the result's are multiplied when all else has been moved."""
        rest = [factor for factor in factors if factor not in last]
        carried = _axes(rest) | _axes(patterns) | _axes(hits)
        inner = self(rest, patterns, tuple(axis for axis in over if axis in carried), hits)
        return Lazy(sp.Mul(inner.expr, *(factor.expr for factor in last)), over)

    def _sliced(self, factors: Sequence[Lazy], picks: Sequence[Slice], over: Axes) -> Lazy:
        """The product of the factors and of rows of identities.

        No identity is multiplied: where its columns are summed over, the factors are sliced; where
        its rows are, the product is put among zeros. Only where the result has both axes is it an
        identity itself.
        """
        if not picks:
            return self._multiplied(factors, over)
        picks = [_turned(pick, over) for pick in picks]
        last = [p for p in picks if not any(p.column in q.axes for q in picks if q is not p)]
        if not last:
            return self._apart(factors, picks, over)
        pick, rest = last[0], [each for each in picks if each is not last[0]]
        row, column = pick.row, pick.column
        # one entry that nothing else meets needs no axis
        alone = row.size == 1 and row not in over and not any(row in q.axes for q in rest)
        alone = alone and not any(row in factor.axes for factor in factors)
        parts = [self._part(factor, pick, alone) for factor in factors]
        carried = _axes(parts) | _axes(rest)
        if column not in over:
            ones = [] if alone or row in carried else [Lazy(sp.Integer(1), (row,))]
            return self._sliced([*parts, *ones], rest, over)
        if row in over:
            without = tuple(axis for axis in over if axis != column)
            ones = [] if row in carried else [Lazy(sp.Integer(1), (row,))]
            inner = self._sliced([*parts, *ones], rest, without)
            return Lazy(inner.expr * self.identity(pick).expr, over)
        short = tuple(row if axis == column else axis for axis in over)
        inner = self._sliced(parts, rest, tuple(axis for axis in short if axis in carried))
        return self._padded(inner, pick, over)

    def identity(self, pick: Slice) -> Lazy:
        """The rows of an identity as an array."""
        bounds = dict(start=pick.start, stop=pick.stop)
        return self.record.of(self.record.step(Eye, pick.axes, {}, {}, "eye", **bounds))

    def reduced(self, kind: Kind, lazy: Lazy, axes: Axes) -> Lazy:
        """A sum, a maximum or a log-sum-exp over the axes that are not in ``axes``."""
        arg = self.record.any_order(lazy)
        kept = tuple(axis for axis in arg.axes if axis in axes)
        return self.record.of(self.record.step(Reduction, kept, {"arg": arg}, kind=kind))

    def _apart(self, factors: Sequence[Lazy], picks: Sequence[Slice], over: Axes) -> Lazy:
        """Two identities over one axis: what has the rows of the first is multiplied first."""
        pick, rest = picks[0], picks[1:]
        its = [f for f in factors if pick.row in f.axes and pick.column not in f.axes]
        others = [f for f in factors if f not in its]
        outside = {*over} | _axes(others) | _axes(rest)
        every = union([*(factor.axes for factor in its), pick.axes])
        first = self._sliced(its, (pick,), tuple(axis for axis in every if axis in outside))
        return self._sliced([first, *others], rest, over)

    def _part(self, factor: Lazy, pick: Slice, alone: bool) -> Lazy:
        """A factor sliced along a column axis, which is then the row axis, or gone if ``alone``."""
        row, column = pick.row, pick.column
        if column not in factor.axes:
            return factor
        sliced = {
            placeholder: self.record.of(self._view(value, pick, alone)).expr
            for placeholder, value in self.record.values(factor)
            if column in value.axes
        }
        axes = tuple(row if axis == column else axis for axis in factor.axes)
        kept = tuple(dict.fromkeys(axis for axis in axes if not (alone and axis == row)))
        return Lazy(factor.expr.xreplace(sliced), kept)

    def _view(self, value: Value, pick: Slice, alone: bool) -> Value:
        row, column = pick.row, pick.column
        step, given = self.record.step, {"arg": value}
        second = Axis(f"{row.name}={column.name}", row.size) if row in value.axes else row
        if second != row:
            self.record.program.as_long_as.setdefault(second, row)
        axes = tuple(second if axis == column else axis for axis in value.axes)
        if not pick.is_whole:
            kept = tuple(axis for axis in axes if not (alone and axis == row))
            bounds = dict(start=pick.start, stop=pick.stop)
            value = step(Part, kept, given, {"axis": column}, **bounds)
        else:
            value = replace(value, axes=axes)
        if second == row:
            return value
        axes = (*(axis for axis in value.axes if axis not in (row, second)), row)
        return step(Diagonal, axes, {"arg": value}, {"first": row, "second": second})

    def _padded(self, inner: Lazy, pick: Slice, over: Axes) -> Lazy:
        """The product among zeros."""
        row, column = pick.row, pick.column
        have = tuple(row if axis == column else axis for axis in over)
        arg = self.record.array(inner, tuple(axis for axis in have if axis in inner.axes))
        places, bounds = {"inner": row, "axis": column}, dict(start=pick.start, stop=pick.stop)
        return self.record.of(self.record.step(Padded, over, {"arg": arg}, places, **bounds))

    def _multiplied(self, factors: Sequence[Lazy], over: Axes) -> Lazy:
        carried = {axis for factor in factors if factor.expr.free_symbols for axis in factor.axes}
        ones = {a for f in factors if f.expr.is_number for a in f.axes if a not in carried}
        scalars = [f.expr for f in factors if not f.axes or f.expr.is_number]
        # Σ 1 over an axis that nothing else carries is its length
        scalars += [self._size(axis) for axis in sorted(ones) if axis not in over]
        arrays = [f for f in factors if f.axes and not f.expr.is_number]
        result = self._chain(arrays, over) if arrays else Lazy(sp.Integer(1), ())
        return Lazy(sp.Mul(result.expr, *scalars), over)

    def _size(self, axis: Axis) -> Any:
        if axis.size is not None:
            return sp.Integer(axis.size)
        return self.record.of(self.record.program.length(axis)).expr

    def _chain(self, factors: list[Lazy], over: Axes) -> Lazy:
        """The product of the factors, two at a time in the cheapest order."""
        alone = [self._sum_alone(at, factors, over) for at in range(len(factors))]
        work: list[Lazy | None] = list(alone)
        for left, right in pairs([f.axes for f in alone], over):
            a, b = work[left], work[right]
            assert a is not None
            assert b is not None
            rest = [f for i, f in enumerate(work) if f is not None and i not in (left, right)]
            needed = set(over) | {axis for f in rest for axis in f.axes}
            work[left], work[right] = None, None
            work.append(self._pair(a, b, needed, over, last=not rest))
        (result,) = (f for f in work if f is not None)
        return result

    def _sum_alone(self, at: int, factors: list[Lazy], over: Axes) -> Lazy:
        """Sum the axes that one factor alone carries before it is multiplied."""
        factor, rest = factors[at], factors[:at] + factors[at + 1 :]
        needed = {*over, *(axis for each in rest for axis in each.axes)}
        if needed >= set(factor.axes):
            return factor
        return self.reduced("sum", factor, tuple(a for a in factor.axes if a in needed))

    def _pair(self, a: Lazy, b: Lazy, needed: set[Axis], over: Axes, last: bool) -> Lazy:
        every = union([a.axes, b.axes])
        kept = tuple(axis for axis in every if axis in needed)
        if len(kept) == len(every):
            return Lazy(sp.Mul(a.expr, b.expr), over if last else every)
        if (divisor(a.expr) or divisor(b.expr)) and len(every) == max(len(a.axes), len(b.axes)):
            # 1/b alone may be infinite where a/b is not
            return self.reduced("sum", Lazy(sp.Mul(a.expr, b.expr), every), kept)
        left, right = self.record.any_order(a), self.record.any_order(b)
        axes = tuple(x for x in over if x in kept) + tuple(x for x in kept if x not in over)
        if not last and len(axes) > 2:
            axes = _as_matrices(a.axes, b.axes, axes)
        return self.record.of(self.record.step(Product, axes, {"left": left, "right": right}))


def _axes(factors: Sequence[Lazy | Slice | Pattern | Hit]) -> set[Axis]:
    return {axis for factor in factors for axis in factor.axes}


def _turned(pick: Slice, over: Axes) -> Slice:
    """A whole identity with the axis that is summed over as its column."""
    if pick.is_whole and pick.column in over and pick.row not in over:
        return Slice(pick.column, pick.row)
    return pick


def _as_matrices(left: Axes, right: Axes, wanted: Axes) -> Axes:
    """The axes of a product of matrices, one for each index that both have: rows before columns."""
    both = tuple(axis for axis in wanted if axis in left and axis in right)
    first, second = (
        tuple(a for a in side if a in wanted and a not in both) for side in (left, right)
    )
    apart = [axis for axis in wanted if axis not in both]
    if apart and apart[0] in second:
        first, second = second, first
    return both + first + second
