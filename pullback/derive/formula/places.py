"""Patterns as conditions on indices: 𝟏[h = 2i + t − 1], 𝟏[0 ≤ q − k ≤ 3]."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pullback.derive.formula.tree import (
    Formula,
    Indicator,
    Negative,
    Number,
    Relation,
    ScaledFormula,
    Sum,
    Symbol,
)
from pullback.ir import Axes, Axis, Index, Input, Named, Node, Parameter, Pattern, Range, Rename

Letters = Mapping[Axis, str]


def conditions(pattern: Pattern, letters: Letters, free: Collection[Axis]) -> list[Indicator]:
    """The indicators whose product a pattern is.

    ``free`` are indices that nothing else bounds: how far they run is a condition, too.
    """
    found: list[Indicator] = []
    for equation in pattern.equations:
        left, right = _sides(equation, letters)
        found.append(Indicator(Relation(left, "=", right)))
    runs = [Range(Index.on(a), 0, (a.size or 1) - 1) for a in pattern.over if a in free]
    for each in (*pattern.ranges, *runs):
        held: Formula = _number(each.index, letters)
        if each.low is not None:
            held = Relation(_integer(each.low), "≤", held)
        if each.high is not None:
            held = Relation(held, "≤", _integer(each.high))
        found.append(Indicator(held))
    return found


def bounded(factors: Sequence[Node], summed: Axes) -> list[Node]:
    """The factors of a sum without the indices that one pattern alone has: Σₜ [h = i + t] is a
    range of h − i.
    """
    rest = list(factors)
    for axis in summed:
        having = [factor for factor in rest if axis in factor.axes]
        if len(having) != 1 or not isinstance(one := having[0], Pattern):
            continue
        index = one.solved(axis)
        if index is None or any(axis in each.index.axes for each in one.ranges):
            continue
        ranges = (*one.ranges, Range(index, 0, (axis.size or 1) - 1))
        over = tuple(each for each in one.over if each != axis)
        rest[rest.index(one)] = Pattern(over, (), ranges)
    return rest


def runs_along(node: Node, axis: Axis) -> bool:
    """Does a tensor in a node have the axis, so that one sees how far its index runs?"""
    if isinstance(node, (Named, Input, Parameter)):
        return axis in node.axes
    if isinstance(node, Rename):
        back = {new: old for old, new in node.names}
        return axis in node.axes and runs_along(node.arg, back.get(axis, axis))
    return axis in node.axes and any(runs_along(arg, axis) for arg in node.args)


def _sides(equation: Index, letters: Letters) -> tuple[Formula, Formula]:
    """An equation solved for the index that runs the furthest, of those that stand alone."""
    alone = [axis for axis, by in equation.terms if abs(by) == 1]
    if not alone:
        return _number(equation, letters), Number(0)
    axis = max(alone, key=lambda each: each.size or 0)
    rest = -equation.of(axis) * equation.where(axis, Index())
    return Symbol(letters[axis]), _number(rest, letters)


def _number(index: Index, letters: Letters) -> Formula:
    terms = [_times(by, Symbol(letters[axis])) for axis, by in index.terms if axis in letters]
    if index.offset or not terms:
        terms.append(_integer(index.offset))
    return terms[0] if len(terms) == 1 else Sum(tuple(terms))


def _times(by: int, letter: Formula) -> Formula:
    held = letter if abs(by) == 1 else ScaledFormula((Number(abs(by)),), letter)
    return Negative(held) if by < 0 else held


def _integer(value: int) -> Formula:
    return Negative(Number(-value)) if value < 0 else Number(value)
