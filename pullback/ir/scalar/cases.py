"""A choice between expressions by comparisons: SymPy's, with one comparison to a condition.

SymPy folds a choice inside another one's condition into and, or and if-then-else. Here these become
choices inside one another again, so that whatever reads a condition finds two sides and a sign.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy as sp
from sympy.functions.elementary.piecewise import ExprCondPair

_TRUE, _FALSE = sp.true, sp.false


class Piecewise(sp.Piecewise):  # type: ignore[misc]  # SymPy has no types
    """The first value whose condition holds; the last condition is ``True``.

    >>> x = sp.Symbol("x", real=True)
    >>> held = Piecewise((0, x < 0), (x, True))
    >>> Piecewise((6, held > 6), (x, True))
    Piecewise((x, x < 0), (6, x > 6), (x, True))
    """

    def __new__(cls, *pairs: Any, **options: Any) -> Any:
        *first, (otherwise, last) = (ExprCondPair(*pair) for pair in pairs)
        if last != _TRUE:
            return super().__new__(cls, *first, (otherwise, last), evaluate=False)
        found = otherwise
        for value, condition in reversed(first):
            found = _choice(condition, value, found)
        return found

    def _eval_power(self, exponent: Any) -> Any:
        """SymPy would take each value to the power, the one that is not chosen as well."""
        return None


def clipped(
    x: Any, low: Any, high: Any, between: Any = None, *, strict: bool, above: Any = None
) -> Any:
    """x, or ``between``, held at its ends: constant up to ``low`` and from ``high``, if these are
    not None, or ``above`` from there.

    ``strict`` gives the bounds themselves to the outer pieces, and with them their slope.

    >>> clipped(sp.Symbol("x", real=True), 0, 6, strict=True)
    Piecewise((0, x <= 0), (6, x >= 6), (x, True))
    """
    inner = x if between is None else between
    down, up = (sp.Le, sp.Ge) if strict else (sp.Lt, sp.Gt)
    pieces = []
    if low is not None:
        pieces.append((inner.xreplace({x: sp.sympify(low)}), down(x, low)))
    if high is not None:
        end = inner.xreplace({x: sp.sympify(high)}) if above is None else above
        pieces.append((end, up(x, high)))
    return Piecewise(*pieces, (inner, True))


def one_where_zero(test: Any, expr: Any) -> Any:
    """The expression, with 1 in its place where the test is 0: what is multiplied by 0 stays 0."""
    return Piecewise((1, sp.Eq(test, 0)), (expr, True))


def zero_where_zero(test: Any, expr: Callable[[Any], Any]) -> Any:
    """The expression of what is tested, and 0 where that is 0; nothing there is divided by 0."""
    return Piecewise((0, sp.Eq(test, 0)), (expr(one_where_zero(test, test)), True))


def is_guard(cases: Any) -> bool:
    """Is it an expression with 1 in its place where something is 0?"""
    (value, holds), *_ = cases.args
    return bool(value == 1 and isinstance(holds, sp.Eq) and holds.rhs == 0)


def is_zero_guard(cases: Any) -> bool:
    """Is it 0 where something is 0, which is guarded in the expression that it else is?"""
    (value, holds), *others = cases.args
    if len(others) != 1 or value != 0 or not isinstance(holds, sp.Eq) or holds.rhs != 0:
        return False
    inner = others[0].expr.atoms(sp.Piecewise)
    return any(is_guard(each) and each.args[0].cond == holds for each in inner)


def has_guard(expr: Any) -> bool:
    """Is there a case in it for where something is 0, of which a textbook says nothing?"""
    return any(is_guard(e) or is_zero_guard(e) for e in expr.atoms(sp.Piecewise))


def unguarded(expr: Any) -> Any:
    """The expression as it is where nothing that it tests is 0.

    >>> x = sp.Symbol("x", real=True)
    >>> unguarded(zero_where_zero(x, lambda held: 1 / held))
    1/x
    """
    if not has_guard(expr):
        return expr
    if isinstance(expr, sp.Piecewise) and (is_guard(expr) or is_zero_guard(expr)):
        return unguarded(expr.args[-1].expr)
    if isinstance(expr, sp.Piecewise):
        return expr.func(*((unguarded(value), holds) for value, holds in expr.args))
    return expr.func(*map(unguarded, expr.args))


def branches(expr: Any) -> tuple[list[tuple[Any, Any]], Any]:
    """The values of a choice with a comparison each, first come first served, and the last value.

    >>> x = sp.Symbol("x", real=True)
    >>> branches(sp.Piecewise((x**2, (x > 0) & (x < 2)), (0, True)))
    ([(Piecewise((x**2, x < 2), (0, True)), x > 0)], 0)
    """
    held = expr if isinstance(expr, Piecewise) else Piecewise(*expr.args)
    if not isinstance(held, Piecewise):
        return [], held
    *chosen, (otherwise, _) = held.args
    return chosen, otherwise


def _choice(condition: Any, value: Any, otherwise: Any) -> Any:
    """One value where the condition holds, else the other."""
    if condition == _TRUE or value == otherwise:
        return value
    if condition == _FALSE:
        return otherwise
    if isinstance(condition, sp.And):
        one, *rest = sp.core.sorting.ordered(condition.args)
        return _choice(one, _choice(sp.And(*rest), value, otherwise), otherwise)
    if isinstance(condition, sp.Or):
        one, *rest = sp.core.sorting.ordered(condition.args)
        return _choice(one, value, _choice(sp.Or(*rest), value, otherwise))
    if isinstance(condition, sp.Not):
        return _choice(condition.args[0], otherwise, value)
    if isinstance(condition, sp.ITE):
        holds, yes, no = condition.args
        return _choice(holds, _choice(yes, value, otherwise), _choice(no, value, otherwise))
    # one list of cases where the other value is one already
    more = otherwise.args if isinstance(otherwise, Piecewise) else [(otherwise, _TRUE)]
    return sp.Piecewise.__new__(Piecewise, (value, condition), *more, evaluate=False)
