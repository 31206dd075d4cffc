"""Summed indices that a pattern gives: Σₖ x[k] 𝟏[k = 2i + t] is x[2i + t], and 0 outside x."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pullback.ir import (
    Add,
    ArgMax,
    Axes,
    Axis,
    Contract,
    Index,
    Input,
    LogSumExp,
    Max,
    Named,
    Node,
    OneHot,
    Parameter,
    Pattern,
    Rename,
    Scan,
)


def determined(factors: Sequence[Node], summed: Axes) -> tuple[list[Node], dict[Axis, Index]]:
    """The factors of a sum without the patterns that give an index, and what they give."""
    rest = [each for f in factors for each in (f.parts if isinstance(f, Pattern) else (f,))]
    found: dict[Axis, Index] = {}
    while choices := list(_choices(rest, tuple(axis for axis in summed if axis not in found))):
        pattern, axis, index = min(choices, key=lambda choice: _rank(rest, *choice))
        rest.remove(pattern)
        rest = [f.where(axis, index) if isinstance(f, Pattern) else f for f in rest]
        found = {a: each.where(axis, index) for a, each in found.items()} | {axis: index}
    return rest, found


def _choices(factors: Sequence[Node], summed: Axes) -> Iterator[tuple[Pattern, Axis, Index]]:
    for pattern in factors:
        if not isinstance(pattern, Pattern) or pattern.ranges:
            continue
        if any(axis.size is None for axis in pattern.over):
            continue
        for axis in pattern.over:
            having = [f for f in factors if axis in f.axes and f is not pattern]
            index = pattern.solved(axis) if axis in summed and having else None
            if index is None or not all(can_move(f, axis) for f in having):
                continue
            # rows of an identity have a name of their own where their ends matter
            ends_show = pattern.slice is None and bool(index.axes)
            if _inside(index, axis) or (
                ends_show and any(is_zero_outside(f, axis) for f in having)
            ):
                yield pattern, axis, index


def _inside(index: Index, axis: Axis) -> bool:
    least, largest = index.bounds()
    return least >= 0 and largest < (axis.size or 0)


def _rank(factors: Sequence[Node], pattern: Pattern, axis: Axis, index: Index) -> tuple[int, ...]:
    """Rather an index that never leaves its axis, and one of data than of a weight."""
    of_weight = any(_is_weight(f) and axis in f.axes for f in factors)
    return not _inside(index, axis), of_weight, -(axis.size or 0)


def _is_weight(node: Node) -> bool:
    return isinstance(node, Parameter) or (isinstance(node, Rename) and _is_weight(node.arg))


def is_zero_outside(node: Node, axis: Axis) -> bool:
    """Is a node 0 at an index outside the axis, where entries outside their tensor are 0?"""
    match node:
        case Named() | Input() | Parameter() | OneHot():
            return axis in node.axes
        case Contract():
            return any(is_zero_outside(factor, axis) for factor in node.factors)
        case Add():
            return all(is_zero_outside(term, axis) for term in node.terms)
        case Rename():
            back = {new: old for old, new in node.names}
            return axis in node.axes and is_zero_outside(node.arg, back.get(axis, axis))
    return False


def can_move(node: Node, axis: Axis) -> bool:
    """Can a formula of a node stand at another index of the axis, which it has not in a name?"""
    match node:
        case Named() | Input() | Parameter():
            return True
        case Pattern():
            return node.slice is None or axis not in node.axes
        case Rename():
            back = {new: old for old, new in node.names}
            return can_move(node.arg, back.get(axis, axis))
        case LogSumExp() | Max() | ArgMax() if node.axis == axis:
            return False
        case Scan():
            return node.over != axis
    return all(can_move(arg, axis) for arg in node.args)
