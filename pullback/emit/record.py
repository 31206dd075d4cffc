"""The steps of a program as they are written down: what was computed before is not again.

An expression stays an expression, over placeholders for arrays, until somebody needs its array.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from pullback.emit.names import Names
from pullback.emit.values import (
    ElementwiseStep,
    Lowered,
    Product,
    ProgramStep,
    Value,
)
from pullback.ir import Axes, Axis, Stack, symbol


@dataclass(frozen=True)
class Lazy:
    """An elementwise expression over values, not computed yet."""

    expr: Any
    axes: Axes


class Record:
    """The program so far, the placeholder of each array, and what each step has computed.

    ``direct`` programs have steps for convolutions, which only some targets know.
    """

    def __init__(self, program: Lowered, names: Names, direct: bool) -> None:
        self.program, self.names, self.direct = program, names, direct
        self._values: dict[Any, Value] = {}  # the value of each placeholder
        self._placeholders: dict[Value, Any] = {}
        self._known: dict[Hashable, tuple[Any, tuple[int, ...]]] = {}

    def of(self, value: Value) -> Lazy:
        """An array as an expression."""
        placeholder = self._placeholders.get(value)
        if placeholder is None:
            placeholder = self._placeholders[value] = symbol(len(self._placeholders))
            self._values[placeholder] = value
        return Lazy(placeholder, value.axes)

    def value(self, placeholder: Any) -> Value:
        """The array of a placeholder."""
        return self._values[placeholder]

    def values(self, lazy: Lazy) -> list[tuple[Any, Value]]:
        """The arrays of an expression with their placeholders, the oldest first."""
        used = sorted(lazy.expr.free_symbols, key=lambda s: int(s.name[1:]))
        return [(placeholder, self._values[placeholder]) for placeholder in used]

    def temporary(self, axes: Axes, stem: str = "t") -> Value:
        """A new array without a name of its own in the program."""
        value = Value(self.names.fresh(stem), axes)
        self.program.temporaries.add(value.name)
        return value

    def step(
        self,
        kind: type[ProgramStep],
        axes: Axes,
        operands: Mapping[str, Value],
        places: Mapping[str, Axis] = MappingProxyType({}),
        stem: str = "t",
        /,
        **more: Any,
    ) -> Value:
        """The result of a step: an earlier one's, if that did the same under whatever axes.

        ``operands``, the axes in ``places`` and ``more`` are the step's fields by name.
        """
        numbers: dict[Axis, int] = {}
        read = list(operands.values())
        if kind is Product:  # whichever comes first
            read.sort(key=lambda value: value.name)
        carried = [axis for value in read for axis in value.axes]
        for axis in (*carried, *places.values(), *axes):
            numbers.setdefault(axis, len(numbers))
        known = (
            kind,
            tuple((v.name, *(numbers[axis] for axis in v.axes)) for v in read),
            tuple(numbers[axis] for axis in places.values()),
            frozenset(numbers[axis] for axis in axes),
            tuple(axis.size or axis for axis in numbers if axis not in carried),
            tuple(more.items()),
        )
        if known in self._known:
            placeholder, order = self._known[known]
            named = {number: axis for axis, number in numbers.items()}
            return replace(self._values[placeholder], axes=tuple(named[at] for at in order))
        out = replace(self.temporary(axes, stem), source=kind.makes)
        self.program.steps.append(kind(out, **operands, **places, **more))
        self._known[known] = self.of(out).expr, tuple(numbers[axis] for axis in axes)
        return out

    def stack(self, stack: Stack) -> None:
        """Declare the axis that others are together."""
        program, whole = self.program, stack.whole.unprimed
        program.makers.append(stack)
        if whole not in {**program.sizes, **program.lengths}:
            program.lengths[whole] = Value(self.names.of(f"n_{whole.name}"), (), "size")

    def array(self, lazy: Lazy, axes: Axes, name: str = "", stem: str = "t") -> Value:
        """The expression as an array whose axes stand in this order, under a name or a new one."""
        if lazy.expr.is_Symbol and self._values[lazy.expr].axes == axes and not name:
            return self._values[lazy.expr]
        leaves = tuple(self.values(lazy))
        if name:
            out = Value(name, axes)
            self.program.steps.append(ElementwiseStep(out, lazy.expr, leaves))
            return out
        return self._entrywise(lazy.expr, leaves, axes, stem)

    def any_order(self, lazy: Lazy) -> Value:
        """The expression as an array with all its axes, whatever their order."""
        if lazy.expr.is_Symbol and set(self._values[lazy.expr].axes) == set(lazy.axes):
            return self._values[lazy.expr]
        return self.array(lazy, self.order(lazy))

    def ending(self, lazy: Lazy, axes: Axes) -> Value:
        """The expression as an array of any order with the same last axis as this one."""
        value = self.any_order(lazy)
        return value if value.axes[-1:] == axes[-1:] else self.array(lazy, axes)

    def order(self, lazy: Lazy) -> Axes:
        """The axes of an expression in the order that all its largest arrays have, if they agree.

        Otherwise in its own.
        """
        orders = {v.axes for _, v in self.values(lazy) if set(v.axes) == set(lazy.axes)}
        if len(orders) > 1 and self.direct:  # kernels have the batch last
            orders = {axes for axes in orders if axes[-1].size is None}
        return orders.pop() if len(orders) == 1 else lazy.axes

    def _entrywise(
        self, expr: Any, leaves: tuple[tuple[Any, Value], ...], axes: Axes, stem: str
    ) -> Value:
        known = (ElementwiseStep, expr, axes)
        if known in self._known:
            return self._values[self._known[known][0]]
        out = self.temporary(axes, stem)
        self.program.steps.append(ElementwiseStep(out, expr, leaves))
        self._known[known] = self.of(out).expr, ()
        return out

    def give_name(self, lazy: Lazy, name: str) -> Lazy | None:
        """Call the array that the last step made by a name, in every view of it.

        None where the expression is no such array, lacks an axis, or has a name already.
        """
        value = self._values.get(lazy.expr)
        steps, program = self.program.steps, self.program
        if value is None or value.name not in program.temporaries:
            return None
        if set(value.axes) != set(lazy.axes):  # constant along some: it is to be written out
            return None
        if steps[-1].out.name != value.name:
            return None
        for placeholder, view in list(self._values.items()):
            if view.name == value.name:
                self._values[placeholder] = replace(view, name=name)
                self._placeholders[self._values[placeholder]] = placeholder
        steps[-1] = replace(steps[-1], out=replace(steps[-1].out, name=name))
        return self.of(self._values[lazy.expr])
