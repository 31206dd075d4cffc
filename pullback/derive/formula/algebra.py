"""Formulas put together so that they read well: scalars in front, ``p − t`` for ``−t + p``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache

from pullback.derive.formula.tree import (
    Call,
    CasesFormula,
    Formula,
    Hadamard,
    Indexed,
    IndexSum,
    Indicator,
    InverseFormula,
    Kronecker,
    Negative,
    Number,
    Partial,
    Power,
    ProductFormula,
    Quotient,
    Relation,
    ScaledFormula,
    Sum,
    Symbol,
    Transpose,
    walk,
)

IDENTITY = Symbol("I")
# letters that no variable has: a column of I; K vec(X) = vec(Xᵀ), L vec(X) = vech(X), and
# Ψ v = vec(diag(v)) (Magnus, Linear Structures, 1988)
UNIT, SWAP, HALF, DIAGONAL = "𝐞", "𝐊", "𝐋", "𝚿"
OPPOSITE = {">": "≤", "<": "≥", "≥": "<", "≤": ">", "=": "≠", "≠": "="}
SMALL = 1e-3  # a number that only keeps a sum from 0


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
    match flat:
        case [Number(1), Negative(Indicator(Relation(left, sign, right)))]:
            return Indicator(Relation(left, OPPOSITE[sign], right))
    if common := _common(flat):
        return scaled(common, total(_without(term, common) for term in flat))
    return flat[0] if len(flat) == 1 else Sum(tuple(sorted(flat, key=_term_order)))


def _common(terms: Sequence[Formula]) -> list[Formula]:
    """The choices that every term of a sum has in front of a body: too long to stand twice."""
    fronts = [peel(term) for term in terms]
    if len(terms) < 2 or any(body is None for _, body in fronts):
        return []
    first, *rest = (scalars for scalars, _ in fronts)
    held = [s for s in first if s != _MINUS and any(isinstance(p, CasesFormula) for p in walk(s))]
    return [scalar for scalar in held if all(scalar in each for each in rest)]


def _without(term: Formula, common: Sequence[Formula]) -> Formula:
    scalars, body = peel(term)
    return scaled([scalar for scalar in scalars if scalar not in common], body)


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
    """The matrix product, flat: it is associative, and an identity in it says nothing."""
    flat: list[Formula] = []
    for factor in (left, right):
        flat.extend(factor.factors if isinstance(factor, ProductFormula) else (factor,))
    told = [factor for factor in flat if factor != IDENTITY] or flat[:1]
    return ProductFormula(tuple(told)) if len(told) > 1 else told[0]


def transpose(formula: Formula) -> Formula:
    """fᵀ, moved to the factors of a matrix product in reverse order."""
    if isinstance(formula, Transpose):
        return formula.arg
    if formula == IDENTITY or (isinstance(formula, Call) and formula.function == "diag"):
        return formula
    if isinstance(formula, ProductFormula):
        return ProductFormula(tuple(transpose(factor) for factor in reversed(formula.factors)))
    if isinstance(formula, Kronecker):
        return Kronecker(transpose(formula.left), transpose(formula.right))
    if isinstance(formula, ScaledFormula) and formula.body is not None:
        return ScaledFormula(formula.scalars, transpose(formula.body))
    if isinstance(formula, Negative):
        return Negative(transpose(formula.arg))
    return Transpose(formula)


def inverse(formula: Formula) -> Formula:
    """f⁻¹; that of an inverse is what it is of, and a transpose goes outside."""
    if isinstance(formula, InverseFormula):
        return formula.arg
    if isinstance(formula, Transpose):
        return Transpose(inverse(formula.arg))
    return formula if formula == IDENTITY else InverseFormula(formula)


def peel(formula: Formula) -> tuple[tuple[Formula, ...], Formula | None]:
    """The scalars in front of a formula, a minus among them as −1, and the rest."""
    if isinstance(formula, Negative):
        scalars, body = peel(formula.arg)
        return (Negative(Number(1)), *scalars), body
    if isinstance(formula, ScaledFormula):
        return formula.scalars, formula.body
    return (), formula


def scaled(scalars: Iterable[Formula], body: Formula | None) -> Formula:
    """Scalars times a body: one sign, one fraction, then the rest in their natural order."""
    over, under = _cancelled(*_sorted_out(scalars))
    sign = -1 if sum(f == _MINUS for f in over) % 2 else 1
    above, below = _numbers(over), _numbers(under)
    if isinstance(above, int) and isinstance(below, int):
        common = math.gcd(above, below)
        above, below = above // common, below // common
    elif below != 1:
        above, below = above / below, 1
    divisor = _in_front([*_front(below), *_letters(under)], None)
    if divisor != Number(1):
        front = [Quotient(Number(above), divisor), *_letters(over)]
    else:
        front = [*_front(above), *_letters(over)]
    if sign < 0 and isinstance(body, Sum) and any(isinstance(t, Negative) for t in body.terms):
        sign, body = 1, negative(body)
    formula = _in_front(front, body)
    return negative(formula) if sign < 0 else formula


_MINUS = Negative(Number(1))


def _sorted_out(scalars: Iterable[Formula]) -> tuple[list[Formula], list[Formula]]:
    """The single factors of some scalars: those above and those below the fraction's bar."""
    over: list[Formula] = []
    under: list[Formula] = []
    waiting = list(scalars)
    while waiting:
        scalar = waiting.pop(0)
        outer, core = peel(scalar)
        if outer and scalar != _MINUS:
            waiting = [*outer, *([core] if core is not None else []), *waiting]
        elif isinstance(scalar, Quotient) and isinstance(scalar.over, Number):
            above, below = _sorted_out([scalar.under])
            over += [scalar.over, *below]
            under += above
        else:
            over.append(scalar)
    return over, under


def _cancelled(over: list[Formula], under: list[Formula]) -> tuple[list[Formula], list[Formula]]:
    """Without what stands both above and below the bar."""
    for factor in [each for each in under if not isinstance(each, Number)]:
        if factor in over:
            over.remove(factor)
            under.remove(factor)
    return over, under


def _numbers(factors: Iterable[Formula]) -> int | float:
    return math.prod(factor.value for factor in factors if isinstance(factor, Number))


def _front(number: int | float) -> list[Formula]:
    return [] if number == 1 else [Number(number)]


def _letters(factors: Sequence[Formula]) -> list[Formula]:
    """What is no number, each once: a scalar that stands twice is squared."""
    times = {f: factors.count(f) for f in factors if not isinstance(f, Number) and f != _MINUS}
    powers = [f if n == 1 else Power(f, Number(n)) for f, n in times.items()]
    return sorted(powers, key=lambda f: (len(_quantities(_base(f))), factor_order(f)))


def _base(formula: Formula) -> Formula:
    """σ of σ²: a power of a letter stands where the letter would."""
    match formula:
        case Power(Symbol() as base, Number()):
            return base
    return formula


def _in_front(front: Sequence[Formula], body: Formula | None) -> Formula:
    if Number(0) in front:
        return Number(0)
    if not front:
        return Number(1) if body is None else body
    return front[0] if body is None and len(front) == 1 else ScaledFormula(tuple(front), body)


def degree(formula: Formula) -> int:
    """How many quantities are multiplied: W x has 2, b has 1, a number 0."""
    if isinstance(formula, (ProductFormula, Hadamard)):
        return sum(degree(factor) for factor in formula.factors)
    if isinstance(formula, ScaledFormula):
        return sum(degree(part) for part in formula.parts)
    if isinstance(formula, (Symbol, Partial, Indexed)):
        return 1
    return max((degree(part) for part in formula.parts), default=0)


_COLOUR_ORDER = {"plain": 0, "parameter": 1, "data": 2, "backward": 3, "forward": 4, "loss": 5}
Order = tuple[object, ...]


def factor_order(formula: Formula) -> Order:
    """A carried error W δ first, then W before x before δ before z, then the shorter one."""
    inside = _quantities(formula)
    symbols = [part for part in inside if isinstance(part, Symbol)]
    colours = tuple(_COLOUR_ORDER[s.colour] for s in symbols)
    carried = isinstance(formula, (ProductFormula, IndexSum)) and any(
        s.colour == "backward" for s in symbols
    )
    return not carried, colours[:1], len(inside), colours, _places(inside), repr(formula)


@lru_cache(maxsize=4096)  # sorting asks for it again and again
def _term_order(formula: Formula) -> Order:
    inside = list(walk(formula))
    minus, place = isinstance(formula, Negative), 1
    if isinstance(formula, Number):
        place = 2 if formula.value < SMALL else 0  # 1 − a², but σ² + ε
    return minus, place, -degree(formula), _places(inside), len(inside), repr(formula)


def _quantities(formula: Formula) -> list[Formula]:
    """What is inside a formula, without what stands in an index."""
    if isinstance(formula, Indexed):
        return [formula, *walk(formula.symbol)]
    return [formula, *(each for part in formula.parts for each in _quantities(part))]


def _places(inside: Iterable[Formula]) -> tuple[int, ...]:
    return tuple(part.place for part in inside if isinstance(part, Symbol))
