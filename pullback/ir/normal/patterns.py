"""Patterns put together: where one reads what another has placed, one of both is left."""

from __future__ import annotations

from collections.abc import Sequence

from pullback.ir.axis import Axes, Axis
from pullback.ir.kinds import Constant
from pullback.ir.node import Node
from pullback.ir.pattern import Index, Pattern, Range


def composed(factors: Sequence[Node], over: Axes) -> list[Node]:
    """The factors of a product with as few patterns as possible, each of one equation.

    An axis that only patterns have, and that is summed, is eliminated from their equations: a slice
    of a padded tensor is a shift, and axes that are put together and apart again are as before.
    """
    rest = [factor for factor in factors if not isinstance(factor, Pattern)]
    patterns = [p for f in factors if isinstance(f, Pattern) for p in simplest(f)]
    kept = {*over, *(axis for factor in rest for axis in factor.axes)}
    while (found := _meeting(patterns, kept)) is not None:
        axis, one, index = found
        others = [each for each in patterns if each is not one]
        patterns = []
        for each in others:
            patterns += simplest(each.where(axis, index)) if axis in each.axes else (each,)
    return [*rest, *(_known(each) for each in patterns)]


def _known(pattern: Pattern) -> Node:
    number = pattern.number
    return pattern if number is None else Constant(number, pattern.over)


def _meeting(patterns: list[Pattern], kept: set[Axis]) -> tuple[Axis, Pattern, Index] | None:
    """An axis that two patterns alone have, and the one that says where on it an entry stands."""
    for one in patterns:
        for axis in one.axes:
            held = [each for each in patterns if axis in each.axes]
            index = None if axis in kept or len(held) != 2 else one.solved(axis)
            if index is None or one.ranges or {*one.axes} != {axis, *index.axes}:
                continue
            if not index.lengths and Range(index, 0, (axis.size or 0) - 1).always:
                return axis, one, index
    return None


def simplest(pattern: Pattern) -> tuple[Pattern, ...]:
    """The same as patterns of one equation each, which say as much about as few axes as can be.

    >>> i, j, k, l = (Axis(name, 4) for name in "ijkl")
    >>> both = 4 * Index.on(i) + Index.on(j) - 4 * Index.on(k) - Index.on(l)
    >>> [part.slice.is_whole for part in simplest(Pattern((i, j, k, l), (both,)))]
    [True, True]
    """
    if pattern.slice is not None or any(axis.size is None for axis in pattern.axes):
        return (pattern,)
    equations: list[Index] = []
    waiting = list(pattern.equations)
    while waiting:
        equation = waiting.pop()
        apart = _apart(equation)
        (waiting.extend if len(apart) > 1 else equations.extend)(apart)
    return Pattern(pattern.axes, tuple(equations), pattern.ranges).parts


def _apart(equation: Index) -> tuple[Index, ...]:
    """An equation as two where digits of different weight can only be 0 each: 10·a + b = 0."""
    for weight in sorted({abs(c) for _, c in equation.terms if abs(c) > 1}):
        large = tuple((axis, c) for axis, c in equation.terms if c % weight == 0)
        small = tuple((axis, c) for axis, c in equation.terms if c % weight)
        if not small:
            continue
        for carry in (equation.offset // weight, equation.offset // weight + 1):
            left = Index(small, equation.offset - carry * weight)
            least, largest = left.bounds()
            if -weight < least and largest < weight:
                return left, Index(tuple((axis, c // weight) for axis, c in large), carry)
    return (equation,)
