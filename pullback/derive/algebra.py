"""Formulas put together so that they read well: scalars in front, ``p − t`` for ``−t + p``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pullback.derive.formula import (
    Formula,
    Hadamard,
    Indexed,
    Negative,
    Number,
    Partial,
    Power,
    Product,
    Quotient,
    Scaled,
    Sum,
    Symbol,
    Transpose,
    walk,
)


def negative(formula: Formula) -> Formula:
    """−f; inside a sum every sign is turned round, and two minuses are none."""
    if isinstance(formula, Negative):
        return formula.arg
    if isinstance(formula, Sum):
        return total(negative(term) for term in formula.terms)
    if formula == Number(0):
        return formula
    return Negative(formula)


def total(terms: Iterable[Formula]) -> Formula:
    """The sum in its natural order: W x + b, 1 − a², p − t."""
    flat: list[Formula] = []
    for term in terms:
        flat.extend(term.terms if isinstance(term, Sum) else (term,))
    flat = [term for term in flat if term != Number(0)]
    if not flat:
        return Number(0)
    return flat[0] if len(flat) == 1 else Sum(tuple(sorted(flat, key=_term_order)))


def hadamard(factors: Iterable[Formula]) -> Formula:
    """Elementwise product: equal factors become powers, reciprocals one fraction."""
    flat: list[Formula] = []
    for factor in factors:
        flat.extend(factor.factors if isinstance(factor, Hadamard) else (factor,))
    under = [f.under for f in flat if isinstance(f, Quotient) and f.over == Number(1)]
    if under:
        over = [f for f in flat if not (isinstance(f, Quotient) and f.over == Number(1))]
        return Quotient(hadamard(over) if over else Number(1), hadamard(under))
    count = dict.fromkeys(flat, 0)
    for factor in flat:
        count[factor] += 1
    powers = [f if n == 1 else Power(f, Number(n)) for f, n in count.items()]
    return powers[0] if len(powers) == 1 else Hadamard(tuple(sorted(powers, key=factor_order)))


def product(left: Formula, right: Formula) -> Formula:
    """The matrix product, flat: it is associative."""
    flat: list[Formula] = []
    for factor in (left, right):
        flat.extend(factor.factors if isinstance(factor, Product) else (factor,))
    return Product(tuple(flat))


def transpose(formula: Formula) -> Formula:
    """fᵀ, moved to the factors of a matrix product in reverse order."""
    if isinstance(formula, Transpose):
        return formula.arg
    if isinstance(formula, Product):
        return Product(tuple(transpose(factor) for factor in reversed(formula.factors)))
    if isinstance(formula, Scaled) and formula.body is not None:
        return Scaled(formula.scalars, transpose(formula.body))
    if isinstance(formula, Negative):
        return Negative(transpose(formula.arg))
    return Transpose(formula)


def peel(formula: Formula) -> tuple[tuple[Formula, ...], Formula | None]:
    """The scalars in front of a formula, a minus among them as −1, and the rest."""
    if isinstance(formula, Negative):
        scalars, body = peel(formula.arg)
        return (Negative(Number(1)), *scalars), body
    if isinstance(formula, Scaled):
        return formula.scalars, formula.body
    return (), formula


def scaled(scalars: Iterable[Formula], body: Formula | None) -> Formula:
    """Scalars times a body: one sign, one fraction, then the rest in their natural order."""
    sign, over, under, rest = 1, Number(1), [], []
    waiting = list(scalars)
    while waiting:
        scalar = waiting.pop(0)
        outer, core = peel(scalar)
        if outer and scalar != Negative(Number(1)):
            waiting = [*outer, *([core] if core is not None else []), *waiting]
        elif isinstance(scalar, Negative):
            sign = -sign
        elif isinstance(scalar, Number):
            over = Number(over.value * scalar.value)
        elif isinstance(scalar, Quotient) and isinstance(scalar.over, Number):
            over = Number(over.value * scalar.over.value)
            under.append(scalar.under)
        else:
            rest.append(scalar)
    front = sorted(_powers(rest), key=factor_order)
    if under:
        front.insert(0, Quotient(over, _denominator(under)))
    elif over != Number(1) or (not front and body is None):
        front.insert(0, over)
    if sign < 0 and isinstance(body, Sum) and any(isinstance(t, Negative) for t in body.terms):
        sign, body = 1, negative(body)
    formula = _in_front(front, body)
    return negative(formula) if sign < 0 else formula


def _in_front(front: Sequence[Formula], body: Formula | None) -> Formula:
    if front and front[0] == Number(0):
        return Number(0)
    if body is None and len(front) == 1:
        return front[0]
    if body is not None and not front:
        return body
    return Scaled(tuple(front), body)


def _powers(scalars: Sequence[Formula]) -> list[Formula]:
    """A scalar that stands twice as its square."""
    times = {scalar: scalars.count(scalar) for scalar in scalars}
    return [f if n == 1 else Power(f, Number(n)) for f, n in times.items()]


def _denominator(under: Sequence[Formula]) -> Formula:
    return under[0] if len(under) == 1 else scaled(under, None)


def degree(formula: Formula) -> int:
    """How many quantities are multiplied: W x has 2, b has 1, a number 0."""
    if isinstance(formula, (Product, Hadamard)):
        return sum(degree(factor) for factor in formula.factors)
    if isinstance(formula, Scaled):
        return sum(degree(part) for part in formula.parts)
    if isinstance(formula, (Symbol, Partial, Indexed)):
        return 1
    return max((degree(part) for part in formula.parts), default=0)


_COLOUR_ORDER = {"plain": 0, "parameter": 1, "data": 2, "backward": 3, "forward": 4, "loss": 5}
Order = tuple[object, ...]


def factor_order(formula: Formula) -> Order:
    """Matrix products first, then W before x before δ before z, then the shorter one."""
    inside = list(walk(formula))
    colours = tuple(_COLOUR_ORDER[s.colour] for s in inside if isinstance(s, Symbol))
    matrix = not isinstance(formula, Product)
    return matrix, colours[:1], len(inside), colours, _places(inside), repr(formula)


def _term_order(formula: Formula) -> Order:
    inside = list(walk(formula))
    minus, constant = isinstance(formula, Negative), not isinstance(formula, Number)
    return minus, constant, -degree(formula), _places(inside), len(inside), repr(formula)


def _places(inside: Iterable[Formula]) -> tuple[int, ...]:
    return tuple(part.place for part in inside if isinstance(part, Symbol))
