"""What every line about arrays needs: lengths and shapes, types, axes in another order."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from functools import reduce

from pullback.emit.expression.printer import Tree
from pullback.emit.expression.quote import call, indexed, quote, tuple_of, variable, whole
from pullback.emit.target.language import ArrayLanguage
from pullback.emit.values import Lowered, Value
from pullback.ir import Axes, Axis, Stack


class AxisLengths:
    """The lengths of one program's axes, as source."""

    def __init__(self, program: Lowered) -> None:
        self.program = program

    def length(self, axis: Axis) -> Tree:
        """The source of how long an axis is."""
        if axis.size is not None:
            return whole(axis.size)
        return variable(self.program.length(axis).name)

    def stacked(self, stack: Stack) -> Tree:
        """The source of how long the axis of a stack is."""
        lengths = [self.length(axis) for axis in stack.parts]
        if stack.half:
            return quote("n * (n + 1) // 2", n=lengths[0])
        return reduce(lambda a, b: quote("a * b", a=a, b=b), lengths)

    def stacked_length(self, stack: Stack) -> Tree:
        """How long the axis of a stack has to be: as a leaf has it, or the first such stack."""
        first = self.program.stack_of(stack.whole)
        return self.length(stack.whole) if first is None else self.stacked(first)

    def equal(self) -> Iterator[tuple[Tree, Tree, str]]:
        """Lengths that only the data tell and that are one, and what to say where they are not."""
        for old, new in self.program.ties:
            says = f"axes {old.name} and {new.name} are not of one length"
            yield self.length(old), self.length(new), says
        for each in self.program.stacks:
            says = f"axis {each.whole.name} is not as long as what is put together along it"
            yield self.stacked(each), self.stacked_length(each), says

    def unequal(
        self, pairs: Iterable[tuple[Tree, Tree, str]], text: Callable[[Tree], str]
    ) -> dict[frozenset[str], str]:
        """The two sides of each pair that may differ, as source, and what is said then."""
        found = dict[frozenset[str], str]()
        for have, want, says in pairs:
            found.setdefault(frozenset((text(have), text(want))), says)
        return {sides: says for sides, says in found.items() if len(sides) == 2}

    def first(self, start: int | None, stop: int | None, axis: Axis) -> Tree:
        """Where a part ``start:stop`` of an axis begins."""
        if axis.size is not None:
            return whole(range(axis.size)[start or 0 : stop].start)
        if start is not None and start < 0:
            return quote("n - k", n=self.length(axis), k=whole(-start))
        return whole(start or 0)


class Arrays(AxisLengths):
    """The arrays of one program in one language."""

    def __init__(self, program: Lowered, language: ArrayLanguage) -> None:
        super().__init__(program)
        self.language = language

    def shape(self, axes: Axes) -> Tree:
        """The shape of an array with these axes."""
        return tuple_of(map(self.length, axes))

    @property
    def dtype(self) -> Tree:
        """That of some leaf: what is made from nothing must not raise the precision."""
        leaves = [*self.program.parameters.values(), *self.program.inputs.values()]
        real = sorted((v for v in leaves if v.source != "whole"), key=lambda v: not v.axes)
        if not real:
            return quote("float")
        leaf = variable(real[0].name)
        # without axes it may be a number, which has no dtype
        held = leaf if real[0].axes else self.of_module("asarray", leaf)
        return quote("a.dtype", a=held)

    def of_module(self, function: str, *arguments: Tree, **keywords: Tree) -> Tree:
        return call(f"{self.language.module}.{function}", *arguments, **keywords)

    def turned(self, tree: Tree, axes: Axes, order: Axes) -> Tree:
        """An array with its axes in another order."""
        places = [axes.index(axis) for axis in order]
        if places == sorted(places):
            return tree
        if places == [1, 0]:
            return quote("a.T", a=tree)
        return ast.Call(quote(self.language.permute, a=tree), list(map(whole, places)), [])

    def stretched(self, value: Value, axes: Axes) -> Tree:
        """A value with all of some axes, whichever it lacks."""
        have = tuple(axis for axis in axes if axis in value.axes)
        tree = self.turned(variable(value.name), value.axes, have)
        if have:  # a number cannot be indexed, and needs no places to go along others
            tree = indexed(tree, [None if axis in have else quote("None") for axis in axes])
            if all(axis.size == 1 for axis in axes if axis not in have):
                return tree
        zeros = self.of_module("zeros", self.shape(axes), dtype=self.dtype)
        return quote("a + b", a=zeros, b=tree)
