"""Scalar functions of k arguments: a SymPy expression over x0 … x(k-1), interned and cached."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property, lru_cache
from typing import Any, ClassVar
from weakref import WeakValueDictionary

import numpy as np
import sympy as sp

from pullback.ir.normal.stable import stabilise
from pullback.ir.scalar.cases import branches
from pullback.ir.scalar.differentiate import differentiate
from pullback.ir.scalar.primitives import Array, primitive_of

_HELD = 1024  # derivatives of so many functions are remembered


@cache
def symbol(index: int) -> Any:
    """The placeholder x0, x1, … of one argument."""
    return sp.Symbol(f"x{index}", real=True)


OUTPUT = sp.Symbol("y", real=True)  # the placeholder of f's own value in a derivative


class Scalar:
    """One scalar function; equal expressions are one object.

    >>> square = Scalar.of(symbol(0) ** 2)
    >>> square.partial(0)
    2*x0
    """

    __slots__ = ("__dict__", "__weakref__", "arity", "expr")
    _known: ClassVar[WeakValueDictionary[Any, Scalar]] = WeakValueDictionary()
    expr: Any
    arity: int

    @classmethod
    def of(cls, expr: Any, arity: int | None = None) -> Scalar:
        expr = sp.sympify(expr, strict=True)
        if arity is None:
            arity = 1 + max((int(s.name[1:]) for s in expr.free_symbols), default=-1)
        key = (expr, arity)
        known = cls._known.get(key)
        if known is None:
            new = cls.__new__(cls)
            new.expr, new.arity = expr, arity
            known = cls._known.setdefault(key, new)
        return known

    def __repr__(self) -> str:
        return str(self.expr)

    def __reduce__(self) -> tuple[Any, ...]:
        return Scalar.of, (self.expr, self.arity)

    @cached_property
    def latex(self) -> str:
        """The function as LaTeX over x0, x1, …"""
        return str(sp.latex(self.expr))

    def partial(self, index: int, squares: frozenset[int] = frozenset()) -> Scalar:
        """∂f/∂x_index as a function of the same arguments.

        ``squares`` says which arguments are sums of squares: a norm has a slope where it is 0.
        """
        places = frozenset(map(symbol, squares))
        return Scalar.of(_derivative(self.expr, symbol(index), places), self.arity)

    def partial_from_output(self, index: int) -> Any:
        """∂f/∂x_index as an expression in ``OUTPUT`` alone where the rows allow it, else None."""
        return _derivative_from_output(self.expr, symbol(index))

    def __call__(self, *values: Any) -> Array:
        """The value at arrays, real or complex, by a slow, obvious walk; a constant everywhere."""
        arrays = [np.asarray(value) for value in values]
        found = np.asarray(evaluate_expr(self.expr, {symbol(i): a for i, a in enumerate(arrays)}))
        return np.array(np.broadcast_to(found, np.broadcast_shapes(*(a.shape for a in arrays))))


@lru_cache(maxsize=_HELD)
def _derivative(expr: Any, wrt: Any, squares: frozenset[Any]) -> Any:
    return stabilise(differentiate(expr, wrt, squares))


@lru_cache(maxsize=_HELD)
def _derivative_from_output(expr: Any, wrt: Any) -> Any:
    """For f = c·g(u) + d with numbers c, d and a row g whose derivative its output gives."""
    offset, scaled = expr.as_independent(*expr.free_symbols, as_Add=True)
    factor, call = scaled.as_independent(*expr.free_symbols, as_Add=False)
    row = primitive_of(call)
    from_output = None if row is None else row.from_output
    if call.is_Pow and call.exp == -sp.Rational(1, 2):
        from_output = _inverse_root_slope
    if factor == 0 or from_output is None:
        return None
    inner = differentiate(call.args[0], wrt)
    if inner.free_symbols:
        return None
    return stabilise(factor * inner * from_output((OUTPUT - offset) / factor))


def _inverse_root_slope(y: Any) -> Any:
    """The derivative of y = u^−½, which is −½ y³."""
    return -(y**3) / 2


def evaluate_expr(expr: Any, values: dict[Any, Array]) -> Any:
    """A SymPy expression at arrays; only our rows and arithmetic, so nothing is executed."""
    if expr in values:
        return values[expr]
    if (expr.is_number and not expr.args) or expr.is_NumberSymbol:
        return float(expr)
    args = expr.args
    if isinstance(expr, sp.Piecewise):
        return _piecewise(expr, values)
    if expr.is_Mul:
        return _product(args, values)
    parts = [evaluate_expr(arg, values) for arg in args]
    if expr.is_Add:
        return _fold(np.add, parts)
    if expr.is_Pow:
        return _power(args[1], parts[0], parts[1])
    if isinstance(expr, (sp.Max, sp.Min)):
        return _fold(np.maximum if isinstance(expr, sp.Max) else np.minimum, parts)
    row = primitive_of(expr)
    if row is None:
        raise TypeError(f"no row for {type(expr).__name__}")
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        return row.compute(np.asarray(parts[0], dtype=_number_type(parts[0])))


def divisor(factor: Any) -> tuple[Any, int] | None:
    """b and n of a factor b⁻ⁿ with a whole n."""
    if factor.is_Pow and factor.exp.is_Integer and factor.exp < 0:
        return factor.base, int(-factor.exp)
    return None


def divided(value: Any, by: Any, times: int) -> Any:
    """value / byⁿ; 1/by may be infinite where this is not."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for _ in range(times):
            value = value / by
    return value


def _product(factors: Sequence[Any], values: dict[Any, Array]) -> Any:
    """What is above the line, divided by each factor below it.

    1/√b as a factor would be 0 where b overflows, and so would the product, without a word.
    """
    below = [f for f in factors if f.is_Pow and f.exp.is_Rational and f.exp.is_negative]
    above = [f for f in factors if f not in below]
    total = _fold(np.multiply, [evaluate_expr(f, values) for f in above] or [1.0])
    for base, exponent in (factor.args for factor in below):
        by = evaluate_expr(base, values)
        if exponent.is_Integer:
            total = divided(total, by, int(-exponent))
        else:
            total = divided(total, _power(-exponent, by, float(-exponent)), 1)
    return total


def _number_type(value: Any) -> Any:
    held = isinstance(value, (np.ndarray, np.generic))
    return np.result_type(value, np.float32) if held else np.float64


def _fold(function: Any, parts: Sequence[Any]) -> Any:
    total = parts[0]
    for part in parts[1:]:
        total = function(total, part)
    return total


def _power(exponent: Any, base: Any, power: Any) -> Any:
    if exponent.is_Integer:
        power = int(exponent)
        return base**power if power >= 0 else divided(1.0, base, -power)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt(base) if exponent == sp.Rational(1, 2) else base**power


def _piecewise(expr: Any, values: dict[Any, Array]) -> Any:
    chosen, otherwise = branches(expr)
    with np.errstate(all="ignore"):
        result = evaluate_expr(otherwise, values)
        for value, condition in reversed(chosen):
            result = np.where(_holds(condition, values), evaluate_expr(value, values), result)
    return result


def _holds(condition: Any, values: dict[Any, Array]) -> Any:
    left, right = (np.real(evaluate_expr(side, values)) for side in condition.args)
    compare = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}
    compare |= {"==": np.equal, "!=": np.not_equal}
    return compare[condition.rel_op](left, right)
