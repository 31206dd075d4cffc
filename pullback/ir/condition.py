"""Choices by single comparisons, which every reader can say."""

from __future__ import annotations

from typing import Any

import sympy as sp


def branches(expr: Any) -> tuple[list[tuple[Any, Any]], Any]:
    """The values of a Piecewise with a comparison each, first come first served, and the rest.

    SymPy joins nested choices by and, or and if-then-else; here they are nested again. What never
    holds is left out, and so is all that stands behind what always does.

    >>> x = sp.Symbol("x", real=True)
    >>> inside = sp.Piecewise((x**2, (x > 0) & (x < 2)), (0, True))
    >>> branches(inside)
    ([(Piecewise((x**2, x < 2), (0, True)), x > 0)], 0)
    """
    found: list[tuple[Any, Any]] = []
    for at, (value, condition) in enumerate(expr.args):
        if condition == sp.true:
            return found, value
        if isinstance(condition, sp.core.relational.Relational):
            found.append((value, condition))
        elif condition != sp.false:
            rest = expr.args[at + 1 :]
            nested = _choice(
                condition, value, sp.Piecewise(*rest, evaluate=False) if rest else value
            )
            if not isinstance(nested, sp.Piecewise):
                return found, nested
            chosen, otherwise = branches(nested)
            return [*found, *chosen], otherwise
    # a choice that says nothing of the rest is only asked where one of its conditions holds
    return found[:-1], found[-1][0]


def _choice(condition: Any, value: Any, otherwise: Any) -> Any:
    """The value where a condition of any kind holds, by single comparisons."""
    if condition == sp.true:
        return value
    if condition == sp.false:
        return otherwise
    args = condition.args
    if isinstance(condition, sp.Not):
        return _choice(args[0], otherwise, value)
    if isinstance(condition, sp.And):
        return _choice(args[0], _choice(sp.And(*args[1:]), value, otherwise), otherwise)
    if isinstance(condition, sp.Or):
        return _choice(args[0], value, _choice(sp.Or(*args[1:]), value, otherwise))
    if isinstance(condition, sp.ITE):
        then, other = (_choice(each, value, otherwise) for each in args[1:])
        return _choice(args[0], then, other)
    return sp.Piecewise((value, condition), (otherwise, True), evaluate=False)
