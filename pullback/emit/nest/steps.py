"""A program's steps as units: each entry of the result from the entries that it takes.

What a pattern says is arithmetic of indices here: a window is read where it lies, zeros around an
array are a range outside of which nothing is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import singledispatchmethod

import sympy as sp

from pullback.emit.kernels import Convolved, MaxPoolBackStep, MaxPoolStep, SumPoolStep
from pullback.emit.nest.held import holding
from pullback.emit.nest.language import (
    Kind,
    Multiply,
    Nest,
    Repeat,
    Statement,
    Unit,
    Windowed,
    batch_of,
    flat,
)
from pullback.emit.nest.layout import ArrayLayout, Spot, Viewed
from pullback.emit.nest.order import fused, in_order
from pullback.emit.nest.refusal import refusal
from pullback.emit.nest.turns import renewing
from pullback.emit.nest.windows import convolution, pool
from pullback.emit.target.indices import is_reshape
from pullback.emit.values import (
    ElementwiseStep,
    Eye,
    Folded,
    Gather,
    Hits,
    LoopStep,
    Mask,
    Padded,
    Places,
    Product,
    ProgramStep,
    Reduction,
    Scatter,
    Value,
    View,
)
from pullback.ir import Axes, Axis, Index, symbol
from pullback.ir.pattern import Range
from pullback.machine.window.geometry import Kind as WindowKind

_X, _Y = symbol(0), symbol(1)
_ONCE = Axis("once", 1)  # what is done for each of its indices, one worker does
_WINDOWED = (Convolved, MaxPoolStep, MaxPoolBackStep, SumPoolStep)


def units_of(
    steps: Iterable[ProgramStep], layout: ArrayLayout, in_blocks: bool = False
) -> list[Unit]:
    """The units of a program, in its order, a step or less each; views are only looked at.

    Where there are kernels over windows, what has its samples last lies in blocks; ``in_blocks``
    all samples lie so. Raises NotApplicableError for a step that is none of loops and products.
    """
    steps = list(steps)
    maker = _Maker(layout, any(isinstance(step, _WINDOWED) for step in steps), in_blocks)
    for step in steps:
        maker.add(step)
    return maker.units


def in_blocks(value: Value, layout: ArrayLayout) -> Nest:
    """A copy of a value whose samples lie in blocks; it is what the others read from now on."""
    copy = replace(value, name=f"{value.name} in blocks", source="work")
    layout.declare((copy,), blocked=True)
    made = Statement(copy.name, layout.of(copy), _X, ((_X, layout.of(value)),))
    layout.see(value, copy)
    return Nest(value.axes, (), [made])


class _Maker:
    def __init__(self, layout: ArrayLayout, windows: bool = False, in_blocks: bool = False) -> None:
        self.layout, self.windows, self.in_blocks = layout, windows, in_blocks
        self.units: list[Unit] = []

    def add(self, step: ProgramStep) -> None:
        if isinstance(step, View):
            self.layout.look(step)
            return
        self.layout.declare(step.outs, self._blocked(step))
        self._make(step)

    def _blocked(self, step: ProgramStep) -> bool:
        """Do the samples of what a step makes lie in blocks? Matrices have a row for each."""
        if self.in_blocks:
            return batch_of(step.out.axes) is not None
        axes, matrix = step.out.axes, isinstance(step, Product) and _is_matrix(step)
        matrix = matrix or (isinstance(step, Folded) and _only_turned(step))
        return self.windows and len(axes) > 1 and axes[-1].size is None and not matrix

    @singledispatchmethod
    def _make(self, step: ProgramStep) -> None:
        raise refusal(f"it has {type(step).__name__}")

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
        if _is_matrix(step):
            how = self._read if self.in_blocks else self._in_rows
            one, other, into = how(left), how(right), self.layout.of(out)
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
        self.layout.declare((top, total), self._blocked(step))
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
        if _only_turned(step):
            made = Statement(step.out.name, self.layout.place(out), _X, ((_X, arg),))
            self.units.append(Nest(_samples_first(step.arg.axes), (), [made]))
            return
        self._each(step.out, sp.Integer(0), ())
        self._add(step.out, self.layout.place(out), step.arg)

    @_make.register
    def _(self, step: Convolved) -> None:
        values, order = (step.left, step.right, step.out), step.form.order
        x, weight, y = (values[at] for at in order)
        given = self._in_blocks(x), self._read(weight), self._in_blocks(y)
        bias = None if step.bias is None else self._read(step.bias)
        made = convolution(step.out.name, step.form, given, bias, self.layout.lanes)
        self.units.append(made)

    @_make.register
    def _(self, step: MaxPoolStep) -> None:
        given = self._in_blocks(step.arg), self._in_blocks(step.out)
        self._pool(step, "max_pool", given)

    @_make.register
    def _(self, step: MaxPoolBackStep) -> None:
        x, delta, dx = (self._in_blocks(value) for value in (step.arg, step.delta, step.out))
        if x.strides != dx.strides:
            raise refusal(f"{step.arg.name} and its cotangent lie apart")
        self._pool(step, "max_pool_back", (x, delta, dx))

    @_make.register
    def _(self, step: SumPoolStep) -> None:
        arg, out = self._in_blocks(step.arg), self._in_blocks(step.out)
        if step.back:
            self._pool(step, "sum_pool_back", (out, arg, out))
        else:
            self._pool(step, "sum_pool", (arg, out))

    def _pool(
        self, step: MaxPoolStep | MaxPoolBackStep | SumPoolStep, kernel: WindowKind,
        given: tuple[Spot, ...],
    ) -> None:  # fmt: skip
        self.units.append(pool(step.out.name, kernel, step.form, given, self.layout.lanes))

    def _in_rows(self, value: Value) -> Spot:
        """Where a value lies sample after sample, as a product of matrices reads it."""
        place = self.layout.of(value)
        return self._copied(value, "in rows") if place.each else place

    def _in_blocks(self, value: Value) -> Spot:
        """Where a value lies in blocks of samples, as kernels over windows read it."""
        place = self.layout.of(value)
        return place if place.each and not place.within else self._copied(value, "in blocks")

    def _read(self, value: Value) -> Spot:
        """Where a value lies, all of it."""
        place = self.layout.of(value)
        return self._copied(value, "as a whole") if place.within else place

    def _copied(self, value: Value, how: str) -> Spot:
        """A copy that lies in another way, of which there is one."""
        copy = replace(value, name=f"{value.name} {how}", source="work")
        if copy.name not in self.layout.arrays:
            samples = self.in_blocks and batch_of(value.axes) is not None
            self.layout.declare((copy,), samples or how == "in blocks")
            self._each(copy, _X, ((_X, value),))
        return self.layout.of(copy)

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
        following = [self._copy(now, after) for now, _, after in step.states]
        body = renewing(body, following)
        held = {now.name for now in states}
        units = tuple(unit for unit in flat(body) if not isinstance(unit, Windowed))
        alone = len(units) == len(body)
        alone = alone and all(batch_of(unit.axes) for unit in units)
        if not alone or any(after.name in held for _, _, after in step.states):
            raise refusal("a turn of a recurrence does more than samples one by one")
        batch = next(axis for unit in units for axis in unit.axes if axis.size is None)
        self.units += holding(Repeat(step.over, step.backward, units, batch), self.layout)

    def _copy(self, out: Value, arg: Value) -> Nest:
        made = Statement(out.name, self.layout.of(out), _X, ((_X, self.layout.of(arg)),))
        return Nest(out.axes, (), [made])

    def _add(self, out: Value, into: Spot, arg: Value) -> None:
        """Entries added at places; workers share what no two places have in common.

        Where that is nothing, one of them adds them all.
        """
        kept = _samples_first(tuple(axis for axis in arg.axes if axis in out.axes)) or (_ONCE,)
        rest = tuple(axis for axis in arg.axes if axis not in kept)
        made = Statement(out.name, into, _X, ((_X, self.layout.of(arg)),), "add")
        self.units.append(Nest(kept, rest, [made]))

    def _where(self, out: Value, ranges: tuple[Range, ...]) -> None:
        """1 inside of all ranges, else 0."""
        one = Spot("", (), 0, tuple(each for each in ranges if not each.always))
        made = Statement(out.name, self.layout.of(out), _X, ((_X, one),))
        self.units.append(Nest(out.axes, (), [made]))


def _is_matrix(step: Product) -> bool:
    """Is it a product of matrices? Both factors have an axis of their own, and some are summed."""
    left, right, kept = ({*value.axes} for value in (step.left, step.right, step.out))
    return all(((left - right) & kept, (right - left) & kept, (left | right) - kept))


def _only_turned(step: Folded) -> bool:
    """Has each entry a place of its own?"""
    apart = not any(axis in step.out.axes for axis in step.index.axes)
    return apart and is_reshape(step.index, step.axis)


def _samples_first(axes: Axes) -> Axes:
    return tuple(sorted(axes, key=lambda axis: axis.size is not None))
