"""A program's steps as units: each entry of the result from the entries that it takes.

What a pattern says is arithmetic of indices here: a window is read where it lies, zeros around an
array are a range outside of which nothing is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import singledispatchmethod

import sympy as sp

from pullback.emit.nest.language import (
    Kind,
    Multiply,
    Nest,
    Repeat,
    Statement,
    Unit,
    batch_of,
    flat,
)
from pullback.emit.nest.layout import ArrayLayout, Spot, Viewed
from pullback.emit.nest.order import fused, in_order
from pullback.emit.nest.refusal import refusal
from pullback.emit.target.indices import is_reshape
from pullback.emit.values import (
    Convolved,
    ElementwiseStep,
    Eye,
    Folded,
    Gather,
    Hits,
    LoopStep,
    Mask,
    MaxPoolStep,
    Padded,
    Places,
    Product,
    ProgramStep,
    Reduction,
    Scatter,
    Value,
    View,
)
from pullback.ir import Axes, Index, symbol
from pullback.ir.pattern import Range

_X, _Y = symbol(0), symbol(1)
_WORDS: Mapping[type, str] = {
    Convolved: "convolutions",
    MaxPoolStep: "pools",
}


def units_of(steps: Iterable[ProgramStep], layout: ArrayLayout) -> list[Unit]:
    """The units of a program, in its order, a step or less each; views are only looked at.

    Raises NotApplicableError for a step that is none of loops and products.
    """
    maker = _Maker(layout)
    for step in steps:
        maker.add(step)
    return maker.units


class _Maker:
    def __init__(self, layout: ArrayLayout) -> None:
        self.layout = layout
        self.units: list[Unit] = []

    def add(self, step: ProgramStep) -> None:
        if isinstance(step, View):
            self.layout.look(step)
            return
        self.layout.declare(step.outs)
        self._make(step)

    @singledispatchmethod
    def _make(self, step: ProgramStep) -> None:
        what = _WORDS.get(type(step), type(step).__name__)
        raise refusal(f"it has {what}")

    def _each(
        self,
        out: Value,
        expr: object,
        reads: Iterable[tuple[object, Value | Viewed]],
        summed: Axes = (),
        kind: Kind = "each",
    ) -> None:
        held = tuple((sym, self._place(value)) for sym, value in reads)
        made = Statement(out.name, self.layout.of(out), expr, held, kind)
        self.units.append(Nest(out.axes, summed, [made]))

    def _place(self, value: Value | Viewed) -> Spot:
        return self.layout.of(value) if isinstance(value, Value) else self.layout.place(value)

    @_make.register
    def _(self, step: ElementwiseStep) -> None:
        self._each(step.out, step.expr, step.leaves)

    @_make.register
    def _(self, step: Product) -> None:
        left, right, out = step.left, step.right, step.out
        every = tuple(dict.fromkeys(left.axes + right.axes))
        summed = tuple(axis for axis in every if axis not in out.axes)
        rows, columns = ([a for a in each.axes if a not in other.axes and a in out.axes]
                         for each, other in ((left, right), (right, left)))  # fmt: skip
        if rows and columns and summed:
            into, one, other = (self.layout.of(value) for value in (out, left, right))
            self.units.append(Multiply(out.name, into, one, other, out.axes, summed))
            return
        self._each(out, _X * _Y, ((_X, left), (_Y, right)), summed, "sum")

    @_make.register
    def _(self, step: Reduction) -> None:
        out, arg = step.out, step.arg
        summed = tuple(axis for axis in arg.axes if axis not in out.axes)
        if step.kind != "logsumexp":
            self._each(out, _X, ((_X, arg),), summed, step.kind)
            return
        # no identifier has a space, so these names are nobody else's
        top, total = (replace(out, name=f"{out.name} {part}") for part in ("top", "sum"))
        self.layout.declare((top, total))
        self._each(top, _X, ((_X, arg),), summed, "max")
        self._each(total, sp.exp(_X - _Y), ((_X, arg), (_Y, top)), summed, "sum")
        self._each(out, _X + sp.log(_Y), ((_X, top), (_Y, total)))

    @_make.register
    def _(self, step: Padded) -> None:
        size = step.axis.size
        if size is None:
            raise refusal(f"zeros stand along {step.axis}")
        there = range(size)[step.start : step.stop]
        place = Index.on(step.axis)
        seen = self.layout.seen(step.arg).where(step.inner, place - there.start)
        kept = Range(place, there.start, there.stop - 1)
        self._each(step.out, _X, ((_X, replace(seen, within=(*seen.within, kept))),))

    @_make.register
    def _(self, step: Folded) -> None:
        """Entries that meet are summed; where none do, each has a place of its own."""
        out = self.layout.seen(step.out).where(step.axis, step.index)
        arg = self.layout.of(step.arg)
        apart = not any(axis in step.out.axes for axis in step.index.axes)
        if apart and is_reshape(step.index, step.axis):
            made = Statement(step.out.name, self.layout.place(out), _X, ((_X, arg),))
            self.units.append(Nest(_samples_first(step.arg.axes), (), [made]))
            return
        self._each(step.out, sp.Integer(0), ())
        self._add(step.out, self.layout.place(out), step.arg)

    @_make.register
    def _(self, step: Mask) -> None:
        equal = tuple(Range(index, 0, 0) for index in step.pattern.equations)
        self._where(step.out, (*equal, *step.pattern.ranges))

    @_make.register
    def _(self, step: Eye) -> None:
        row, column = step.out.axes
        if column.size is None:
            raise refusal(f"an identity has the axis {column}")
        begin = range(column.size)[step.start : step.stop].start
        self._where(step.out, (Range(Index.on(column) - Index.on(row), begin, begin),))

    @_make.register
    def _(self, step: Places) -> None:
        self._each(step.out, _X, ((_X, step.arg),), (step.axis,), "where")

    @_make.register
    def _(self, step: Gather) -> None:
        place = self.layout.of(step.arg).at_index(step.axis, self.layout.of(step.index))
        made = Statement(step.out.name, self.layout.of(step.out), _X, ((_X, place),))
        self.units.append(Nest(step.out.axes, (), [made]))

    @_make.register
    def _(self, step: Scatter) -> None:
        self._each(step.out, sp.Integer(0), ())
        into = self.layout.of(step.out).at_index(step.axis, self.layout.of(step.index))
        self._add(step.out, into, step.arg)

    @_make.register
    def _(self, step: Hits) -> None:
        equal = Spot("", ((step.axis, 1),), 0, (), ((self.layout.of(step.index), -1),))
        made = Statement(step.out.name, self.layout.of(step.out), _X, ((_X, equal),))
        self.units.append(Nest(step.out.axes, (), [made]))

    @_make.register
    def _(self, step: LoopStep) -> None:
        """A state is copied to where a turn finds it, and so is the next one after each turn."""
        if step.over.size is None:
            raise refusal(f"it repeats something along {step.over}")
        states = [now for now, _, _ in step.states]
        self.layout.declare(replace(now, source="work") for now in states)
        for now, start, _ in step.states:
            self._each(now, _X, ((_X, start),))
        for now, whole in step.reads:
            self.layout.take(now, whole)
        turn = _Maker(self.layout)
        for each in step.turn.steps:
            turn.add(each)
        for out, made in zip(step.outs, step.made, strict=True):
            here = self.layout.place(self.layout.seen(replace(out, axes=(step.over, *made.axes))))
            copied = Statement(out.name, here, _X, ((_X, self.layout.of(made)),))
            turn.units.append(Nest(made.axes, (), [copied]))
        body = fused(in_order(turn.units, ""))
        following = _Maker(self.layout)
        for now, _, after in step.states:
            following._each(now, _X, ((_X, after),))
        held = {now.name for now in states}
        units = tuple(flat([*body, *following.units]))
        alone = all(batch_of(unit.axes) for unit in units)
        if not alone or any(after.name in held for _, _, after in step.states):
            raise refusal("a turn of a recurrence does more than samples one by one")
        batch = next(axis for unit in units for axis in unit.axes if axis.size is None)
        self.units.append(Repeat(step.over, step.backward, units, batch))

    def _add(self, out: Value, into: Spot, arg: Value) -> None:
        """Entries added at places; workers share what no two places have in common."""
        kept = _samples_first(tuple(axis for axis in arg.axes if axis in out.axes))
        rest = tuple(axis for axis in arg.axes if axis not in kept)
        made = Statement(out.name, into, _X, ((_X, self.layout.of(arg)),), "add")
        self.units.append(Nest(kept, rest, [made]))

    def _where(self, out: Value, ranges: tuple[Range, ...]) -> None:
        """1 inside of all ranges, else 0."""
        one = Spot("", (), 0, tuple(each for each in ranges if not each.always))
        made = Statement(out.name, self.layout.of(out), _X, ((_X, one),))
        self.units.append(Nest(out.axes, (), [made]))


def _samples_first(axes: Axes) -> Axes:
    return tuple(sorted(axes, key=lambda axis: axis.size is not None))
