"""Conditions of a choice, in the words that every reader has: and, or, not, and comparisons."""

from __future__ import annotations

from typing import Any

import sympy as sp


def plain(condition: Any) -> Any:
    """The condition with and, or and not for SymPy's if-then-else; at its root, at least.

    >>> x = sp.Symbol("x", real=True)
    >>> plain(sp.ITE(x > 0, x < 2, False, evaluate=False))
    (x > 0) & (x < 2)
    """
    if isinstance(condition, sp.ITE):
        chosen, then, otherwise = condition.args
        return sp.Or(sp.And(chosen, then), sp.And(sp.Not(chosen), otherwise))
    return condition


def branches(expr: Any) -> tuple[list[tuple[Any, Any]], Any]:
    """The values of a Piecewise with their conditions, first come first served, and the rest.

    Branches that never hold are left out, and so is all that stands behind one that always does.
    """
    found: list[tuple[Any, Any]] = []
    for value, condition in expr.args:
        condition = plain(condition)
        if condition == sp.true:
            return found, value
        if condition != sp.false:
            found.append((value, condition))
    return found[:-1], found[-1][0]
