"""What gradients have in common is named once: let R = C A − B C.

A residual is a sum that stands in them as a factor. It is worth a line of its own where it has
three symbols or more and is read twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import Any

from pullback.derive.formula.algebra import negative
from pullback.derive.formula.sides import UnknownSidesError, sides
from pullback.derive.formula.tidy import tidy
from pullback.derive.formula.tree import (
    Definition,
    Formula,
    Indexed,
    IndexSum,
    InverseFormula,
    Norm,
    Sum,
    Symbol,
    walk,
)
from pullback.derive.steps.listing import Line

FEWEST = 3  # symbols of a sum that has a name
MATRICES, COLUMNS = "RQPTU", "rqpsu"  # the first letter that is not taken


def residuals_named(lines: Sequence[Line], known: Iterable[Formula]) -> tuple[list[Line], ...]:
    """Definitions of what these lines have in common, and the lines with the names for it.

    ``known`` are the symbols of the page.
    """
    taken = {part.letter for each in known for part in walk(each) if isinstance(part, Symbol)}
    lets: list[Line] = []
    named = list(lines)
    while (residual := _repeated(named)) is not None:
        symbol = _symbol(residual, taken)
        if symbol is None:
            break
        taken.add(symbol.letter)
        lets.append(Line(f"let.{symbol.letter}", "value", Definition(symbol), residual))
        named = [replace(each, right=_with(each.right, residual, symbol)) for each in named]
    return lets, named


def _repeated(lines: Sequence[Line]) -> Sum | None:
    """The largest sum that stands in the lines twice or more, with either sign."""
    parts = [part for line in lines for part in walk(line.right)]
    found: list[Formula] = [part for part in parts if isinstance(part, Sum)]
    for inside in (part.arg for part in parts if isinstance(part, InverseFormula | Norm)):
        if isinstance(inside, Sum):  # a book leaves (A + B)⁻¹ and v/‖v‖ as they are
            found.remove(inside)
    sums = (each for each in dict.fromkeys(found) if isinstance(each, Sum))
    worth = [each for each in sums if _is_residual(each)]
    often = [each for each in worth if found.count(each) + found.count(negative(each)) > 1]
    return max(often, key=_symbols, default=None)


def _symbols(formula: Formula) -> int:
    return sum(isinstance(part, Symbol) for part in walk(formula))


def _is_residual(formula: Sum) -> bool:
    """Is it long enough, and not an entry, which has letters of its own as indices?"""
    entries = any(isinstance(part, Indexed | IndexSum) for part in walk(formula))
    return _symbols(formula) >= FEWEST and not entries


def _symbol(residual: Sum, taken: set[str]) -> Symbol | None:
    """A letter for it: a capital for a matrix."""
    try:
        down_and_across = sides(residual)
    except UnknownSidesError:
        return None
    letters = MATRICES if all(down_and_across) else COLUMNS
    free = next((letter for letter in letters if letter not in taken), None)
    return None if free is None else Symbol(free, key=f"let.{free}", sides=down_and_across)


def _with(formula: Formula, residual: Sum, symbol: Symbol) -> Formula:
    """The formula with the name of a residual, and minus the name where all signs are turned."""
    turned = negative(residual)
    found = _replaced(formula, {residual: symbol, turned: negative(symbol)})
    # a minus inside a product goes in front of it
    return tidy(found) if turned in walk(formula) else found


def _replaced(formula: Formula, names: dict[Formula, Formula]) -> Formula:
    if formula in names:
        return names[formula]

    def part(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(part, value))
        return _replaced(value, names) if isinstance(value, Formula) else value

    changes = {field.name: part(getattr(formula, field.name)) for field in fields(formula)}
    return replace(formula, **changes)
