"""Products with stacks, axes put together as one: the same numbers under another shape.

What has the parts is multiplied first and then has the whole axis, or the other way round. Only
where the result has both is the stack an array itself. Of a half stack the places of the triangle
are looked up among those of the square.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import sympy as sp

from pullback.emit.lookups import Hit
from pullback.emit.record import Lazy, Record
from pullback.emit.values import Eye, Reshaped, Triangle
from pullback.ir import Axes, Axis, Pattern, Stack


@dataclass(frozen=True)
class Operands:
    """All that a product has: arrays, and what is never multiplied as one."""

    arrays: Sequence[Lazy] = ()
    patterns: Sequence[Pattern] = ()
    hits: Sequence[Hit] = ()
    stacks: Sequence[Stack] = ()

    @property
    def every(self) -> tuple[Lazy | Pattern | Hit | Stack, ...]:
        return (*self.arrays, *self.patterns, *self.hits, *self.stacks)

    @property
    def axes(self) -> set[Axis]:
        return {axis for each in self.every for axis in each.axes}

    def tied(self, axes: set[Axis], ends: set[Axis]) -> tuple[Operands, Operands]:
        """What has some axes, or is summed with that over axes that are no ``ends``; the rest."""
        reached, size = axes, -1
        while len(reached) != size:
            size = len(reached)
            held = [each for each in self.every if reached & {*each.axes}]
            reached = reached.union(*(({*each.axes} - ends) for each in held))
        return self._where(reached, True), self._where(reached, False)

    def _where(self, axes: set[Axis], has: bool) -> Operands:
        groups = (self.arrays, self.patterns, self.hits, self.stacks)
        kept = ([each for each in group if bool(axes & {*each.axes}) is has] for group in groups)
        return Operands(*kept)  # type: ignore[arg-type]

    def times(self, *arrays: Lazy) -> Operands:
        """The same with more arrays."""
        return replace(self, arrays=(*self.arrays, *arrays))


class StackSteps:
    """Writes the steps of such products; ``multiply`` is for what is left without a stack."""

    def __init__(self, record: Record, multiply: Callable[[Operands, Axes], Lazy]) -> None:
        self.record, self.multiply = record, multiply

    def __call__(self, given: Operands, over: Axes) -> Lazy:
        """The product, summed over all axes but ``over``."""
        stack, *others = given.stacks
        rest = replace(given, stacks=others)
        if stack.half:
            return self.multiply(self._looked_up(stack, rest), over)
        for inside, outside in (((stack.whole,), stack.parts), (stack.parts, (stack.whole,))):
            if {*inside} & {*over}:
                continue
            group, later = rest.tied({*inside}, {*over, *outside})
            if {*outside} & group.axes:
                continue
            lonely = tuple(axis for axis in inside if axis not in group.axes)
            group = group.times(*([Lazy(sp.Integer(1), lonely)] if lonely else []))
            needed = {*over} | later.axes
            kept = tuple(axis for axis in sorted(group.axes) if axis in needed)
            arg = self.record.array(self.multiply(group, (*kept, *inside)), (*kept, *inside))
            found = self.record.step(Reshaped, (*kept, *outside), {"arg": arg})
            return self.multiply(later.times(self.record.of(found)), over)
        return self.multiply(rest.times(self._array(stack)), over)

    def _array(self, stack: Stack) -> Lazy:
        """The stack itself: an identity whose columns are taken apart."""
        columns = Axis(f"{stack.whole.name}·columns")
        self.record.program.as_long_as.setdefault(columns, stack.whole)
        every = dict(start=None, stop=None)
        eye = self.record.step(Eye, (stack.whole, columns), {}, {}, "eye", **every)
        return self.record.of(self.record.step(Reshaped, stack.axes, {"arg": eye}))

    def _looked_up(self, stack: Stack, rest: Operands) -> Operands:
        """The product with the places of a triangle, and with the stack of its whole square."""
        square = Axis("·".join([stack.whole.name, *(axis.name for axis in stack.parts)]))
        whole = Stack(square, stack.parts)
        self.record.stack(whole)
        column = stack.parts[0]
        places = self.record.step(Triangle, (stack.whole,), {}, {"column": column}, "places")
        hits, stacks = [*rest.hits, Hit(places, square)], [*rest.stacks, whole]
        return replace(rest, hits=hits, stacks=stacks)
