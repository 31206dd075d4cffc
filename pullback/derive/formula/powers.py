"""Powers in a finished formula: X X X is X³, and where a matrix is raised entry by entry, X⊙³."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from itertools import groupby
from typing import Any

from pullback.derive.formula.sides import UnknownSidesError, is_square, sides
from pullback.derive.formula.tree import (
    Formula,
    InverseFormula,
    MatrixPower,
    Power,
    ProductFormula,
    Transpose,
)


def raised(formula: Formula) -> Formula:
    """The formula with its powers as such."""
    formula = _inside(formula, raised)
    match formula:
        case Power(base) if _is_matrix(base):
            return replace(formula, marked=True)
        case ProductFormula(factors):
            runs = [_run(factor, len(list(same))) for factor, same in groupby(factors)]
            return runs[0] if len(runs) == 1 else ProductFormula(tuple(runs))
        case InverseFormula(MatrixPower(base, times)):
            return MatrixPower(base, -times)
    return formula


def _run(factor: Formula, times: int) -> Formula:
    """A factor some times beside itself."""
    if times == 1:
        return factor
    match factor:
        case Transpose(arg):
            return Transpose(_run(arg, times))
        case InverseFormula(arg):
            return MatrixPower(arg, -times)
    return MatrixPower(factor, times) if is_square(factor) else ProductFormula((factor,) * times)


def _is_matrix(formula: Formula) -> bool:
    try:
        return all(sides(formula))
    except UnknownSidesError:
        return False


def _inside(formula: Formula, change: Callable[[Formula], Formula]) -> Formula:
    """The formula with each part changed."""

    def part(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(part, value))
        return change(value) if isinstance(value, Formula) else value

    if not formula.parts:
        return formula
    return replace(formula, **{f.name: part(getattr(formula, f.name)) for f in fields(formula)})
