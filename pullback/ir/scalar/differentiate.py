"""The derivative of a scalar expression by the rows: what SymPy's own form would lose is kept.

SymPy has 1 − tanh² for tanh, x**k·k/x for a power and Heaviside for a maximum: 0 in the tail, 0/0
at 0, and a distribution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sympy as sp

from pullback.ir.scalar.cases import is_guard, one_where_zero, zero_where_zero
from pullback.ir.scalar.primitives import fn, primitive_of

ZERO, ONE = sp.Integer(0), sp.Integer(1)


def differentiate(expr: Any, wrt: Any, squares: frozenset[Any] = frozenset()) -> Any:
    """∂expr/∂wrt, one-sided at kinks: ties of a maximum share, a case has its own slope.

    ``squares`` are symbols that stand for sums of squares: the slope of a root of them is finite.
    Raises TypeError for a function that is not a row of the primitives.

    >>> x, k = sp.symbols("x k", real=True)
    >>> differentiate(sp.tanh(2 * x), x), differentiate(x**k, x)
    (2*sech2(2*x), k*Piecewise((1, Eq(k, 0)), (x, True))**(k - 1))
    """
    return _Derivative(wrt, squares).of(expr)


@dataclass(frozen=True)
class _Derivative:
    wrt: Any
    squares: frozenset[Any]

    def of(self, expr: Any) -> Any:
        if self.wrt not in expr.free_symbols:
            return ZERO
        if expr == self.wrt:
            return ONE
        if expr.is_Add:
            return sp.Add(*map(self.of, expr.args))
        if expr.is_Mul:
            return self._product(expr.args)
        if expr.is_Pow:
            return self._power(*expr.args)
        if isinstance(expr, sp.Piecewise):
            if is_guard(expr):
                return self.of(expr.args[-1][0])
            return self._cases(expr)
        if isinstance(expr, (sp.Max, sp.Min)):
            return self._largest(expr)
        (inner,) = expr.args
        if isinstance(expr, sp.Abs):
            return fn("sign")(inner) * self.of(inner)
        if isinstance(expr, sp.sign):
            return ZERO
        row = primitive_of(expr)
        if row is None:
            raise TypeError(f"no row for {type(expr).__name__}")
        return row.derivative(inner) * self.of(inner)

    def _cases(self, expr: Any) -> Any:
        """Each case by itself; what is negative in all of them is minus what may have a name."""
        slopes = [(self.of(value), holds) for value, holds in expr.args]
        if all(slope == 0 or slope.could_extract_minus_sign() for slope, _ in slopes):
            return -expr.func(*((-slope, holds) for slope, holds in slopes))
        return expr.func(*slopes)

    def _product(self, factors: Any) -> Any:
        terms = []
        for at, factor in enumerate(factors):
            change = self.of(factor)
            if change != 0:
                terms.append(sp.Mul(*factors[:at], change, *factors[at + 1 :]))
        return sp.Add(*terms)

    def _power(self, base: Any, exponent: Any) -> Any:
        """k bᵏ⁻¹ db + bᵏ log b dk, where 0 · ∞ is 0: in 0ᵏ log 0, and in the slope of ‖v‖ at 0."""
        found = ZERO
        if (change := self.of(base)) != 0:
            if self._has_no_slope_at_zero(base, exponent):
                power = zero_where_zero(base, lambda held: held ** (exponent - 1))
            else:
                power = self._held(base, exponent, exponent * change) ** (exponent - 1)
            found += exponent * power * change
        if (change := self.of(exponent)) != 0:
            nonzero = base if base.is_positive else one_where_zero(base, base)
            found += base**exponent * sp.log(nonzero) * change
        return found

    def _held(self, base: Any, exponent: Any, factor: Any) -> Any:
        """The base of bᵏ⁻¹, which is infinite at 0 if k < 1, and then stands beside a 0."""
        if base.is_positive or (exponent.is_number and not 0 < exponent < 1):
            return base
        if not exponent.is_number:
            return one_where_zero(factor, base)
        return one_where_zero(factor, base) if base.is_Mul and not factor.is_number else base

    def _has_no_slope_at_zero(self, base: Any, exponent: Any) -> bool:
        """Is it a power of ‖v‖ from the first on and below the second? Its slope at 0 is 0."""
        if base.is_positive or not exponent.is_number:
            return False
        return bool(sp.Rational(1, 2) <= exponent < 1 and self._is_square(base))

    def _is_square(self, expr: Any) -> bool:
        """Is it a sum of squares, which has the slope 0 where it is 0?"""
        if expr.is_Add:
            return all(map(self._is_square, expr.args))
        if expr.is_Mul:
            return all(part.is_positive or self._is_square(part) for part in expr.args)
        even = expr.is_Pow and expr.exp.is_Integer and expr.exp > 0 and expr.exp % 2 == 0
        return bool(expr in self.squares or even)

    def _largest(self, expr: Any) -> Any:
        """Each argument's slope where it is the largest, or the smallest; ½ at a tie of two."""
        sign = 1 if isinstance(expr, sp.Max) else -1
        terms = []
        for arg in expr.args:
            others = (each for each in expr.args if each is not arg)
            wins = [fn("heaviside")(sign * (arg - each)) for each in others]
            terms.append(sp.Mul(self.of(arg), *wins))
        return sp.Add(*terms)
