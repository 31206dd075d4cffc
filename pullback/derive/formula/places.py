"""Patterns and one-hots entry by entry: 1 where an index is another, or lies in a range."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import sympy as sp

from pullback.derive.formula.elementwise import elementwise
from pullback.derive.formula.matrix import Matrix, Size
from pullback.derive.formula.tree import Formula, Indicator, Relation, Symbol
from pullback.ir import Axis, Index, Pattern

Letters = Mapping[Axis, str]


def indicators(pattern: Pattern, letters: Letters, size: Size) -> Iterator[Matrix]:
    """The conditions of a pattern, whose product it is."""
    for equation in pattern.equations:
        single = [axis for axis in equation.axes if abs(equation.of(axis)) == 1]
        if not single:
            yield _indicator(_index(equation, letters, size), "=", _index(Index(), letters, size))
            continue
        axis = max(single, key=lambda each: each.size or 0)
        others = -equation.of(axis) * equation.where(axis, Index())
        yield _indicator(Symbol(letters[axis]), "=", _index(others, letters, size))
    for each in pattern.ranges:
        more = Index(tuple((axis, c) for axis, c in each.index.terms if c > 0))
        less = more - each.index
        for end, sign in ((each.low, "≥"), (each.high, "≤")):
            if end is not None:
                right = _index(less + end, letters, size)
                yield _indicator(_index(more, letters, size), sign, right)


def hit(letter: str, index: Formula) -> Matrix:
    """1 where a place is the index."""
    return _indicator(Symbol(letter), "=", index)


def _indicator(left: Formula, sign: str, right: Formula) -> Matrix:
    return Matrix(Indicator(Relation(left, sign, right)))


def _index(index: Index, letters: Letters, size: Size) -> Formula:
    """The whole number that an index is, over the letters of its axes."""
    leaves = {sp.Dummy(axis.name, real=True): (c, Symbol(letters[axis])) for axis, c in index.terms}
    leaves |= {sp.Dummy(axis.name, real=True): (c, size(axis)) for axis, c in index.lengths}
    total = sum((c * leaf for leaf, (c, _) in leaves.items()), sp.Integer(index.offset))
    return elementwise(
        total, {leaf: Matrix(formula) for leaf, (_, formula) in leaves.items()}
    ).formula
