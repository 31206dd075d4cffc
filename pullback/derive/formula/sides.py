"""What goes down and what goes across in a formula: which letters are matrices, its symbols say."""

from __future__ import annotations

from collections.abc import Iterable

from pullback.derive.formula.algebra import DIAGONAL, HALF, IDENTITY, SWAP
from pullback.derive.formula.tree import (
    Call,
    ExpectedValue,
    Formula,
    Hadamard,
    Indicator,
    InverseFormula,
    Kronecker,
    MatrixPower,
    Negative,
    Norm,
    Number,
    Ones,
    Power,
    ProductFormula,
    Quotient,
    Relation,
    Root,
    ScaledFormula,
    Sum,
    Symbol,
    Transpose,
)
from pullback.ir.scalar.primitives import PRIMITIVES

Sides = tuple[str, str]  # what goes down and what goes across; "" is neither, "?" is not known
SCALAR = ("", "")
ELEMENTWISE = {*PRIMITIVES, "max", "min"}
REDUCING = {"max", "logsumexp"}
_OF_ALL = {"tr", "det", "mean"}


class UnknownSidesError(Exception):
    """A formula whose sides are not known: it stays as it is."""


def sides(formula: Formula) -> Sides:
    """What goes down and what goes across in a formula: a column has the first only."""
    match formula:
        case Symbol(sides=known) if known is not None:
            return known
        case ExpectedValue(sides=known) if known is not None:
            return known
        case Symbol(letter) if formula == IDENTITY or letter in ("S", SWAP, HALF, DIAGONAL):
            return ("?", "?")
        case Kronecker():
            return ("?", "?")
        case Number() | Norm():
            return SCALAR
        case Ones():
            return ("?", "")
        case Negative(arg) | Root(arg):
            return sides(arg)
        case Transpose(arg) | InverseFormula(arg):
            return sides(arg)[::-1]
        case ProductFormula(factors):
            return sides(factors[0])[0], sides(factors[-1])[1]
        case ScaledFormula(body=body):
            return SCALAR if body is None else sides(body)
        case Sum(terms) | Hadamard(terms):
            return _united(map(sides, terms))
        case Quotient(over, under):
            return _united((sides(over), sides(under)))
        case MatrixPower(base):
            return sides(base)
        case Power(base, exponent):
            return _united((sides(base), sides(exponent)))
        case Call(function, args, over):
            if function in _OF_ALL:
                return SCALAR
            if function == "diag":
                down, across = sides(args[0])
                return (down, "") if across else (down, down)
            if function == "softmax" and not over:
                return sides(args[0])
            if function in ("vec", "vech", "mat"):
                return ("?", "?" if function == "mat" else "")
            if function in REDUCING and len(args) == 1 and not over:
                down, across = sides(args[0])
                return (down, "") if across else SCALAR
            if function in ELEMENTWISE and not over:
                return _united(map(sides, args))
        case Indicator(Relation(left, _, right)):
            return _united((sides(left), sides(right)))
    raise UnknownSidesError


def _united(several: Iterable[Sides]) -> Sides:
    rows, columns = zip(*several, strict=True)
    return _known(rows), _known(columns)


def _known(names: Iterable[str]) -> str:
    return max(names, key=lambda name: (bool(name), name != "?"))


def is_diagonal(formula: Formula) -> bool:
    """Is every entry beside the diagonal 0, as far as the letters say so?"""
    match formula:
        case Symbol(diagonal=True) | Hadamard((Symbol("I"), _)) | Hadamard((_, Symbol("I"))):
            return True
        case Call("diag", (arg,)):
            return not sides(arg)[1]
        case Negative(arg) | Transpose(arg) | InverseFormula(arg) | MatrixPower(arg):
            return is_diagonal(arg)
        case ScaledFormula(body=body) if body is not None:
            return is_diagonal(body)
        case ProductFormula(parts) | Sum(parts):
            return all(map(is_diagonal, parts))
    return formula == IDENTITY


def is_square(formula: Formula) -> bool:
    rows, columns = sides(formula)
    return rows == columns != "" and (rows != "?" or formula == IDENTITY)
