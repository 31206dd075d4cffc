"""Scalar functions on the page: a SymPy expression over arguments that are formulas already."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import sympy as sp

from pullback.derive.formula.algebra import OPPOSITE, negative, scaled
from pullback.derive.formula.matrix import Matrix, add, apply, frame, multiply, reciprocal, spread
from pullback.derive.formula.tree import (
    Call,
    CasesFormula,
    Formula,
    Indicator,
    Negative,
    Norm,
    Number,
    Power,
    Quotient,
    Relation,
    Root,
    Sum,
    Symbol,
)
from pullback.ir.scalar.cases import branches
from pullback.ir.scalar.primitives import primitive_of

Leaves = Mapping[Any, Matrix]
_FLIPPED = {">": "<", "<": ">", "≥": "≤", "≤": "≥"}
_SIGNS = {">": ">", "<": "<", ">=": "≥", "<=": "≤", "==": "=", "!=": "≠"}


def elementwise(expr: Any, leaves: Leaves) -> Matrix:
    """The expression with its placeholders replaced.

    Raises TypeError for a SymPy function that is not a row of the primitives.
    """
    if expr in leaves:
        return leaves[expr]
    if expr.is_number:
        return Matrix(number(expr))
    if expr.is_Add:
        return add([elementwise(arg, leaves) for arg in expr.args])
    if expr.is_Mul:
        front, rest = expr.as_independent(*expr.free_symbols, as_Add=False)
        factors = [elementwise(arg, leaves) for arg in _multiplied_out(sp.Mul.make_args(rest))]
        return multiply([Matrix(number(front)), *factors])
    if expr.is_Pow:
        return _power(expr, leaves)
    if isinstance(expr, sp.Piecewise):
        return _cases(expr, leaves)
    if isinstance(expr, (sp.Max, sp.Min)):
        name = "max" if isinstance(expr, sp.Max) else "min"
        return apply(name, [elementwise(arg, leaves) for arg in expr.args])
    row = primitive_of(expr)
    if row is None:
        raise TypeError(f"no row for {type(expr).__name__}")
    if row.name == "step":
        left, sign, right = _condition(sp.Gt(expr.args[0], 0, evaluate=False), leaves)
        return Matrix(Indicator(Relation(left.formula, sign, right.formula)), left.axes)
    return apply(row.name, [elementwise(expr.args[0], leaves)])


def _multiplied_out(factors: Sequence[Any]) -> list[Any]:
    """The factors with 1 − u² for (1 − u)(1 + u), which keeps its digits where it is computed."""
    found = list(factors)
    for each in factors:
        other = 2 - each
        if each.is_Add and each in found and other in found and other != each:
            found[found.index(each)] = 1 - (each - 1) ** 2
            found.remove(other)
    return found


def number(value: float) -> Formula:
    """A number as people write it: 1/2 and 2/3 as fractions, 2/√π with a root, 0.01 as it is.

    >>> number(0.5)
    Quotient(over=Number(value=1), under=Number(value=2))
    """
    found = float(value)
    if found < 0:
        return negative(number(-found))
    if found.is_integer() and found < 1e6:
        return Number(int(found))
    ratio = _ratio(found)
    short = len(repr(found)) <= 6
    if ratio is not None and (ratio.denominator in (1, 2, 3, 4, 8, 16, 32, 64) or not short):
        return Quotient(Number(ratio.numerator), Number(ratio.denominator))
    for power in () if short else (0, 1, -1, 2, -2):
        square = _ratio(found**2 / math.pi**power)
        if square is not None:
            over = _root(square.numerator, max(power, 0))
            under = _root(square.denominator, max(-power, 0))
            if isinstance(over, Root) and isinstance(under, Root):
                return Root(Quotient(over.arg, under.arg))
            return over if under == Number(1) else Quotient(over, under)
    return Number(found)


def _ratio(value: float) -> Fraction | None:
    """The fraction of small whole numbers that this is, if it is one."""
    ratio = Fraction(value).limit_denominator(99)
    small = 0 < ratio.numerator < 100
    return ratio if small and abs(float(ratio) - value) < 2e-15 * value else None


def _root(value: int, power: int) -> Formula:
    """√(value · π^power) for a power of 0, 1 or 2."""
    pi, root = Symbol("π"), math.isqrt(value)
    inside: list[Formula] = [pi] if power == 1 else []
    outside: list[Formula] = [pi] if power == 2 else []
    if root**2 == value:
        outside.append(Number(root))
    else:
        inside.append(Number(value))
    return scaled([*outside, *([Root(scaled(inside, None))] if inside else [])], None)


def _power(expr: Any, leaves: Leaves) -> Matrix:
    base, exponent = expr.args
    if exponent.is_number and exponent < 0:
        return reciprocal(elementwise(base**-exponent, leaves))
    below = elementwise(base, leaves)
    half = below.formula
    if isinstance(half, Power) and isinstance(half.base, Norm) and (2 * exponent).is_Integer:
        return Matrix(_power_of_norm(half.base, int(2 * exponent)), below.axes)
    if exponent == sp.Rational(1, 2):
        return Matrix(Root(half), below.axes)
    above = elementwise(exponent, leaves)
    axes = frame((below, above))
    return Matrix(Power(spread(below, axes).formula, spread(above, axes).formula), axes)


def _power_of_norm(norm: Norm, power: int) -> Formula:
    """(‖v‖²)^(power/2)."""
    return norm if power == 1 else Power(norm, Number(power))


def _condition(condition: Any, leaves: Leaves) -> tuple[Matrix, str, Matrix]:
    """The two sides of a comparison, and what is between them."""
    left, right = (elementwise(side, leaves) for side in condition.args)
    sign = _SIGNS[condition.rel_op]
    if right.formula != Number(0):
        return left, sign, right
    match left.formula, sign:
        case Call("relu", (arg,)), ">":
            return _condition_of(Matrix(arg, left.axes), sign, right)
    return _condition_of(left, sign, right)


def _condition_of(left: Matrix, sign: str, zero: Matrix) -> tuple[Matrix, str, Matrix]:
    """A comparison with 0: without a minus in front, 1 − u > 0 as u < 1, max(x) − x > 0 as well."""
    match left.formula:
        case Negative(arg):
            return Matrix(arg, left.axes), _FLIPPED.get(sign, sign), zero
        case Sum((Number() as more, Negative(less))):
            return Matrix(less, left.axes), _FLIPPED.get(sign, sign), Matrix(more)
        case Sum((Call("max", (of,)) as most, Negative(each))) if of == each:
            return Matrix(each, left.axes), _FLIPPED.get(sign, sign), Matrix(most)
    return left, sign, zero


def _cases(expr: Any, leaves: Leaves) -> Matrix:
    chosen, otherwise = branches(expr)
    if len(chosen) == 1 and chosen[0][1].args == (chosen[0][0], otherwise):
        name = {">": "max", ">=": "max", "<": "min", "<=": "min"}.get(chosen[0][1].rel_op)
        if name is not None:
            return apply(name, [elementwise(each, leaves) for each in chosen[0][1].args])
    if len(chosen) == 1 and (chosen[0][0], otherwise) in ((1, 0), (0, 1)):
        left, sign, right = _condition(chosen[0][1], leaves)
        sign = sign if otherwise == 0 else OPPOSITE[sign]
        both = [spread(side, frame([left, right])).formula for side in (left, right)]
        return Matrix(Indicator(Relation(both[0], sign, both[1])), frame([left, right]))
    values = [elementwise(value, leaves) for value, _ in (*chosen, (otherwise, None))]
    holds = [*(_condition(condition, leaves) for _, condition in chosen), None]
    sides = [side for condition in holds if condition for side in condition[::2]]
    axes = frame([*values, *sides])

    def laid(part: Matrix) -> Formula:
        return spread(part, axes).formula

    spelled = tuple(
        (laid(value), Relation(laid(c[0]), c[1], laid(c[2])) if c else None)
        for value, c in zip(values, holds, strict=True)
    )
    return Matrix(CasesFormula(spelled), axes)
