"""Products with patterns that are no slices: windows, strides, axes put together and apart.

One axis of the pattern is given by the others. Where it is summed, what carries it is read at the
places that the others say; where the result has it, the product is added up at those places.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import sympy as sp

from pullback.emit.correlation import ConvolvedForm, correlation, is_window, present
from pullback.emit.kernels import Convolved, SumPoolStep
from pullback.emit.pools import sums
from pullback.emit.record import Lazy, Record
from pullback.emit.values import (
    Folded,
    Mask,
    Padded,
    Part,
    Unfolded,
    Value,
)
from pullback.ir import Axes, Axis, Index, Pattern
from pullback.ir.axis import union

Multiplied = Callable[[Sequence[Lazy], Sequence[Pattern], Axes], Lazy]


class WindowSteps:
    """Writes the steps of such products; ``multiplied`` does what is left without the window."""

    def __init__(self, record: Record, multiplied: Multiplied) -> None:
        self.record, self.multiplied = record, multiplied

    def __call__(self, factors: Sequence[Lazy], patterns: Sequence[Pattern], over: Axes) -> Lazy:
        """The product of the factors and of patterns, not all slices, summed over all but ``over``.

        One window after the other goes: first one with an axis that the factors know.
        """
        if (pooled := self._pooled(factors, patterns, over)) is not None:
            return pooled
        last = self._last(factors, patterns, over)
        if len(last) == len(patterns):
            bare = [self._without_ones(factor, patterns, over) for factor in factors]
            for left, right in (factors, bare):
                form = correlation((left.axes, right.axes), patterns, over)
                if form is not None:
                    return self._convolved((left, right), form)
            last = []
        factors, patterns = self._with_room(factors, patterns, over, last)
        given = {p: _given(p, factors, over) for p in patterns if p.slice is None and p not in last}
        if not given:  # with the zeros the last of them has become a slice
            return self.multiplied(factors, patterns, over)
        window = next((p for p, axis in given.items() if axis is not None), next(iter(given)))
        rest, axis = [p for p in patterns if p is not window], given[window]
        index = None if axis is None else window.solved(axis)
        if axis is None or index is None:
            mask = self.record.step(Mask, window.axes, {}, pattern=window)
            return self.multiplied([*factors, self.record.of(mask)], rest, over)
        index = replace(index, terms=tuple(sorted(index.terms, key=lambda term: -abs(term[1]))))
        if axis in over:
            return self._placed(factors, rest, axis, index, over)
        read = [self._read(f, axis, index) if axis in f.axes else f for f in factors]
        moved = [p.where(axis, index) if axis in p.axes else p for p in rest]
        return self.multiplied(read, moved, over)

    def _last(
        self, factors: Sequence[Lazy], patterns: Sequence[Pattern], over: Axes
    ) -> Sequence[Pattern]:
        """The windows that may be left for a convolution; axes are put apart before."""
        if not self.record.direct or len(factors) != 2:
            return []
        if any(pattern.slice is not None for pattern in patterns):
            return []
        shapes = [factor.axes for factor in factors]
        return [pattern for pattern in patterns if is_window(pattern, shapes, over)]

    def _pooled(
        self, factors: Sequence[Lazy], patterns: Sequence[Pattern], over: Axes
    ) -> Lazy | None:
        """The sums of windows of one array, or what carries their cotangents back, as one step."""
        carried = union([factor.axes for factor in factors])
        for back in (False, True) if self.record.direct else ():
            if (form := sums(carried, patterns, over, back)) is None:
                continue
            read, made = (form.places, form.positions)[:: -1 if back else 1]
            arg = Lazy(sp.Mul(*(factor.expr for factor in factors)), carried)
            given = {"arg": self.record.ending(arg, present(read))}
            options = dict(form=form, back=back)
            return self.record.of(self.record.step(SumPoolStep, present(made), given, **options))
        return None

    def _without_ones(self, factor: Lazy, patterns: Sequence[Pattern], over: Axes) -> Lazy:
        """A factor without axes of one entry that nothing else says anything about."""
        kept = {*over, *(axis for pattern in patterns for axis in pattern.axes)}
        for axis in (each for each in factor.axes if each.size == 1 and each not in kept):
            first = {
                placeholder: self.record.of(self._first(value, axis)).expr
                for placeholder, value in self.record.values(factor)
                if axis in value.axes
            }
            left = tuple(each for each in factor.axes if each != axis)
            factor = Lazy(factor.expr.xreplace(first), left)
        return factor

    def _first(self, value: Value, axis: Axis) -> Value:
        left = tuple(each for each in value.axes if each != axis)
        return self.record.step(Part, left, {"arg": value}, {"axis": axis}, start=0, stop=1)

    def _convolved(self, factors: Sequence[Lazy], form: ConvolvedForm) -> Lazy:
        """The step of a convolution; the samples of x and y lie side by side."""
        arrays = (form.x, form.weight, form.y)
        wanted = dict(zip(form.order, arrays, strict=True))
        left, right = (
            self.record.any_order(factor)
            if wanted[at] is form.weight
            else self.record.ending(factor, present(wanted[at]))
            for at, factor in enumerate(factors)
        )
        out = present(wanted[2])
        operands = {"left": left, "right": right}
        return self.record.of(self.record.step(Convolved, out, operands, form=form))

    def _with_room(
        self,
        factors: Sequence[Lazy],
        patterns: Sequence[Pattern],
        over: Axes,
        last: Sequence[Pattern],
    ) -> tuple[Sequence[Lazy], Sequence[Pattern]]:
        """The same with zeros around what is read outside of its axis.

        They come first: read by windows there is more of it.
        """
        for pattern in patterns:
            if pattern.slice is not None or pattern in last:
                continue
            axis = _given(pattern, factors, over)
            index = None if axis is None else pattern.solved(axis)
            if axis is None or index is None or axis in over:
                continue
            before, after = _outside(index, axis)
            if before or after:  # a function of 0 need not be 0
                factors = [
                    self.record.of(self._padded(self.record.any_order(f), axis, before, after))
                    if axis in f.axes
                    else f
                    for f in factors
                ]
                moved = Index.on(_wider(axis, before, after)) - before
                patterns = [p.where(axis, moved) if axis in p.axes else p for p in patterns]
                return self._with_room(factors, patterns, over, last)
        return factors, patterns

    def _read(self, factor: Lazy, axis: Axis, index: Index) -> Lazy:
        """A factor at the places that an index gives."""
        seen = {
            placeholder: self.record.of(self._unfolded(value, axis, index)).expr
            for placeholder, value in self.record.values(factor)
            if axis in value.axes
        }
        others = tuple(each for each in factor.axes if each != axis)
        return Lazy(factor.expr.xreplace(seen), union([others, index.axes]))

    def _padded(self, value: Value, axis: Axis, before: int, after: int) -> Value:
        wide = _wider(axis, before, after)
        axes = tuple(wide if each == axis else each for each in value.axes)
        bounds = dict(start=before, stop=before + (axis.size or 0))
        places = {"inner": axis, "axis": wide}
        return self.record.step(Padded, axes, {"arg": value}, places, **bounds)

    def _unfolded(self, value: Value, axis: Axis, index: Index) -> Value:
        new = tuple(each for each in index.axes if each not in value.axes)
        if kept := tuple(each for each in index.axes if each in value.axes):
            others = (each for each in value.axes if each not in (axis, *kept))
            axes = (*others, *kept, *new)
        else:
            at = value.axes.index(axis)
            axes = (*value.axes[:at], *new, *value.axes[at + 1 :])
        return self.record.step(Unfolded, axes, {"arg": value}, {"axis": axis}, index=index)

    def _placed(
        self,
        factors: Sequence[Lazy],
        rest: Sequence[Pattern],
        axis: Axis,
        index: Index,
        over: Axes,
    ) -> Lazy:
        """The product without what has the axis, added up along it, then times what has it."""
        with_axis = [factor for factor in factors if axis in factor.axes]
        later = [pattern for pattern in rest if axis in pattern.axes]
        inner = [factor for factor in factors if axis not in factor.axes]
        sooner = [pattern for pattern in rest if axis not in pattern.axes]
        then = union([*(factor.axes for factor in with_axis), *(each.axes for each in later)])
        known = union([*(factor.axes for factor in inner), *(each.axes for each in sooner)])
        needed, carried = {*over, *then}, union([index.axes, known])
        lonely = tuple(a for a in index.axes if a not in known)
        ones = [Lazy(sp.Integer(1), lonely)] if lonely else []
        every = _as_multiplied(inner, [a for a in carried if a in needed or a in index.axes])
        arg = self.record.array(self.multiplied([*inner, *ones], sooner, every), every)
        left = [a for a in (*over, *then) if a == axis or (a in carried and a in needed)]
        if self.record.direct and (last := arg.axes[-1]).size is None and last in left:
            left = [*(each for each in left if each != last), last]  # as kernels have it
        placed = self.record.of(self._folded(arg, tuple(dict.fromkeys(left)), axis, index))
        return self.multiplied([placed, *with_axis], later, over)

    def _folded(self, arg: Value, axes: Axes, axis: Axis, index: Index) -> Value:
        before, after = _outside(index, axis)
        wide = _wider(axis, before, after)
        room = tuple(wide if each == axis else each for each in axes)
        found = self.record.step(Folded, room, {"arg": arg}, {"axis": wide}, index=index + before)
        if wide == axis:
            return found
        bounds = dict(start=before, stop=before + (axis.size or 0))
        return self.record.step(Part, axes, {"arg": found}, {"axis": wide}, **bounds)


def _as_multiplied(factors: Sequence[Lazy], axes: Sequence[Axis]) -> Axes:
    """Axes in the order of a factor that has all of them, or of a product of matrices for each
    sample, where those of the smaller factor come before those of the larger.
    """
    whole = [factor.axes for factor in factors if {*factor.axes} == {*axes}]
    order = [axis for axis in axes if axis.size is None]
    for factor in sorted(factors, key=lambda each: len({*each.axes} & {*order})):
        order += [axis for axis in factor.axes if axis in axes]
    return whole[0] if whole else tuple(dict.fromkeys([*order, *axes]))


def _outside(index: Index, axis: Axis) -> tuple[int, int]:
    """How many of the places that an index gives are before an axis, and how many behind it."""
    least, largest = index.bounds()
    return max(0, -least), max(0, largest + 1 - (axis.size or 0))


def _wider(axis: Axis, before: int, after: int) -> Axis:
    """The axis with room on both sides."""
    size = (axis.size or 0) + before + after
    return Axis(f"{axis.name}+{before}+{after}", size) if before or after else axis


def _given(window: Pattern, factors: Sequence[Lazy], over: Axes) -> Axis | None:
    """The longest axis that the others give: without it the least is left to multiply.

    None where the pattern itself is to be multiplied.
    """
    carried = {axis for factor in factors for axis in factor.axes}
    found = []
    for axis in window.axes:
        index = window.solved(axis)
        if index is None:
            continue
        inner = {a for factor in factors if axis not in factor.axes for a in factor.axes}
        if (axis in carried) if axis not in over else any(a in inner for a in index.axes):
            found.append(axis)
    return max(found, key=lambda axis: (axis.size or 0, axis not in over), default=None)
