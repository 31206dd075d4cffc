"""The symbols of an expectation: variables by their names, and what laws are given by."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pullback.derive.expectation.law import RandomTensor
from pullback.derive.formula.alphabet import GREEK
from pullback.derive.formula.symbols import letter_and_index
from pullback.derive.formula.tree import ExpectedValue, Formula, Symbol
from pullback.derive.formula.variables import sides_of, variable_symbols
from pullback.ir import Input, Node
from pullback.net.expression import Expression


def symbol_of(name: str, place: int = 0) -> Symbol:
    """A name as a letter with an index: mu_w is μ with w below.

    >>> symbol_of("mu_w").letter, symbol_of("mu_w").index
    ('μ', 'w')
    """
    found = re.fullmatch(r"([^\W_]+)_([^\W_]+)", name)
    if found and (found[1] in GREEK or len(found[1]) == 1):
        letter, index = GREEK.get(found[1], found[1]), found[2]
    else:
        letter, index = letter_and_index(name)
    return Symbol(letter, index, key=name, place=place)


def symbols_of(expression: Expression, laws: Mapping[Node, RandomTensor]) -> dict[Node, Formula]:
    """The symbol of every variable and of every parameter of a law."""
    random = [law.leaf for law in laws.values()]
    matrices = [leaf for leaf in random if len(leaf.axes) > 1]  # aᵀ x, but tr(Wᵀ A W B)
    found = variable_symbols(expression, random, Symbol("E"), first=matrices)
    for law in laws.values():
        of = found[law.leaf]
        assert isinstance(of, Symbol)
        own: dict[Input | None, Formula] = {
            law.cov: Symbol("Σ", of, sides=sides_of(law.leaf.axes * 2), symmetric=True),
            law.rows: Symbol("U", of, symmetric=True),
            law.columns: Symbol("V", of, symmetric=True),
        }
        for leaf in law.parameters:
            if leaf in found:
                continue
            sides = sides_of(leaf.axes)
            if leaf.name not in law.arrays:
                named = symbol_of(leaf.name, len(found))
                found[leaf] = _with(named, sides, leaf in law.symmetric)
            elif leaf == law.mean:
                found[leaf] = ExpectedValue(of, sides)
            elif leaf == law.std:
                found[leaf] = Symbol("σ", of, key=leaf.name, sides=sides)
            else:
                symbol = own[leaf]
                assert isinstance(symbol, Symbol)
                found[leaf] = _with(symbol, sides, leaf in law.symmetric)
    return found


def _with(symbol: Symbol, sides: tuple[str, str] | None, symmetric: bool) -> Symbol:
    return Symbol(
        symbol.letter,
        symbol.index,
        key=symbol.key,
        place=symbol.place,
        sides=sides,
        symmetric=symmetric,
    )
