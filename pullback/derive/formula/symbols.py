"""Which symbol stands for which node: z₁, a₁, W₁, δ₁, ∂L/∂W₁; layers are counted from the input."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count

from pullback.derive.formula.alphabet import GREEK
from pullback.derive.formula.tree import Colour, Formula, Partial, Symbol
from pullback.derive.steps.equations import Equation, natural, needed, trained
from pullback.ir import Add, Axes, Input, Named, Node, Parameter, inside

Rank = Callable[[Axes], int]
Leaf = Input | Parameter

_DATA = {"x": "x", "target": "y"}
_PARAMETER = {"weight": "w", "bias": "b"}


def symbols(
    equations: Sequence[Equation], rank: Rank, leaves: Sequence[Leaf] = ()
) -> dict[Node, Formula]:
    """A symbol for every equation, input and parameter; no two are the same.

    ``leaves`` have one whether an equation reads them or not.

    ``rank`` counts the axes that are displayed: a matrix gets a capital, a column a small letter.
    z is numbered in the order of appearance, and so are its parameters and its δ; what follows it
    has its number, as a₁ after z₁; a sum of activations is h. A second one with the same letter
    and number gets a prime.
    """
    return _Table(equations, rank, leaves).symbols


class _Table:
    def __init__(
        self, equations: Sequence[Equation], rank: Rank, leaves: Sequence[Leaf] = ()
    ) -> None:
        self.symbols: dict[Node, Formula] = {}
        self._rank = rank
        self._taken: set[tuple[str, str | Symbol, int]] = {("N", "", 0)}  # the number of samples
        self._places = count()
        self._trained = trained(equations)
        layers = number_layers([each.node for each in equations])
        for leaf, layer in _leaves(equations, layers, leaves):
            self._enter(leaf, self._leaf(leaf, layer))
        for each in equations:
            if each.role in {"z", "a", "value", "loss"}:
                self._enter(each.node, self._forward(each, layers[each.node]))
        by_name = {node.name: s for node, s in self._entered()}
        for each in equations:
            if each.role == "delta":
                self._enter(each.node, self._delta(each, by_name))
        for each in equations:
            if each.role == "gradient":
                self.symbols[each.node] = self._gradient(each, by_name)

    def _entered(self) -> list[tuple[Leaf | Named, Symbol]]:
        return [
            (node, s)
            for node, s in self.symbols.items()
            if isinstance(s, Symbol) and isinstance(node, (Input, Parameter, Named))
        ]

    def _enter(self, node: Leaf | Named, symbol: Symbol) -> None:
        """Note the symbol, primed until it is new."""
        primes = next(n for n in count() if (symbol.letter, symbol.index, n) not in self._taken)
        self._taken.add((symbol.letter, symbol.index, primes))
        self.symbols[node] = replace(symbol, primes=primes, key=node.name, place=next(self._places))

    def _leaf(self, leaf: Leaf, layer: int | None) -> Symbol:
        colour: Colour = "parameter" if leaf in self._trained else "data"
        if isinstance(leaf, Input) and leaf.name in _DATA:
            return Symbol(self._sized(_DATA[leaf.name], leaf), colour=colour)
        path, _, last = leaf.name.rpartition(".")
        if layer is not None and (path or last in _PARAMETER):
            letter = self._sized(_PARAMETER[last], leaf) if last in _PARAMETER else _greek(last)
            return Symbol(letter, str(layer), colour=colour)
        letter, index = letter_and_index(leaf.name)
        if isinstance(leaf, Input) and len(letter) == 1:
            letter = self._sized(letter, leaf)
        return Symbol(letter, index, colour=colour)

    def _forward(self, equation: Equation, layer: int) -> Symbol:
        if equation.role == "loss":
            return Symbol("L" if equation.name == "loss" else "ℓ", colour="loss")
        if equation.role == "value":
            return Symbol(*letter_and_index(equation.name), colour="forward")
        summed = equation.role == "a" and isinstance(equation.node.arg, Add)
        letter = "h" if summed else equation.role
        return Symbol(self._sized(letter, equation.node), str(layer), colour="forward")

    def _delta(self, equation: Equation, by_name: Mapping[str, Symbol]) -> Symbol:
        """δ of z₁ is δ₁; that of any other quantity has its whole symbol as index."""
        path = equation.name.partition(".")[2]
        letter = self._sized("δ", equation.node)
        index: str | Symbol = path
        if (z := by_name.get(f"z.{path}")) is not None:
            index = z.index
        elif (other := by_name.get(path)) is not None:
            index = replace(other, colour="plain", key="", place=0)
        return Symbol(letter, index, colour="backward")

    def _gradient(self, equation: Equation, by_name: Mapping[str, Symbol]) -> Partial:
        by = equation.name.partition(".")[2]
        loss = next((s for s in by_name.values() if s.colour == "loss"), Symbol("L"))
        return Partial(loss, by_name.get(by, Symbol(by)), key=equation.name)

    def _sized(self, letter: str, node: Node) -> str:
        return letter.upper() if self._rank(node.axes) > 1 else letter.lower()


def number_layers(nodes: Sequence[Named]) -> dict[Named, int]:
    """z is numbered by order; everything else has the largest number below it."""
    number: dict[Named, int] = {}
    layers = count(1)
    for node in nodes:
        below = max((number[each] for each in needed(node)), default=0)
        number[node] = next(layers) if node.role == "z" else below
    return number


def _leaves(
    equations: Sequence[Equation], layers: Mapping[Named, int], more: Sequence[Leaf]
) -> list[tuple[Leaf, int | None]]:
    """Inputs and parameters in order, each parameter with the first layer that uses it."""
    found: dict[Leaf, int | None] = {}
    for each in equations:
        for node in sorted(inside(each.node), key=_by_name):
            if isinstance(node, Input):
                found.setdefault(node, None)
            elif isinstance(node, Parameter):
                found.setdefault(node, layers[each.node])
    return list((found | {leaf: None for leaf in more if leaf not in found}).items())


def _by_name(node: Node) -> tuple[object, ...]:
    return natural(getattr(node, "name", "")), node.digest


def letter_and_index(name: str) -> tuple[str, str]:
    """A name as a letter with an index: beta_1 is β₁.

    >>> letter_and_index("w2"), letter_and_index("beta")
    (('w', '2'), ('β', ''))
    """
    match = re.fullmatch(r"(.*?[^\W\d])_?(\d+)", name)
    letter, index = match.groups() if match else (name, "")
    return _greek(letter), index


def _greek(word: str) -> str:
    return GREEK.get(word, word)
