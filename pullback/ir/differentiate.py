"""The derivative of a scalar expression by the rows: what SymPy's own form would lose is kept.

SymPy has 1 − tanh² for tanh, x**k·k/x for a power and Heaviside for a maximum: 0 in the tail, 0/0
at 0, and a distribution.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from pullback.ir.cases import Piecewise
from pullback.ir.primitives import fn, primitive_of

ZERO, ONE = sp.Integer(0), sp.Integer(1)


def differentiate(expr: Any, wrt: Any) -> Any:
    """∂expr/∂wrt, one-sided at kinks: ties of a maximum share, a case has its own slope.

    Raises TypeError for a function that is not a row of the primitives.

    >>> x, k = sp.symbols("x k", real=True)
    >>> differentiate(sp.tanh(2 * x), x), differentiate(x**k, x)
    (2*sech2(2*x), k*x**(k - 1))
    """
    if wrt not in expr.free_symbols:
        return ZERO
    if expr == wrt:
        return ONE
    if expr.is_Add:
        return sp.Add(*(differentiate(term, wrt) for term in expr.args))
    if expr.is_Mul:
        return _product(expr.args, wrt)
    if expr.is_Pow:
        return _power(*expr.args, wrt)
    if isinstance(expr, sp.Piecewise):
        return expr.func(*((differentiate(value, wrt), holds) for value, holds in expr.args))
    if isinstance(expr, (sp.Max, sp.Min)):
        return _largest(expr, wrt)
    if isinstance(expr, sp.Abs):
        return fn("sign")(expr.args[0]) * differentiate(expr.args[0], wrt)
    if isinstance(expr, sp.sign):
        return ZERO
    row = primitive_of(expr)
    if row is None:
        raise TypeError(f"no row for {type(expr).__name__}")
    return row.derivative(expr.args[0]) * differentiate(expr.args[0], wrt)


def _product(factors: Any, wrt: Any) -> Any:
    terms = []
    for at, factor in enumerate(factors):
        change = differentiate(factor, wrt)
        if change != 0:
            terms.append(sp.Mul(*factors[:at], change, *factors[at + 1 :]))
    return sp.Add(*terms)


def _power(base: Any, exponent: Any, wrt: Any) -> Any:
    """k bᵏ⁻¹ db + bᵏ log b dk, with 0 for 0ᵏ log 0 as its limit is."""
    found = ZERO
    if (change := differentiate(base, wrt)) != 0:
        found += exponent * base ** (exponent - 1) * change
    if (change := differentiate(exponent, wrt)) != 0:
        nonzero = base if base.is_positive else Piecewise((1, sp.Eq(base, 0)), (base, True))
        found += base**exponent * sp.log(nonzero) * change
    return found


def _largest(expr: Any, wrt: Any) -> Any:
    """Each argument's slope where it is the largest (of a minimum: the smallest); ½ at a tie."""
    sign = 1 if isinstance(expr, sp.Max) else -1
    terms = []
    for arg in expr.args:
        wins = [(1 + fn("sign")(sign * (arg - each))) / 2 for each in expr.args if each is not arg]
        terms.append(sp.Mul(differentiate(arg, wrt), *wins))
    return sp.Add(*terms)
