"""Sums as a book has them: h² v + h k v is h (h + k) v, and the highest powers come first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from pullback.derive.formula.algebra import peel, scaled, total
from pullback.derive.formula.elementwise import number
from pullback.derive.formula.sides import SCALAR, UnknownSidesError, sides
from pullback.derive.formula.tree import (
    Formula,
    Hadamard,
    Indexed,
    Negative,
    Number,
    Ones,
    Partial,
    Power,
    ProductFormula,
    Quotient,
    Root,
    ScaledFormula,
    Sum,
    Symbol,
    walk,
)

Sizes = frozenset[tuple[Formula, int]]  # each length with its power


def with_sizes_collected(formula: Formula) -> Formula:
    """The same sum, in which what is multiplied by lengths of axes stands once."""
    front, body = peel(formula)
    if not isinstance(body, Sum):
        return formula
    groups: dict[tuple[object, ...], dict[Sizes, float]] = {}
    rests: dict[tuple[object, ...], tuple[list[Formula], Formula | None]] = {}
    for term in body.terms:
        value, sizes, rest, inner = _parted(term)
        if inner is not None and not _is_matrix(inner):
            rest, inner = [*rest, inner], None
        key: tuple[object, ...] = (tuple(sorted(map(repr, rest))), inner)
        rests.setdefault(key, (rest, inner))
        held = groups.setdefault(key, {})
        held[sizes] = held.get(sizes, 0.0) + value
    numbers = len(groups) > 1 and all(inner is None for _, inner in rests.values())
    common = _least([each for held in groups.values() for each in held]) if numbers else {}
    if len(groups) == len(body.terms) and not common:
        return formula
    terms = []
    for key, held in groups.items():
        several = {_less(sizes, common): value for sizes, value in held.items() if value}
        if several:
            terms.append(_collected(several, *rests[key]))
    if len(terms) == 1:
        more, inner_body = peel(terms[0])
        return _in_order([*front, *_powers(common), *more], inner_body)
    return _in_order([*front, *_powers(common)], total(terms))


def _collected(several: Mapping[Sizes, float], rest: list[Formula], body: Formula | None
               ) -> Formula:  # fmt: skip
    """What is multiplied by a sum of products of lengths, as one term."""
    least = _least(list(several))
    shared = min(abs(value) for value in several.values())
    shared = shared if all((value / shared).is_integer() for value in several.values()) else 1.0
    parts = [
        scaled([number(value / shared), *_powers(dict(_less(sizes, least)))], None)
        for sizes, value in sorted(several.items(), key=lambda each: -_degree(each[0]))
    ]
    inner = parts[0] if len(parts) == 1 else Sum(tuple(parts))
    return _in_order([number(shared), *_powers(least), *rest, inner], body)


def _in_order(front: list[Formula], body: Formula | None) -> Formula:
    """Scalars with a sum of lengths right behind the lengths: k (h + k + 1) σ²."""
    scalars, inner = peel(scaled(front, body))
    sums = [each for each in scalars if _is_length(each) and isinstance(each, Sum)]
    if inner is not None and isinstance(inner, Sum) and body is None and _is_length(inner):
        sums, inner = [*sums, inner], None
    if not sums:
        return scaled(front, body)
    others = [each for each in scalars if each not in sums]
    lengths = [each for each in others if _is_length(each)]
    found = [*lengths, *sums, *(each for each in others if each not in lengths)]
    return ScaledFormula(tuple(found), inner) if inner is not None or len(found) > 1 else found[0]


def _parted(term: Formula) -> tuple[float, Sizes, list[Formula], Formula | None]:
    """The number, the lengths, the other scalars, and the body of a term."""
    scalars, body = peel(term)
    value, sizes, rest = 1.0, Counter[Formula](), list[Formula]()
    waiting = [*scalars, *([body] if body is not None and _is_length(body) else [])]
    body = None if body is not None and _is_length(body) else body
    for scalar in waiting:
        sign = -1.0 if isinstance(scalar, Negative) else 1.0
        match scalar.arg if isinstance(scalar, Negative) else scalar:
            case Number(found):
                value *= sign * found
            case Quotient(Number(over), Number(under)):
                value *= sign * over / under
            case Quotient(Number(over), under) if _is_length(under):
                value *= sign * over
                sizes.subtract(dict([_power(under)]))
            case found if _is_length(found):
                value *= sign
                sizes.update(dict([_power(found)]))
            case _:
                rest.append(scalar)
    return value, frozenset(sizes.items()), rest, body


def _power(formula: Formula) -> tuple[Formula, int]:
    match formula:
        case Power(base, Number(power)):
            return base, int(power)
    return formula, 1


def _is_length(formula: Formula) -> bool:
    """Is it a length of an axis, or made of such?"""
    match formula:
        case Symbol():
            return not formula.key and formula.sides == ("", "")
        case Power(base, Number()):
            return _is_length(base)
        case Number() | Negative(Number()) | Quotient(Number(), Number()):
            return True
        case Negative(arg):
            return _is_length(arg)
        case Quotient(Number(), under):
            return _is_length(under)
        case Sum(terms):
            return all(map(_is_length, terms))
        case ScaledFormula(scalars, body):
            return all(map(_is_length, scalars)) and (body is None or _is_length(body))
    return False


def _is_matrix(formula: Formula) -> bool:
    try:
        return sides(formula) != SCALAR
    except UnknownSidesError:
        return True


def _least(several: list[Sizes]) -> dict[Formula, int]:
    """The lengths that all products have, each with its least power."""
    bases = dict.fromkeys(base for sizes in several for base, _ in sizes)
    found = {base: min(dict(sizes).get(base, 0) for sizes in several) for base in bases}
    return {base: power for base, power in found.items() if power}


def _less(sizes: Sizes, least: Mapping[Formula, int]) -> Sizes:
    have = dict(sizes)
    left = {base: have.get(base, 0) - least.get(base, 0) for base in {*have, *least}}
    return frozenset((base, power) for base, power in left.items() if power)


def _powers(sizes: Mapping[Formula, int]) -> list[Formula]:
    found: list[Formula] = []
    for base, power in sorted(sizes.items(), key=lambda each: repr(each[0])):
        whole = base if abs(power) == 1 else Power(base, Number(abs(power)))
        found.append(whole if power > 0 else Quotient(Number(1), whole))
    return found


def _degree(sizes: Sizes) -> int:
    return sum(power for _, power in sizes)


def in_book_order(formula: Formula) -> Formula:
    """The same sum with what has the most factors first, √(2/π) before letters: μ⁴ + 6 μ² σ²."""
    if not isinstance(formula, Sum):
        return _constants_first(formula)
    terms = [_constants_first(term) for term in formula.terms]
    letters = sorted(
        {each for term in terms for each in walk(term) if isinstance(each, Symbol) and each.key},
        key=lambda each: (each.place, each.key),
    )

    def place(term: Formula) -> tuple[object, ...]:
        powers = _letter_powers(term)
        first = () if powers is None else tuple(-powers[letter] for letter in letters)
        return isinstance(term, Negative), -_factors(term), first

    plain = all(_letter_powers(term) is not None for term in terms)
    return Sum(tuple(sorted(terms, key=lambda term: place(term)[: 2 + plain])))


def _constants_first(formula: Formula) -> Formula:
    """A product with √(2/π) before what has letters of variables."""
    if not isinstance(formula, ScaledFormula):
        return formula
    scalars, body = formula.scalars, formula.body
    if body is not None and _is_constant(body):  # of σ √(2/π) the letter is left
        *scalars_, last = (body, *scalars)
        return ScaledFormula(tuple(scalars_), last)
    return ScaledFormula(tuple(sorted(scalars, key=lambda each: not _is_constant(each))), body)


def _is_constant(formula: Formula) -> bool:
    inside = walk(formula)
    return not any(
        each == Ones() or (isinstance(each, Symbol) and each.letter != "π") for each in inside
    )


def _letter_powers(formula: Formula) -> Counter[Formula] | None:
    """The power of each letter in a product of letters, and None of what is none."""
    match formula:
        case Negative(arg):
            return _letter_powers(arg)
        case Symbol():
            return Counter([formula])
        case Power(Symbol() as base, Number(power)) if float(power).is_integer():
            return Counter({base: int(power)})
        case Number() | Quotient(Number(), Number()) | Root():
            return Counter()
        case ScaledFormula():
            found = Counter[Formula]()
            for part in formula.parts:
                inner = _letter_powers(part)
                if inner is None:
                    return None
                found += inner
            return found
    return None


def _factors(formula: Formula) -> int:
    """How many quantities are multiplied, lengths of axes aside: μ² σ² has 4."""
    match formula:
        case _ if _is_length(formula):
            return 0
        case Power(base, Number(power)) if float(power).is_integer():
            return _factors(base) * int(power)
        case ProductFormula() | Hadamard() | ScaledFormula():
            return sum(map(_factors, formula.parts))
        case Symbol() | Indexed() | Partial():
            return 1
    return max(map(_factors, formula.parts), default=0)
