"""Products with one-hots of an index: arrays are read at its places, or added up there.

No one-hot is multiplied. Only where the result has all its axes is it an array itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import sympy as sp

from pullback.emit.record import Lazy, Record
from pullback.emit.values import Gather, Hits, Scatter, Value
from pullback.ir import Axes, Axis, Pattern


@dataclass(frozen=True)
class Hit:
    """A one-hot as a factor: which array holds the places, and along which axis they are."""

    index: Value
    axis: Axis

    @property
    def axes(self) -> Axes:
        return (*self.index.axes, self.axis)


Multiply = Callable[[Sequence[Lazy], Sequence[Pattern], Axes, Sequence[Hit]], Lazy]


class LookupSteps:
    """Writes the steps of such products into a record; ``multiply`` is for what is left of them."""

    def __init__(self, record: Record, multiply: Multiply) -> None:
        self.record, self.multiply = record, multiply

    def __call__(
        self, factors: Sequence[Lazy], patterns: Sequence[Pattern], over: Axes, hits: Sequence[Hit]
    ) -> Lazy:
        """The product of all factors, summed over all axes but ``over``."""
        hit, *others = hits
        axis, index = hit.axis, hit.index
        if set(hit.axes) <= set(over):
            carried = _axes(factors, patterns, others)
            inner = self.multiply(factors, patterns, _only(over, carried), others)
            return Lazy(inner.expr * self.indicator(hit).expr, over)
        tied = [pattern for pattern in patterns if axis in pattern.axes]
        if any(pattern.slice is None for pattern in tied):  # taps of windows are few
            return self.multiply([*factors, self.indicator(hit)], patterns, over, others)
        if tied or any(axis in other.axes for other in others):
            return self._apart(factors, patterns, over, hits)
        parts = [self._gathered(factor, hit) for factor in factors]
        bare = [a for a in index.axes if a not in _axes(parts, patterns, others)]
        parts += [Lazy(sp.Integer(1), tuple(bare))] if bare else []
        if axis not in over:
            return self.multiply(parts, patterns, over, others)
        rest = _only((a for a in over if a not in hit.axes), _axes(parts, patterns, others))
        inner = self.multiply(parts, patterns, (*index.axes, *rest), others)
        arg = self.record.array(inner, (*index.axes, *rest))
        out = (*_only(index.axes, set(over)), axis, *rest)
        operands = {"index": index, "arg": arg}
        return Lazy(self.record.of(self._step(Scatter, out, operands, axis)).expr, over)

    def indicator(self, hit: Hit) -> Lazy:
        """The one-hot as an array."""
        return self.record.of(self._step(Hits, hit.axes, {"index": hit.index}, hit.axis))

    def _apart(
        self, factors: Sequence[Lazy], patterns: Sequence[Pattern], over: Axes, hits: Sequence[Hit]
    ) -> Lazy:
        """Not arrays alone along the axis: they are multiplied first, or the patterns last."""
        hit, *others = hits
        axis = hit.axis
        tied = [pattern for pattern in patterns if axis in pattern.axes]
        free = [pattern for pattern in patterns if pattern not in tied]
        same = [other for other in others if axis in other.axes]
        apart = [other for other in others if other not in same]
        inside = [factor for factor in factors if axis in factor.axes]
        outside = [factor for factor in factors if factor not in inside]
        if inside or same:
            needed = {*over, *hit.axes} | _axes(outside, free, apart)
            first = self._product(inside, tied, needed, same)
            return self((first, *outside), free, over, (hit, *apart))
        first = self._product(factors, free, {*over} | _axes(tied), hits)
        return self.multiply([first], tied, over, ())

    def _product(
        self,
        factors: Sequence[Lazy],
        patterns: Sequence[Pattern],
        needed: set[Axis],
        hits: Sequence[Hit],
    ) -> Lazy:
        over = _only(sorted(_axes(factors, patterns, hits)), needed)
        return self.multiply(factors, patterns, over, hits)

    def _gathered(self, factor: Lazy, hit: Hit) -> Lazy:
        """A factor at the places of an index; it then has the axes of the index."""
        if hit.axis not in factor.axes:
            return factor
        read = {
            placeholder: self.record.of(self._at(value, hit)).expr
            for placeholder, value in self.record.values(factor)
            if hit.axis in value.axes
        }
        kept = (axis for axis in factor.axes if axis != hit.axis)
        own = hit.index.axes if read else ()
        return Lazy(factor.expr.xreplace(read), tuple(dict.fromkeys((*own, *kept))))

    def _at(self, value: Value, hit: Hit) -> Value:
        index, axis = hit.index, hit.axis
        if any(a in value.axes for a in index.axes):
            rest = (a for a in value.axes if a not in hit.axes)
            out: Axes = (*index.axes, *rest)
        else:
            at = value.axes.index(axis)
            out = (*value.axes[:at], *index.axes, *value.axes[at + 1 :])
        return self._step(Gather, out, {"index": index, "arg": value}, axis)

    def _step(
        self,
        kind: type[Gather | Scatter | Hits],
        out: Axes,
        operands: dict[str, Value],
        axis: Axis,
    ) -> Value:
        return self.record.step(kind, out, operands, {"axis": axis})


def _axes(*groups: Sequence[Lazy | Pattern | Hit]) -> set[Axis]:
    return {axis for group in groups for each in group for axis in each.axes}


def _only(axes: Iterable[Axis], kept: set[Axis]) -> Axes:
    return tuple(axis for axis in axes if axis in kept)
