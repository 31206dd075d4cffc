"""The steps of a program as operations of another library, each when it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatchmethod
from math import prod
from typing import Generic

import numpy as np

from pullback.emit.target.matrix import subscripts
from pullback.emit.values import (
    Detached,
    Diagonal,
    ElementwiseStep,
    Eye,
    Folded,
    Gather,
    Hits,
    Lowered,
    Mask,
    Padded,
    Part,
    Places,
    Product,
    ProgramStep,
    Reduction,
    Unfolded,
    Value,
)
from pullback.errors import ConversionError
from pullback.interop.backend import Backend, Length, V
from pullback.interop.places import counted, flat, inverse, is_in_order, mask, run
from pullback.ir import Axes, Axis, Index, Input, Parameter, Scalar, symbol
from pullback.ir.axis import show


class Steps(Generic[V]):
    """The values of one program; each has its dimensions in the order of its axes."""

    def __init__(
        self, backend: Backend[V], program: Lowered, leaves: Sequence[Input | Parameter]
    ) -> None:
        self.backend, self.program = backend, program
        self.place = "model"
        self._steps = {step.out.name: step for step in program.steps}
        held, known = {**program.inputs, **program.parameters}, {leaf.name: leaf for leaf in leaves}
        self._leaves = {held[name].name: leaf for name, leaf in known.items() if name in held}
        self._done: dict[str, V] = {}
        self._real: dict[str, V] = {}

    def give(self, value: Value, made: V) -> None:
        """Say what a value is that comes from outside the program."""
        self._done[value.name] = made

    def value(self, wanted: Value) -> V:
        """A value, and what it needs before it."""
        waiting = [wanted]
        while waiting:
            each = waiting[-1]
            step = self._steps.get(each.name)
            missing = [v for v in step.operands if self._is_missing(v)] if step else []
            if each.name in self._done or not missing:
                waiting.pop()
                if each.name not in self._done:
                    self._done[each.name] = self._leaf(each) if step is None else self.made(step)
            else:
                waiting += reversed(missing)
        return self._done[wanted.name]

    def _is_missing(self, value: Value) -> bool:
        return value.name not in self._done

    def _leaf(self, value: Value) -> V:
        leaf = self._leaves.get(value.name)
        if isinstance(leaf, Parameter):
            return self.backend.parameter(leaf)
        if leaf is not None:
            return self.backend.input(leaf)
        axis = next(axis for axis, size in self.program.sizes.items() if size == value)
        return self.backend.length(self.place, *self._holder(axis))

    def _holder(self, axis: Axis) -> tuple[V, int]:
        """A leaf that is as long along a dimension as an axis whose length only the data tell."""
        size = self.program.length(axis)
        known = next((each for each, value in self.program.sizes.items() if value == size), None)
        for leaf in self.program.inputs.values():
            if known in leaf.axes and leaf.name in self._leaves:
                return self.value(leaf), leaf.axes.index(known)
        raise ConversionError(
            f"{self.place!r} depends on the length of the axis {axis.name!r}, which only the data "
            "tell; it has no counterpart outside"
        )

    # ------------------------------------------------------------------ dimensions by axes

    def ordered(self, value: Value, order: Axes) -> V:
        """A value with its axes in this order."""
        return self.turned(self._number(value), value.axes, order)

    def turned(self, x: V, axes: Axes, order: Axes) -> V:
        """A value that has some axes, with them in another order."""
        places = [axes.index(axis) for axis in order]
        return x if places == sorted(places) else self.backend.turned(self.place, x, places)

    def _number(self, value: Value) -> V:
        """A value to calculate with."""
        made = self.value(value)
        if value.source != "whole":
            return made
        if value.name not in self._real:
            self._real[value.name] = self.backend.real(self.place, made)
        return self._real[value.name]

    def _aligned(self, value: Value, over: Axes) -> V:
        """A value with a dimension for each axis of ``over``, of length 1 where it has none."""
        have = tuple(axis for axis in over if axis in value.axes)
        x = self.ordered(value, have)
        new = [at for at, axis in enumerate(over) if axis not in have]
        return self.backend.widened(self.place, x, new) if new and have else x

    def _expanded(self, x: V, have: Axes, over: Axes) -> V:
        """The same along the axes of ``over`` that it has not: there it has length 1, or none."""
        if set(have) >= set(over):
            return x
        lengths: list[Length[V] | None] = [
            None if axis in have else axis.size if axis.size is not None else self._holder(axis)
            for axis in over
        ]
        return self.backend.expanded(self.place, x, lengths)

    def _reshaped(self, x: V, axes: Axes, last: int | None = None) -> V:
        """The value under the shape of some axes, and one more dimension."""
        lengths = [-1 if axis.size is None else axis.size for axis in axes]
        if lengths.count(-1) > 1:
            raise ConversionError(
                f"{self.place!r} has several axes whose length only the data tell, in {show(axes)}"
            )
        more = [] if last is None else [last]
        return self.backend.reshaped(self.place, x, [*lengths, *more])

    def _known(self, axis: Axis) -> int:
        if axis.size is None:
            raise ConversionError(
                f"{self.place!r} moves entries along the axis {axis.name!r}, whose length only the "
                "data tell; that has no counterpart outside"
            )
        return axis.size

    # ------------------------------------------------------------------ steps

    @singledispatchmethod
    def made(self, step: ProgramStep) -> V:
        """What a step computes, its dimensions in the order of the result's axes."""
        raise ConversionError(f"{type(step).__name__} in {self.place!r} has no counterpart outside")

    @made.register
    def _(self, step: ElementwiseStep) -> V:
        over = step.out.axes
        carried = tuple(
            axis for axis in over if any(axis in value.axes for _, value in step.leaves)
        )
        args = [self._aligned(value, over) for _, value in step.leaves]
        if not args:
            found = self.backend.number(self.place, float(step.expr))
        elif step.expr == step.leaves[0][0]:
            (found,) = args
        else:
            places = {sym: symbol(at) for at, (sym, _) in enumerate(step.leaves)}
            function = Scalar.of(step.expr.xreplace(places), len(args))
            found = self.backend.function(self.place, function, args)
        return self._expanded(found, carried, over)

    @made.register
    def _(self, step: Product) -> V:
        sides = (self._number(step.left), self._number(step.right))
        return self.backend.product(self.place, subscripts(step), *sides)

    @made.register
    def _(self, step: Reduction) -> V:
        arg, out = step.arg, step.out.axes
        gone = [at for at, axis in enumerate(arg.axes) if axis not in out]
        made = self.backend.reduced(self.place, step.kind, self._number(arg), gone)
        return self.turned(made, tuple(axis for axis in arg.axes if axis in out), out)

    @made.register
    def _(self, step: Part) -> V:
        x, at = self._number(step.arg), step.arg.axes.index(step.axis)
        if len(step.out.axes) < len(step.arg.axes):
            return self.backend.entry(self.place, x, at, step.start or 0)
        return self.backend.cut(self.place, x, at, slice(step.start, step.stop))

    @made.register
    def _(self, step: Padded) -> V:
        have = tuple(axis for axis in step.before if axis in step.arg.axes)
        x = self._expanded(self._aligned(step.arg, step.before), have, step.before)
        start, stop, size = step.start or 0, step.stop, step.axis.size
        if size is not None:
            inside = range(size)[start:stop]
            start, after = inside.start, size - inside.stop
        elif start < 0 or (stop or 0) > 0:
            self._known(step.axis)
        else:
            after = -(stop or 0)
        at = step.out.axes.index(step.axis) - len(step.out.axes)
        return self.backend.padded(self.place, x, at, start, after)

    @made.register
    def _(self, step: Eye) -> V:
        size = self._known(step.out.axes[1])
        return self.backend.constant(self.place, np.eye(size)[step.start : step.stop])

    @made.register
    def _(self, step: Mask) -> V:
        return self.backend.constant(self.place, mask(step.pattern).astype(float))

    @made.register
    def _(self, step: Diagonal) -> V:
        """Every (n + 1)-th entry of the two axes as one."""
        n, both = self._known(step.first), (step.first, step.second)
        others = tuple(axis for axis in step.arg.axes if axis not in both)
        x = self._reshaped(self.ordered(step.arg, (*others, *both)), others, n * n)
        return self.backend.cut(self.place, x, len(others), slice(None, None, n + 1))

    @made.register
    def _(self, step: Unfolded) -> V:
        arg, axis, index = step.arg, step.axis, step.index
        kept = tuple(each for each in index.axes if each in arg.axes)
        new = tuple(each for each in index.axes if each not in arg.axes)
        if not kept:
            return self._seen(self._number(arg), arg.axes.index(axis), index, step)
        others = tuple(each for each in arg.axes if each not in (axis, *kept))
        place, size = flat(index, axis, kept)
        x = self._reshaped(self.ordered(arg, (*others, *kept, axis)), others, size)
        return self.backend.taken(self.place, x, len(others), counted(place, (*kept, *new)))

    def _seen(self, x: V, dimension: int, index: Index, step: Unfolded) -> V:
        """One dimension at the places of an index on new axes: a slice, a shape, or read there."""
        at = counted(index, index.axes)
        if (part := run(at)) is None:
            return self.backend.taken(self.place, x, dimension, at)
        if not is_in_order(at, self._known(step.axis)):
            x = self.backend.cut(self.place, x, dimension, part)
        return x if len(index.axes) == 1 else self._reshaped(x, step.out.axes)

    @made.register
    def _(self, step: Folded) -> V:
        index, out = step.index, step.out.axes
        kept = tuple(each for each in index.axes if each in out)
        grid = (*kept, *(each for each in index.axes if each not in out))
        others = tuple(each for each in out if each not in (*kept, step.axis))
        place, size = flat(index, step.axis, kept)
        at = counted(place, grid)
        x = self.ordered(step.arg, (*others, *grid))
        if is_in_order(at, size):
            return self.turned(self._reshaped(x, (*others, *kept, step.axis)),
                               (*others, *kept, step.axis), out)  # fmt: skip
        row = self._reshaped(x, others, prod(at.shape))
        found = self._put(row, at.ravel(), size, len(others))
        if kept:
            found = self._reshaped(found, (*others, *kept, step.axis))
        return self.turned(found, (*others, *kept, step.axis), out)

    def _put(self, row: V, at: np.ndarray, size: int, dimension: int) -> V:
        """The entries of a row at their places among zeros: read from there where none meet."""
        origin = inverse(at, size)
        if origin is None:
            return self.backend.summed(self.place, row, dimension, at, size)
        if (origin == at.size).any():
            row = self.backend.padded(self.place, row, -1, 0, 1)
        return self.backend.taken(self.place, row, dimension, origin)

    # ------------------------------------------------------------------ places that arrays hold

    @made.register
    def _(self, step: Places) -> V:
        arg = step.arg
        made = self.backend.first_largest(self.place, self._number(arg), arg.axes.index(step.axis))
        return self.turned(made, tuple(a for a in arg.axes if a != step.axis), step.out.axes)

    @made.register
    def _(self, step: Gather) -> V:
        arg, index = step.arg, step.index
        if shared := tuple(axis for axis in index.axes if axis in arg.axes):
            raise ConversionError(
                f"{self.place!r} looks up other entries for each place along {show(shared)}; that "
                "has no counterpart outside"
            )
        at = arg.axes.index(step.axis)
        table = self._number(arg)
        made = self.backend.gathered(self.place, table, len(arg.axes), at, self.value(index))
        axes = (*arg.axes[:at], *index.axes, *arg.axes[at + 1 :])
        return self.turned(made, axes, step.out.axes)

    @made.register
    def _(self, step: Hits) -> V:
        made = self.backend.hits(self.place, self.value(step.index), self._known(step.axis))
        return self.turned(made, (*step.index.axes, step.axis), step.out.axes)

    @made.register
    def _(self, step: Detached) -> V:
        return self.backend.detached(self.place, self.value(step.arg))
