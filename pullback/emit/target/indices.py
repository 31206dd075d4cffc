"""Places along an axis as source: index arrays, and what of a pattern is a slice or a reshape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

from pullback.emit.expression.printer import Tree
from pullback.emit.expression.quote import call, indexed, quote, whole
from pullback.emit.values import Folded, Unfolded
from pullback.ir import Axes, Axis, Index, Pattern

Length = Callable[[Axis], Tree]


def _fixed(axis: Axis) -> Tree:
    return whole(axis.size or 0)


def stride(index: Index) -> tuple[int, int, int] | None:
    """Start, stop and step of a slice forwards, where the places along one axis are that."""
    if len(index.terms) != 1 or index.terms[0][1] < 0:
        return None
    ((axis, step),) = index.terms
    return index.offset, index.offset + step * ((axis.size or 1) - 1) + 1, step


def is_reshape(index: Index, axis: Axis) -> bool:
    """Is every place along an axis there once, in the order of the index's own axes?"""
    after = 1
    for each, step in reversed(index.terms):
        if step != after:
            return False
        after *= each.size or 0
    return index.offset == 0 and after == axis.size


def apart(index: Index) -> tuple[Axes, Axes]:
    """The axes of an index over which one has to go one by one, and those that never meet."""
    slow: list[Axis] = []
    for _ in index.terms:
        reached, meets = 0, False
        for axis, step in sorted(index.terms, key=lambda term: abs(term[1])):
            if axis in slow:
                continue
            meets = meets or abs(step) <= reached
            reached += abs(step) * ((axis.size or 1) - 1)
        if not meets:
            break
        left = [axis for axis in index.axes if axis not in slow]
        slow.append(min(left, key=lambda axis: axis.size or 0))
    return tuple(slow), tuple(axis for axis in index.axes if axis not in slow)


def grid_of(step: Unfolded | Folded) -> Axes:
    """The axes of the index, those first that both sides have."""
    both = [axis for axis in step.index.axes if axis in step.arg.axes and axis in step.out.axes]
    return (*both, *(axis for axis in step.index.axes if axis not in both))


def places(step: Unfolded | Folded, module: str) -> list[Tree]:
    """The index arrays of the last axes: of those that both sides have, and of the one read."""
    grid = grid_of(step)
    both = [axis for axis in grid if axis in step.arg.axes and axis in step.out.axes]
    return [*(counted(axis, grid, module) for axis in both), number(step.index, grid, module)]


def number(index: Index, grid: Axes, module: str, length: Length = _fixed) -> Tree:
    """The array of a number for every index on the axes of a grid."""
    parts: list[Tree] = []
    for axis, step in index.terms:
        each = counted(axis, grid, module, length)
        parts.append(each if step == 1 else quote("c * a", c=whole(step), a=each))
    if index.offset or not parts:
        parts.append(whole(index.offset))
    return reduce(lambda a, b: quote("a + b", a=a, b=b), parts)


def counted(axis: Axis, grid: Axes, module: str, length: Length = _fixed) -> Tree:
    """0, 1, 2, … along one axis of a grid."""
    along = call(f"{module}.arange", length(axis))
    behind = len(grid) - 1 - grid.index(axis)
    return indexed(along, [None, *[quote("None")] * behind]) if behind else along


def holds(pattern: Pattern, module: str, length: Length) -> Tree:
    """The array that says where a pattern is 1."""
    grid, conditions = pattern.axes, list[Tree]()
    for equation in pattern.equations:
        at = number(equation, grid, module, length)
        conditions.append(quote("a == b", a=at, b=whole(0)))
    for each in pattern.ranges:
        at = number(each.index, grid, module, length)
        if each.low is not None:
            conditions.append(quote("a >= b", a=at, b=whole(each.low)))
        if each.high is not None:
            conditions.append(quote("a <= b", a=at, b=whole(each.high)))
    return reduce(lambda a, b: quote("a * b", a=a, b=b), conditions)


def cuts(axes: Axes, axis: Axis, cut: Tree) -> Sequence[Tree | None]:
    """The places of an index that takes a cut along one axis, and all along those before."""
    return [cut if each == axis else None for each in axes[: axes.index(axis) + 1]]
