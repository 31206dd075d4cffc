"""What signs mean that not every reader knows: said once, where they stand."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pullback.derive.formula.algebra import DIAGONAL, HALF, SWAP, UNIT
from pullback.derive.formula.tree import Call, Formula, MatrixPower, Power, Symbol

_SIGNS: tuple[tuple[Callable[[Formula], bool], str], ...] = (
    (lambda part: isinstance(part, MatrixPower), "X³ of a matrix is X X X."),
    (
        lambda part: isinstance(part, Power) and part.marked,
        "X⊙³ has the entries of X to the third.",
    ),
    (
        lambda part: isinstance(part, Symbol) and part.letter == UNIT,
        f"{UNIT}ₖ is column k of I, counted from 0.",
    ),
    (
        lambda part: isinstance(part, Call) and part.function == "mat",
        "mat(v) is the matrix of which v is the vec.",
    ),
    (
        lambda part: isinstance(part, Symbol) and part.letter == SWAP,
        f"{SWAP} puts vec(X) in the order of vec(Xᵀ): {SWAP} vec(X) = vec(Xᵀ).",
    ),
    (
        lambda part: isinstance(part, Symbol) and part.letter == HALF,
        f"{HALF} takes the lower triangle: {HALF} vec(X) = vech(X).",
    ),
    (
        lambda part: isinstance(part, Symbol) and part.letter == DIAGONAL,
        f"{DIAGONAL} puts a vector on the diagonal: {DIAGONAL} v = vec(diag(v)), "
        f"{DIAGONAL}ᵀ vec(X) = diag(X).",
    ),
)


def explained(formulas: Iterable[Formula]) -> list[str]:
    """A sentence for each sign of some formulas, and of their parts, that has to be told."""
    found: set[int] = set()
    for part in formulas:
        found |= {at for at, (stands, _) in enumerate(_SIGNS) if stands(part)}
    return [_SIGNS[at][1] for at in sorted(found)]
