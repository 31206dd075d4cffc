"""Numbers beside columns and matrices in a finished sum: c 𝟏, b 𝟏 𝟏ᵀ.

Entry by entry a number goes without: 1 + log(x).
"""

from __future__ import annotations

from pullback.derive.formula.algebra import IDENTITY, peel, product, scaled, total, transpose
from pullback.derive.formula.sides import SCALAR, UnknownSidesError, sides
from pullback.derive.formula.tree import Formula, Ones, ProductFormula, Sum, Symbol, walk


def repeated(formula: Formula) -> Formula:
    """The sum with ones for every number that goes to all entries.

    >>> from pullback.derive.formula.text import Text
    >>> c, w = Symbol("c", sides=SCALAR), Symbol("w", sides=("n", ""))
    >>> Text()(repeated(Sum((w, c))))
    'w + c 𝟏'
    """
    front, body = peel(formula)
    if not isinstance(body, Sum):
        return formula
    try:
        down, across = sides(body)
        numbers = [term for term in body.terms if sides(term) == SCALAR]
    except UnknownSidesError:
        return formula
    rest = [term for term in body.terms if term not in numbers]
    of_letters = any(_is_of_letters(peel(term)[1]) for term in rest)
    spelled = of_letters or any(isinstance(part, Symbol) for t in numbers for part in walk(t))
    if not numbers or not down or not rest or not spelled:
        return formula
    ones = product(Ones(), transpose(Ones())) if across else Ones()
    return scaled(front, total([*rest, *(scaled([term], ones) for term in numbers)]))


def _is_of_letters(formula: Formula | None) -> bool:
    """Is it a product of matrices, or a letter, to which no person adds a number?"""
    return isinstance(formula, ProductFormula | Symbol) or formula == IDENTITY
