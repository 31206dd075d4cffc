"""Patterns and one-hots entry by entry: 1 where an index is another, or lies in a range."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import sympy as sp

from pullback.derive.formula.algebra import total
from pullback.derive.formula.elementwise import elementwise, number
from pullback.derive.formula.matrix import Matrix, Size
from pullback.derive.formula.tree import Formula, Indicator, Number, Relation, Sum, Symbol
from pullback.ir import Axes, Axis, Index, Input, Named, Node, Parameter, Pattern, Range, Rename

Letters = Mapping[Axis, Any]  # a letter, or a SymPy expression of letters


def indicators(pattern: Pattern, letters: Letters, size: Size) -> Iterator[Matrix]:
    """The conditions of a pattern, whose product it is."""
    for equation in pattern.equations:
        sized = all(axis.size is not None for axis in equation.axes) and not equation.lengths
        if sized and equation.bounds() == (0, 0):
            continue  # as of an axis of length one
        single = [axis for axis in equation.axes if abs(equation.of(axis)) == 1]
        if not single:
            yield _indicator(_index(equation, letters, size), "=", _index(Index(), letters, size))
            continue
        axis = max(single, key=lambda each: each.size or 0)
        others = -equation.of(axis) * equation.where(axis, Index())
        yield _indicator(_index(Index.on(axis), letters, size), "=", _index(others, letters, size))
    for each in pattern.ranges:
        more = Index(tuple((axis, c) for axis, c in each.index.terms if c > 0))
        less = more - each.index
        for end, sign in ((each.low, "≥"), (each.high, "≤")):
            if end is not None:
                right = _index(less + end, letters, size)
                yield _indicator(_index(more, letters, size), sign, right)


def bounded(factors: Sequence[Node], summed: Axes) -> list[Node]:
    """The factors of a sum without the indices that one pattern alone has.

    Σₜ 𝟏[h = i + t] is a range of h − i, in which one sees how far t runs.
    """
    rest = list(factors)
    for axis in summed:
        having = [factor for factor in rest if axis in factor.axes]
        if len(having) != 1 or not isinstance(one := having[0], Pattern):
            continue
        index = one.solved(axis) if all(each.size is not None for each in one.over) else None
        if index is not None and not any(axis in each.index.axes for each in one.ranges):
            over = tuple(each for each in one.over if each != axis)
            run = Range(index, 0, (axis.size or 0) - 1)
            rest[rest.index(one)] = Pattern(over, (), (*one.ranges, run))
    return rest


def runs(axes: Iterable[Axis], letters: Letters) -> Iterator[Matrix]:
    """How far indices run that no tensor has: a condition on each."""
    for axis in axes:
        if axis.size is not None:
            yield _indicator(Symbol(str(letters[axis])), "≤", Number(axis.size - 1))


def runs_along(node: Node, axis: Axis) -> bool:
    """Does a tensor in a node have the axis, so that one sees how far its index runs?"""
    if isinstance(node, (Named, Input, Parameter)):
        return axis in node.axes
    if isinstance(node, Rename):
        back = {new: old for old, new in node.names}
        return axis in node.axes and runs_along(node.arg, back.get(axis, axis))
    if isinstance(node, Pattern):
        return node.slice is not None and axis in node.axes
    return axis in node.axes and any(runs_along(arg, axis) for arg in node.args)


def hit(letter: Any, index: Formula) -> Matrix:
    """1 where a place is the index."""
    return _indicator(_written(_place(letter)), "=", index)


def moved(index: Index, letters: Letters) -> Any:
    """The expression of letters that an index is."""
    return sp.Integer(index.offset) + sum(c * _place(letters[axis]) for axis, c in index.terms)


def entry_index(letter: Any) -> str | Formula:
    """What stands in the index of an entry: a letter as it is, or a formula."""
    return str(letter) if isinstance(letter, (str, sp.Symbol)) else _written(letter)


def letters_in(letters: Iterable[Any]) -> set[str]:
    """The single letters among letters and expressions of them."""
    return {str(symbol) for letter in letters for symbol in _place(letter).free_symbols}


def _place(letter: Any) -> Any:
    return sp.Symbol(letter) if isinstance(letter, str) else letter


def _written(place: Any, sizes: Mapping[Any, Formula] | None = None) -> Formula:
    """An expression of letters, its constant last: 2i + t + 1."""
    known = {s: Symbol(str(s)) for s in place.free_symbols} | dict(sizes or {})
    offset, letters = place.as_coeff_Add()
    formula = elementwise(letters, {s: Matrix(each) for s, each in known.items()}).formula
    if formula == Number(0) or offset < 0:
        return total([formula, number(offset)])
    terms = formula.terms if isinstance(formula, Sum) else (formula,)
    return Sum((*terms, number(offset))) if offset else formula


def _indicator(left: Formula, sign: str, right: Formula) -> Matrix:
    return Matrix(Indicator(Relation(left, sign, right)))


def _index(index: Index, letters: Letters, size: Size) -> Formula:
    """The whole number that an index is, over the letters of its axes."""
    sizes = [(c, sp.Dummy(axis.name), size(axis)) for axis, c in index.lengths]
    lengths = sum(c * leaf for c, leaf, _ in sizes)
    return _written(moved(index, letters) + lengths, {leaf: s for _, leaf, s in sizes})
