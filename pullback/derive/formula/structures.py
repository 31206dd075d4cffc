"""What a symmetric or diagonal matrix makes of a derivative by any matrix, as a matrix itself.

With G the slope by any matrix, vec(G + Gᵀ − G ⊙ I) is (I + 𝐊 − 𝚿 𝚿ᵀ) vec(G).
"""

from __future__ import annotations

from functools import reduce

from pullback.derive.formula.algebra import (
    DIAGONAL,
    IDENTITY,
    SWAP,
    peel,
    product,
    scaled,
    transpose,
)
from pullback.derive.formula.tree import (
    Formula,
    Negative,
    Number,
    ProductFormula,
    Quotient,
    Sum,
    Symbol,
)
from pullback.ir.language.parse import Structure
from pullback.net.structure import Symmetric


def between(before: Formula, inner: Formula, after: Formula) -> Formula:
    """A derivative by any matrix between two of these, beside which 𝐊 changes nothing."""
    front, body = peel(inner)
    match body:
        case ProductFormula((*rest, Symbol(letter=letter))) if letter == SWAP and after != IDENTITY:
            body = reduce(product, rest)
    assert body is not None
    return scaled(front, product(product(before, body), after))


def projected(structure: Structure, symmetric: Symmetric) -> Formula:
    """The matrix that takes vec(G) to the vec of the slope by such a matrix."""
    on_diagonal = product(Symbol(DIAGONAL), transpose(Symbol(DIAGONAL)))
    if structure == "diag":
        return on_diagonal
    if structure != "sym":
        return IDENTITY
    if symmetric == "part":
        return scaled([Quotient(Number(1), Number(2))], Sum((IDENTITY, Symbol(SWAP))))
    return Sum((IDENTITY, Symbol(SWAP), Negative(on_diagonal)))
