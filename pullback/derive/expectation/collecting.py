"""Terms that differ in lengths of axes only, as one: h² v + h k v is h (h + k) v."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pullback.derive.formula.algebra import peel, scaled, total
from pullback.derive.formula.elementwise import number
from pullback.derive.formula.tree import Formula, Negative, Number, Power, Quotient, Sum, Symbol

Sizes = tuple[tuple[Formula, int], ...]  # each length with its power


def with_sizes_collected(formula: Formula) -> Formula:
    """The same sum, in which what is multiplied by lengths of axes stands once."""
    front, body = peel(formula)
    if not isinstance(body, Sum):
        return formula
    groups: dict[tuple[object, ...], dict[Sizes, float]] = {}
    rests: dict[tuple[object, ...], tuple[list[Formula], Formula | None]] = {}
    for term in body.terms:
        value, sizes, rest, inner = _parted(term)
        key: tuple[object, ...] = (tuple(sorted(map(repr, rest))), inner)
        rests.setdefault(key, (rest, inner))
        held = groups.setdefault(key, {})
        held[sizes] = held.get(sizes, 0.0) + value
    if len(groups) == len(body.terms):
        return formula
    terms = []
    for key, held in groups.items():
        rest, inner = rests[key]
        least = Counter(dict(next(iter(held))))
        for sizes in held:
            least &= Counter(dict(sizes))
        shared = min(abs(value) for value in held.values())
        shared = shared if all((value / shared).is_integer() for value in held.values()) else 1.0
        parts = [
            scaled([number(value / shared), *_powers(Counter(dict(sizes)) - least)], None)
            for sizes, value in sorted(held.items(), key=lambda each: -sum(n for _, n in each[0]))
            if value
        ]
        if parts:
            several = parts[0] if len(parts) == 1 else Sum(tuple(parts))
            terms.append(scaled([number(shared), *_powers(least), *rest, several], inner))
    return scaled(front, total(terms))


def _parted(term: Formula) -> tuple[float, Sizes, list[Formula], Formula | None]:
    """The number, the lengths, the other scalars, and the body of a term."""
    scalars, body = peel(term)
    value, sizes, rest = 1.0, Counter[Formula](), list[Formula]()
    waiting = [*scalars, *([body] if body is not None and _is_scalar_size(body) else [])]
    body = None if body is not None and _is_scalar_size(body) else body
    for scalar in waiting:
        match scalar:
            case Number(found):
                value *= found
            case Negative(Number(found)):
                value *= -found
            case Quotient(Number(over), Number(under)):
                value *= over / under
            case Power(base, Number(power)) if _is_size(base):
                sizes[base] += int(power)
            case _ if _is_size(scalar):
                sizes[scalar] += 1
            case _:
                rest.append(scalar)
    in_order = sorted(sizes.items(), key=lambda each: repr(each[0]))
    return value, tuple(in_order), rest, body


def _is_size(formula: Formula) -> bool:
    return isinstance(formula, Symbol) and not formula.key and formula.sides == ("", "")


def _is_scalar_size(formula: Formula) -> bool:
    base = formula.base if isinstance(formula, Power) else formula
    return isinstance(base, Number) or _is_size(base)


def _powers(sizes: Counter[Formula]) -> Iterable[Formula]:
    for base, power in sorted(sizes.items(), key=lambda each: repr(each[0])):
        yield base if power == 1 else Power(base, Number(power))
