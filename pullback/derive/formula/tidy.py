"""Formulas as a person would leave them: like terms collected, common factors drawn out.

A transpose stands on the letters, or outside of the whole where that is shorter; a trace is written
tr; X X⁻¹ goes. What a rule may do depends on which letters are matrices: their symbols say it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import reduce
from itertools import pairwise
from operator import and_
from typing import Any

from pullback.derive.formula.algebra import (
    IDENTITY,
    hadamard,
    inverse,
    peel,
    product,
    scaled,
    total,
)
from pullback.derive.formula.elementwise import number
from pullback.derive.formula.sides import SCALAR, UnknownSidesError, is_diagonal, sides
from pullback.derive.formula.tree import (
    Call,
    Formula,
    Hadamard,
    InverseFormula,
    Kronecker,
    Negative,
    Norm,
    Number,
    Ones,
    Power,
    ProductFormula,
    Quotient,
    Root,
    ScaledFormula,
    Sum,
    Transpose,
)
from pullback.derive.formula.turned import cost, shorter, turned, with_parts, with_powers
from pullback.derive.formula.words import cancelled, number_of

Word = tuple[Formula, ...]
MOST_GROUPED = 8  # of the terms of a sum: every group of them is tried


def tidy(formula: Formula) -> Formula:
    """The same formula, shorter; as it was where a part of it is no matrix of letters."""
    found = formula
    try:
        found = _shortest(formula)
        body = peel(found)[1]
        if isinstance(body, Transpose) and isinstance(body.arg, Sum):
            # Xᵀ Xᵀ Aᵀ is longer than (A X²)ᵀ: other factors are worth drawing out there
            inner = _shortest(turned(formula))
            found = min(found, turned(inner), Transpose(inner), key=cost)
    except UnknownSidesError:
        pass
    return with_powers(found)


def _shortest(formula: Formula) -> Formula:
    found = shorter(_tidied(formula))
    while cost(again := shorter(_tidied(found))) < cost(found):
        found = again
    return found


def _tidied(formula: Formula) -> Formula:
    """A formula with its parts in order, then itself."""
    sides(formula)
    match formula:
        case Negative() | ScaledFormula() | ProductFormula() | Sum():
            return _sum(_terms(formula))
        case Transpose(arg):
            return turned(_tidied(arg))
        case InverseFormula(arg):
            front, inner = peel(shorter(_tidied(arg)))
            assert inner is not None
            column = _diagonal_of(inner)
            found = inverse(inner) if column is None else _diagonal(Quotient(Number(1), column))
            return scaled([Quotient(Number(1), each) for each in front], found)
        case Kronecker(left, right):
            return Kronecker(_tidied(left), _tidied(right))
        case Call("mat", (Call("vec", (arg,)),)) | Call("vec", (Call("mat", (arg,)),)):
            return _tidied(arg)
        case Call("diag", (arg,)):
            return _diagonal(_tidied(arg))
        case Hadamard(factors):
            return _entrywise(list(map(_tidied, factors)))
        case Call("log", (Call("abs", (Call("det", _) as det,)),)):
            return replace(formula, args=(Call("abs", (_tidied(det),)),))
        case Call("det", (arg,)):
            return Call("det", (_untransposed(_tidied(arg)),))
        case Call() | Quotient() | Power() | Root() | Norm():
            return with_parts(formula, _tidied)
    return formula


def _untransposed(formula: Formula) -> Formula:
    """Of a determinant: whichever of X and Xᵀ is shorter."""
    return min(formula, turned(formula), key=cost)


def _entrywise(factors: list[Formula]) -> Formula:
    """An elementwise product: scalars in front, I ⊙ X is the diagonal of X."""
    numbers, rest = list[Formula](), list[Formula]()
    for factor in factors:
        front, body = peel(factor)
        numbers += front
        rest += [] if body is None else [body]
    if IDENTITY in rest and len(rest) > 1:
        rest.remove(IDENTITY)
        return scaled(numbers, _on_diagonal(hadamard(rest)))
    return scaled(numbers, hadamard(rest)) if rest else scaled(numbers, None)


def _on_diagonal(formula: Formula) -> Formula:
    """X ⊙ I: a diagonal matrix is as it is, and stays in front of the others that it multiplies."""
    formula = formula.arg if isinstance(formula, Transpose) else formula
    if is_diagonal(formula):
        return formula
    front, body = peel(formula)
    match body:
        case Sum(terms) if any(isinstance(t, ProductFormula) and _ends(t)[0] for t in terms):
            return scaled(front, total(map(_on_diagonal, terms)))
        case ProductFormula() if _ends(body)[0]:
            outer, rest = _ends(body)
            inner = min(rest, turned(rest), key=cost)
            found = ProductFormula(
                (*outer, *(inner.factors if isinstance(inner, ProductFormula) else (inner,)))
            )
            return scaled(front, Hadamard((found, IDENTITY)))
    return Hadamard((formula, IDENTITY))


def _ends(product_of: ProductFormula) -> tuple[Word, Formula]:
    """The diagonal matrices that a product begins and ends with, and what is between them."""
    factors = list(product_of.factors)
    before, after = list[Formula](), list[Formula]()
    while is_diagonal(factors[0]):
        before.append(factors.pop(0))
    while is_diagonal(factors[-1]):
        after.append(factors.pop())
    inner = factors[0] if len(factors) == 1 else ProductFormula(tuple(factors))
    return (*before, *after), inner


@dataclass(frozen=True)
class _Term:
    """A number times scalars times a product of matrices."""

    number: Any  # a fraction, or a float that is none
    scalars: tuple[Formula, ...]
    word: Word

    @property
    def key(self) -> tuple[object, ...]:
        return tuple(sorted(map(repr, self.scalars))), self.word

    def formula(self) -> Formula:
        body: Formula | None = None
        for factor in self.word:
            body = factor if body is None else product(body, factor)
        return scaled([number(float(self.number)), *self.scalars], body)


def _terms(formula: Formula) -> list[_Term]:
    """The terms of a formula, each in order."""
    if isinstance(formula, Sum):
        return [term for each in formula.terms for term in _terms(each)]
    front, body = peel(formula)
    times, scalars = _numbers(front)
    if body is None:
        return [_Term(times, scalars, ())]
    if isinstance(body, ProductFormula):
        return _opened(_with(_word(body.factors), times, scalars))
    inner = _tidied(body)
    if not scalars and isinstance(inner.arg if isinstance(inner, Transpose) else inner, Sum):
        return [replace(each, number=each.number * times) for each in _terms_of_tidied(inner)]
    return [_with([inner], times, scalars)]


def _opened(term: _Term) -> list[_Term]:
    """diag(s) (I − 𝟏 sᵀ) as diag(s) − s sᵀ: a diagonal meets ones."""
    for at, (one, other) in enumerate(pairwise(term.word)):
        if not isinstance(other, Sum) or _diagonal_of(one) is None:
            continue
        inner = _terms_of_tidied(other)
        if any(each.word[:1] == (Ones(),) for each in inner):
            return [
                _with(
                    cancelled([*term.word[: at + 1], *each.word, *term.word[at + 2 :]]),
                    term.number * each.number,
                    (*term.scalars, *each.scalars),
                )
                for each in inner
            ]
    return [term]


def _diagonal(formula: Formula) -> Formula:
    """diag of a column or of a matrix; of a diagonal matrix it is its column.

    That of A diag(v) B is (A ⊙ Bᵀ) v.
    """
    inside = _diagonal_of(formula)
    if inside is not None:
        return inside
    front, body = peel(formula)
    match body:
        case Sum(terms) if all(sides(formula)):
            split = total(map(_diagonal, terms))
            return scaled(front, min(Call("diag", (body,)), split, key=cost))
        case ProductFormula((left, Call("diag", (column,)), right)) if not sides(column)[1]:
            return scaled(front, product(hadamard([left, turned(right)]), column))
        case None:
            return formula
    return scaled(front, Call("diag", (body,)))


def _diagonal_of(formula: Formula) -> Formula | None:
    """The column v of diag(v)."""
    match formula:
        case Call("diag", (column,)) if not sides(column)[1]:
            return column
    return None


def _terms_of_tidied(formula: Formula) -> list[_Term]:
    if isinstance(formula, Transpose) and isinstance(formula.arg, Sum):
        formula = total(turned(term) for term in formula.arg.terms)
    if isinstance(formula, Sum):
        return [term for each in formula.terms for term in _terms_of_tidied(each)]
    return [_with([formula], Fraction(1), ())]


def _with(factors: Sequence[Formula], times: Any, scalars: Word) -> _Term:
    """A term of factors that are in order, their numbers in front."""
    word: list[Formula] = []
    for factor in factors:
        front, body = peel(factor)
        more, others = _numbers(front)
        times, scalars = times * more, (*scalars, *others)
        if isinstance(body, ProductFormula):
            word += body.factors
        elif body is not None:
            word.append(body)
    if len(word) > 1:
        word = [factor for factor in word if factor != IDENTITY] or [IDENTITY]
    if len(word) == 1 and isinstance(word[0], Number):
        return _Term(times * _exact(word[0].value), scalars, ())
    return _Term(times, scalars, tuple(word))


def _numbers(front: Iterable[Formula]) -> tuple[Any, Word]:
    times: Any = Fraction(1)
    rest: list[Formula] = []
    for factor in front:
        match factor:
            case Negative(Number(value)):
                times = times * -_exact(value)
            case Number(value):
                times = times * _exact(value)
            case Quotient(Number(over), Number(under)):
                times = times * _exact(over) / _exact(under)
            case _:
                inner, body = peel(_tidied(factor))
                if inner and body is not None:
                    more, others = _numbers(inner)
                    times, rest = times * more, [*rest, *others, body]
                elif isinstance(body, Number):
                    times = times * _exact(body.value)
                else:
                    more, others = _numbers(inner)
                    times, rest = times * more, [*rest, *others, *([body] if body else [])]
    return times, tuple(rest)


def _exact(value: float) -> Fraction | float:
    return Fraction(value) if float(value).is_integer() else value


def _word(factors: Sequence[Formula]) -> list[Formula]:
    """The factors of a product in order: what cancels is gone, and a scalar has its best form."""
    word: list[Formula] = []
    for factor in factors:
        inner = shorter(_tidied(factor), beside=len(factors) > 1)
        word += inner.factors if isinstance(inner, ProductFormula) else [inner]
    word = cancelled(word)
    if len(word) > 1 and (sides(word[0])[0], sides(word[-1])[1]) == SCALAR:
        return [number_of(word)]
    return word


def _sum(terms: list[_Term]) -> Formula:
    """The sum of terms: like ones collected, what all have drawn out on both sides."""
    collected: dict[tuple[object, ...], _Term] = {}
    for term in terms:
        known = collected.get(term.key)
        times = term.number + (known.number if known else 0)
        collected[term.key] = replace(term, number=times)
    found = [term for term in collected.values() if term.number and Number(0) not in term.scalars]
    if not found:
        return Number(0)
    if len(found) == 1:
        return found[0].formula()
    common, rest = _scalars_in_common(found)
    if abs(rest[0].number) != 1 and len({abs(term.number) for term in rest}) == 1:
        common = _Term(common.number * abs(rest[0].number), common.scalars, ())
        rest = [replace(term, number=term.number / abs(term.number)) for term in rest]
    before, after, rest = _ends_in_common(rest)
    drawn_out = before or after or common.scalars or common.number != 1
    if drawn_out and all(term.number < 0 for term in rest):
        common = replace(common, number=-common.number)
        rest = [replace(term, number=-term.number) for term in rest]
    inner = _grouped(rest)
    if not (before or after):
        return scaled([number(float(common.number)), *common.scalars], inner)
    middle = _sum(_terms_of_tidied(shorter(inner)))
    word = cancelled([*before, middle, *after])
    drawn = _with(word, common.number, common.scalars).formula()
    plain = scaled(
        [number(float(common.number)), *common.scalars],
        total(replace(t, word=(*before, *t.word, *after)).formula() for t in rest),
    )
    return min(drawn, plain, key=cost)


def _grouped(terms: list[_Term]) -> Formula:
    """The sum of terms that have nothing in common: what some of them have is drawn out of these.

    ½ A x + ½ Aᵀ x + b is ½ (A + Aᵀ) x + b.
    """
    best = total(term.formula() for term in terms)
    if not 2 < len(terms) <= MOST_GROUPED:
        return best
    groups: dict[tuple[object, ...], list[_Term]] = {}
    for term in terms:
        front = abs(term.number), tuple(sorted(map(repr, term.scalars)))
        if term.scalars or abs(term.number) != 1:
            groups.setdefault((front,), []).append(term)
        for end in (0, -1) if len(term.word) > 1 else ():
            groups.setdefault((front, end, term.word[end]), []).append(term)
    for shared, group in groups.items():
        if 1 < len(group) < len(terms):
            others = [term for term in terms if term not in group]
            found = total([_sum(group), _grouped(others)])
            if cost(found) - (len(shared) > 1) < cost(best):  # (A + Aᵀ) x, though it is as long
                best = found
    return best


def _scalars_in_common(terms: list[_Term]) -> tuple[_Term, list[_Term]]:
    """The scalars that all terms have, and the terms without; matrices only are left by them."""
    counts = [Counter(term.scalars) for term in terms]
    held = [*reduce(and_, counts).elements()]
    if not held or not all(term.word for term in terms):
        return _Term(Fraction(1), (), ()), terms
    rest = []
    for term in terms:
        scalars = list(term.scalars)
        for each in held:
            scalars.remove(each)
        rest.append(replace(term, scalars=tuple(scalars)))
    return _Term(Fraction(1), tuple(held), ()), rest


def _ends_in_common(terms: list[_Term]) -> tuple[Word, Word, list[_Term]]:
    """What the products of all terms begin and end with; something is left of each."""
    words = [term.word for term in terms]
    if not all(words):
        return (), (), terms
    room = min(map(len, words)) - 1
    before = after = 0
    while before < room and len({word[before] for word in words}) == 1:
        before += 1
    while after < room - before and len({word[-1 - after] for word in words}) == 1:
        after += 1
    first = words[0]
    rest = [replace(t, word=t.word[before : len(t.word) - after]) for t in terms]
    # a number, or a row beside a matrix, would broadcast
    shapes = {tuple(map(bool, (sides(t.word[0])[0], sides(t.word[-1])[1]))) for t in rest}
    if len(shapes) > 1 or shapes == {(False, False)}:
        return (), (), terms
    return first[:before], first[len(first) - after :], rest
