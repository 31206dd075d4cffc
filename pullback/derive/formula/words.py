"""Products of matrices: what cancels in them, and those that are one number."""

from __future__ import annotations

from collections.abc import Sequence

from pullback.derive.formula.algebra import (
    DIAGONAL,
    IDENTITY,
    SWAP,
    UNIT,
    hadamard,
    inverse,
    peel,
    product,
    scaled,
    total,
)
from pullback.derive.formula.sides import SCALAR, UnknownSidesError, is_square, sides
from pullback.derive.formula.tree import (
    Call,
    Formula,
    Hadamard,
    InverseFormula,
    Norm,
    Number,
    Ones,
    Power,
    ProductFormula,
    ScaledFormula,
    Sum,
    Symbol,
    Transpose,
)
from pullback.derive.formula.turned import cost, order, turned


def cancelled(word: list[Formula]) -> list[Formula]:
    """Without X X⁻¹; of (A X)⁻¹ A, where A is square, X⁻¹ is left; (I ⊙ X) 𝟏 is diag(X)."""
    at = 0
    while at + 1 < len(word):
        merged = _met(word[at], word[at + 1])
        if merged is None:
            at += 1
            continue
        word[at : at + 2] = merged
        at = max(0, at - 1)
    return word or [IDENTITY]


def _met(left: Formula, right: Formula) -> list[Formula] | None:
    """What is left of two neighbours, if they cancel."""
    if left == IDENTITY or right == IDENTITY:
        return [right if left == IDENTITY else left]
    match left, right:
        case Call("diag", (a,)), Call("diag", (b,)) if not sides(a)[1] and not sides(b)[1]:
            return [Call("diag", (hadamard([a, b]),))]
        case Symbol(letter=sign), Symbol(letter=behind) if (sign, behind) == (SWAP, DIAGONAL):
            return [right]
    for one, other, first in ((left, right, True), (turned(right), turned(left), False)):
        if other == Ones() and (unit := _unit(one)) is not None:
            return [unit if first else Transpose(unit)]
    for one, other, first in ((left, right, True), (right, turned(left), False)):
        if other == Ones() and (inner := _diagonal(one)) is not None:
            column = (
                inner.args[0]
                if inner is one and isinstance(inner, Call)
                else (Call("diag", (inner,)))
            )
            return [column if first else turned(column)]
    for one, other, first in ((left, right, True), (right, left, False)):
        under = _inverted(one)
        if under is None:
            continue
        inside = under.factors if isinstance(under, ProductFormula) else (under,)
        # (A X)⁻¹ A loses A at its end, A (A X)⁻¹ … would need it at its beginning
        end, rest = (inside[0], inside[1:]) if first else (inside[-1], inside[:-1])
        if end == other and is_square(end):
            if not rest:
                return []
            kept = rest[0] if len(rest) == 1 else ProductFormula(rest)
            return [_inverse_of(kept)]
    return None


def _unit(formula: Formula) -> Formula | None:
    """The column of I that a slice of one entry picks: Sᵀ of S[2:3] is it, times 1."""
    match formula:
        case Transpose(Symbol("S", index)) if isinstance(index, str):
            start, _, stop = index.partition(":")
            if stop == str(int(start or 0) + 1) or (start, stop) == ("-1", ""):
                return Symbol(UNIT, start or "0", sides=("?", ""))
    return None


def _inverted(formula: Formula) -> Formula | None:
    """What a formula is the inverse of: X of X⁻¹, Xᵀ of X⁻ᵀ."""
    if isinstance(formula, InverseFormula):
        return formula.arg
    if isinstance(formula, Transpose) and isinstance(formula.arg, InverseFormula):
        return turned(formula.arg.arg)
    return None


def _inverse_of(formula: Formula) -> Formula:
    """The inverse, transposed where what is inside is shorter so."""
    other = turned(formula)
    return inverse(formula) if cost(formula) <= cost(other) else turned(inverse(other))


def number_of(word: Sequence[Formula]) -> Formula:
    """A product that is one number: vᵀ w, tr(A B), whichever way round is shorter."""
    first, last = word[0], word[-1]
    trace = _trace_of(word[1]) if len(word) == 3 else None
    if trace is not None and (first, last) == (Transpose(Ones()), Ones()):
        return trace
    if len(word) == 2:
        for one, other in ((first, last), (turned(last), turned(first))):
            match one, other:
                case Transpose(Ones()), Call("softmax"):
                    return Number(1)
                case Transpose(Ones()), Call("diag", (arg,)) if sides(arg)[1]:
                    return _trace(arg)
        if turned(first) == last != Ones():
            return Power(Norm(last), Number(2))
    found = ProductFormula(tuple(word))
    return min(found, turned(found, of_scalar=True), key=order)


def _trace_of(middle: Formula) -> Formula | None:
    """The trace that 𝟏ᵀ M 𝟏 is: of a diagonal, or of A ⊙ B."""
    match middle:
        case Transpose(arg):
            return _trace_of(arg)
        case ScaledFormula(scalars, body) if body is not None:
            inner = _trace_of(body)
            return None if inner is None else scaled([*scalars, inner], None)
        case Hadamard((one, Sum(terms))) | Hadamard((Sum(terms), one)):
            parts = [(front, body) for front, body in map(peel, terms) if body is not None]
            if len(parts) == len(terms) and all(all(sides(body)) for _, body in parts):
                traces = ((front, _trace_of(hadamard([one, body]))) for front, body in parts)
                return total(scaled([*front, each], None) for front, each in traces if each)
        case Hadamard((one, other)):
            return _trace(product(turned(one), other))
    return None


def _trace(formula: Formula) -> Formula:
    """tr of a product, begun where it has the fewest transposes."""
    front, body = peel(formula)
    if body is None:
        raise UnknownSidesError
    word = body.factors if isinstance(body, ProductFormula) else (body,)
    if len(word) == 1 and not isinstance(word[0], Transpose):
        return scaled(front, Call("tr", (word[0],)))
    best: Formula | None = None
    for way in (word, tuple(turned(factor) for factor in reversed(word))):
        for at in range(len(way)):
            cycle = cancelled([*way[at:], *way[:at]])
            if (sides(cycle[0])[0], sides(cycle[-1])[1]) == SCALAR:
                each = cycle[0] if len(cycle) == 1 else ProductFormula(tuple(cycle))
            else:
                each = Call("tr", (cycle[0] if len(cycle) == 1 else ProductFormula(tuple(cycle)),))
            best = each if best is None else min(best, each, key=order)
    assert best is not None
    return scaled(front, best)


def _diagonal(formula: Formula) -> Formula | None:
    """The matrix whose diagonal is all that a formula has: M of M ⊙ I."""
    match formula:
        case Hadamard((one, other)) if IDENTITY in (one, other):
            return other if one == IDENTITY else one
        case Call("diag", (arg,)) if not sides(arg)[1]:
            return formula
    return None
