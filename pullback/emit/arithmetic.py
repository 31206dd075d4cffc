"""Arithmetic on scalars as one line of source: ``loss = 0.05 * t + t_2 / n_batch``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def is_arithmetic(expr: Any) -> bool:
    """Only sums, products and whole powers of symbols and numbers."""
    if expr.is_Symbol or expr.is_number:
        return True
    if expr.is_Pow:
        return bool(expr.exp.is_Integer) and is_arithmetic(expr.base)
    return bool(expr.is_Add or expr.is_Mul) and all(map(is_arithmetic, expr.args))


def divisors(power: Any) -> list[Any]:
    """What to divide by, one after the other, for b⁻ᵏ: bⁿ itself may be 0 or infinite."""
    base, exponent = power.args
    if exponent >= 0:
        return []
    few = exponent.is_Integer and exponent >= -4
    return [base] * int(-exponent) if few else [1 / power]


def literal(expr: Any) -> str:
    """A number as the shortest source that reads back as the same float."""
    return repr(float(expr)) if not expr.is_Integer else f"{int(expr)}.0"


def arithmetic(expr: Any, names: Mapping[Any, str]) -> str:
    """The source of an expression for which ``is_arithmetic`` holds.

    >>> import sympy as sp
    >>> t, n = sp.symbols("t n")
    >>> arithmetic(2 - t / n, {t: "t", n: "n"})
    '2.0 - t / n'
    """
    if expr in names:
        return names[expr]
    if expr.is_number:
        return literal(expr)
    if expr.is_Add:
        first, *rest = sorted(expr.args, key=lambda term: term.could_extract_minus_sign())
        text = arithmetic(first, names)
        for term in rest:
            minus = term.could_extract_minus_sign()
            text += f" - {arithmetic(-term, names)}" if minus else f" + {arithmetic(term, names)}"
        return text
    if expr.is_Pow:
        base, power = _wrapped(expr.base, names), int(expr.exp)
        return f"1.0 / {base}" if power == -1 else f"{base} ** {power}"
    return _product(expr, names)


def _product(expr: Any, names: Mapping[Any, str]) -> str:
    below = [f for f in expr.args if f.is_Pow and f.exp.is_Integer and f.exp < 0]
    above = [f for f in expr.args if f not in below and f != -1]
    sign = "-" if -1 in expr.args else ""
    text = sign + (" * ".join(_wrapped(f, names) for f in above) or "1.0")
    return text + "".join(f" / {_wrapped(1 / f, names)}" for f in below)


def _wrapped(expr: Any, names: Mapping[Any, str]) -> str:
    text = arithmetic(expr, names)
    return f"({text})" if expr.is_Add else text
