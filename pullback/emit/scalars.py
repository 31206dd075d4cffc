"""A SymPy expression as one line of scalar source, for loops that a compiler vectorises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pullback.emit.arithmetic import divisors, literal

_BUILT_IN = {"Max": "max", "Min": "min"}


def scalar_source(expr: Any, names: Mapping[Any, str]) -> str:
    """Source of the expression over some names; numbers are cast by ``real(…)``.

    >>> import sympy as sp
    >>> x = sp.Symbol("x")
    >>> scalar_source(1 - sp.tanh(x) ** 2 / 3, {x: "z"})
    'real(1.0) - (real(0.3333333333333333) * (tanh(z) * tanh(z)))'
    """
    if expr in names:
        return names[expr]
    if expr.is_number:
        return f"real({literal(expr)})"
    if expr.is_Add:
        return _sum(expr, names)
    if expr.is_Mul:
        return _product(expr, names)
    if expr.is_Pow:
        return _power(expr, names)
    if expr.is_Piecewise:
        return _piecewise(expr, names)
    args = [scalar_source(arg, names) for arg in expr.args]
    name = type(expr).__name__
    return f"{_BUILT_IN.get(name, name)}({', '.join(args)})"


def _sum(expr: Any, names: Mapping[Any, str]) -> str:
    first, *rest = sorted(expr.args, key=lambda term: term.could_extract_minus_sign())
    text = scalar_source(first, names)
    for term in rest:
        minus = term.could_extract_minus_sign()
        text += f" {'-' if minus else '+'} {_wrapped(-term if minus else term, names)}"
    return text


def _product(expr: Any, names: Mapping[Any, str]) -> str:
    if expr.args[0] == -1:
        return f"-{_wrapped(-expr, names)}"
    below = [f for f in expr.args if f.is_Pow and f.exp.is_number and f.exp < 0]
    above = [f for f in expr.args if f not in below]
    text = " * ".join(_wrapped(factor, names) for factor in above) or "real(1.0)"
    under = [each for factor in below for each in divisors(factor)]
    return text + "".join(f" / {_wrapped(each, names)}" for each in under)


def _power(expr: Any, names: Mapping[Any, str]) -> str:
    base, exponent = expr.args
    if 2 * exponent == 1:
        return f"sqrt({scalar_source(base, names)})"
    if exponent.is_Integer and 2 <= exponent <= 4:
        return f"({' * '.join([_wrapped(base, names)] * int(exponent))})"
    if exponent.is_number and exponent < 0:
        return "real(1.0)" + "".join(f" / {_wrapped(each, names)}" for each in divisors(expr))
    return f"{_wrapped(base, names)} ** {_wrapped(exponent, names)}"


def _piecewise(expr: Any, names: Mapping[Any, str]) -> str:
    *branches, (otherwise, _) = expr.args
    text = _wrapped(otherwise, names)
    for value, condition in reversed(branches):
        left, right = (scalar_source(side, names) for side in condition.args)
        text = f"({_wrapped(value, names)} if {left} {condition.rel_op} {right} else {text})"
    return text


def _wrapped(expr: Any, names: Mapping[Any, str]) -> str:
    text = scalar_source(expr, names)
    loose = expr.is_Add or expr.is_Mul or (expr.is_Pow and text.startswith("real(1.0) /"))
    return f"({text})" if loose or text.startswith("-") else text
