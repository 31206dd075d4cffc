"""Transposes: on the letters, or outside of the whole where that is shorter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

from pullback.derive.formula.algebra import IDENTITY, hadamard, negative, peel, scaled, total
from pullback.derive.formula.powers import raised
from pullback.derive.formula.sides import ELEMENTWISE, SCALAR, UnknownSidesError, sides
from pullback.derive.formula.text import Text
from pullback.derive.formula.tree import (
    Call,
    ExpectedValue,
    Formula,
    Hadamard,
    InverseFormula,
    Kronecker,
    MatrixPower,
    Negative,
    Norm,
    Number,
    Power,
    ProductFormula,
    Quotient,
    Root,
    ScaledFormula,
    Sum,
    Symbol,
    Transpose,
    walk,
)

_write = Text()
MOST_KEPT = 4096  # of what has been found of parts: they are asked again and again


@lru_cache(maxsize=MOST_KEPT)
def turned(formula: Formula, of_scalar: bool = False) -> Formula:
    """The transpose, on the letters; a number is its own."""
    if sides(formula) == SCALAR and not of_scalar:
        return formula
    match formula:
        case Transpose(arg):
            return arg
        case Negative(arg):
            return negative(turned(arg))
        case MatrixPower(base) if turned(base) == base:
            return formula
        case ScaledFormula(scalars, body) if body is not None:
            return scaled(scalars, turned(body))
        case ProductFormula(factors):
            return ProductFormula(tuple(turned(factor) for factor in reversed(factors)))
        case Sum(terms):
            return min(Transpose(formula), total(turned(term) for term in terms), key=cost)
        case Hadamard(factors) if IDENTITY in factors:
            return formula
        case Hadamard(factors):
            return min(hadamard(map(turned, factors)), Transpose(formula), key=cost)
        case Symbol(symmetric=True):
            return formula
        case Call("diag", (arg,)) if not sides(arg)[1]:
            return formula
        case Kronecker(left, right):
            return Kronecker(turned(left), turned(right))
        case InverseFormula(arg):
            other = turned(arg)
            if other == arg:
                return formula
            if cost(other) < cost(arg):
                return InverseFormula(other)
        case ExpectedValue(arg, known) if known is not None:
            return ExpectedValue(turned(arg), known[::-1])
        case Quotient() | Power() | Root() | Call():
            inside = with_parts(formula, _turned_inside)
            if isinstance(formula, Call) and formula.function not in ELEMENTWISE:
                return Transpose(formula)
            return min(Transpose(formula), inside, key=cost)
    return formula if formula == IDENTITY else Transpose(formula)


def _turned_inside(formula: Formula) -> Formula:
    return turned(formula)


def shorter(formula: Formula, beside: bool = False) -> Formula:
    """The formula, or the transpose of its transpose where that is shorter.

    ``beside`` others in a product a sum has brackets: (x − a)ᵀ is shorter there.
    """
    if sides(formula) == SCALAR:
        return formula
    front, body = peel(formula)
    if body is None:
        return formula
    if isinstance(body, (ProductFormula, Sum, Hadamard)):
        other = turned(body)
        here = cost(body) + 2 * (beside and isinstance(body, Sum))
        if not isinstance(other, Transpose) and cost(Transpose(other)) < here:
            body = Transpose(other)
    return _over(front, body)


def _over(front: Sequence[Formula], body: Formula) -> Formula:
    """(x − a)/‖x − a‖ for (1/‖x − a‖) (x − a), where that is shorter."""
    match front:
        case (Quotient(Number(1), under),) if not isinstance(body, ProductFormula | Hadamard):
            return min(scaled(front, body), Quotient(body, under), key=cost)
    return scaled(front, body)


@lru_cache(maxsize=MOST_KEPT)
def cost(formula: Formula) -> int:
    """How long it is once it is printed, X X X as X³."""
    return len(_write(raised(formula)))


def with_powers(formula: Formula) -> Formula:
    """The formula with its powers as such; transposed as a whole where that is shorter then."""
    found = raised(formula)
    front, body = peel(formula)
    if body is None or not isinstance(body, ProductFormula):
        return found
    try:
        if sides(body) == SCALAR:
            return found
        other = scaled(front, Transpose(raised(turned(body))))
    except UnknownSidesError:
        return found
    return min(found, other, key=cost)


def order(formula: Formula) -> tuple[object, ...]:
    """The shorter one first, then the one whose letters stand as they were declared."""
    places = tuple(part.place for part in walk(formula) if isinstance(part, Symbol))
    return cost(formula), places


def with_parts(formula: Formula, change: Callable[[Formula], Formula]) -> Formula:
    match formula:
        case Call(args=args):
            return replace(formula, args=tuple(map(change, args)))
        case Quotient(over, under):
            return Quotient(change(over), change(under))
        case Power(base, exponent):
            return Power(change(base), change(exponent))
        case Root(arg):
            return Root(change(arg))
        case Norm(arg):
            return Norm(change(arg))
    return formula
