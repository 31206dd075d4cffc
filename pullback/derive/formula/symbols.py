"""Which symbol stands for which node: z₁, a₁, W₁, δ₁, ∂L/∂W₁; layers are counted from the input."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count

from pullback.derive.formula.alphabet import BAR, GREEK
from pullback.derive.formula.tree import Colour, Formula, Partial, Symbol
from pullback.derive.steps.equations import FORWARD, Equation, natural, needed, trained
from pullback.ir import Add, Axes, Input, Label, Map, Named, Node, Parameter, inside

Rank = Callable[[Axes], int]
Leaf = Input | Parameter

_DATA = {"x": "x", "target": "y"}
_RUNNING = {"running_mean": "μ" + BAR, "running_var": "v" + BAR, "num_batches_tracked": "k"}
_STATES = _RUNNING | {"mask": "m"}
_PART = {"weight": "w", "bias": "b"} | _STATES  # words in the names of parts
_GAIN = {"weight": "γ", "bias": "β"}  # of what is scaled and shifted entry by entry, as by a norm
_SMALL = {"μ", "γ", "β"}  # whose capital is another letter, or not to be told from one
_STATISTIC = {"mean": "μ", "variance": "v"}


def symbols(
    equations: Sequence[Equation], rank: Rank, leaves: Sequence[Leaf] = ()
) -> dict[Node, Formula]:
    """A symbol for every equation, input and parameter; no two are the same.

    ``leaves`` have one whether an equation reads them or not.

    ``rank`` counts the axes that are displayed: a matrix gets a capital, a column a small letter.
    z is numbered in the order of appearance, and so are its parameters and its δ; what follows it
    has its number, as a₁ after z₁; a sum of activations is h, a mean μ, another statistic s. The
    gain and shift of a norm are γ and β.
    A second one with the same letter and number gets a prime.
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
        for leaf, first in _leaves(equations, leaves):
            self._enter(leaf, self._leaf(leaf, first, layers))
        for each in equations:
            if each.role in {*FORWARD, "loss"}:
                self._enter(each.node, self._forward(each, layers[each.node]))
        by_name = {node.name: s for node, s in self._entered()}
        for each in equations:
            if each.role == "delta":
                self._enter(each.node, self._delta(each, by_name))
        for each in equations:
            if each.role == "gradient":
                self.symbols[each.node] = self._gradient(each, by_name)
            elif each.role == "update":  # the state itself
                self.symbols[each.node] = by_name[each.node.label.place]

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

    def _leaf(self, leaf: Leaf, first: Named | None, layers: Mapping[Named, int]) -> Symbol:
        colour: Colour = "parameter" if leaf in self._trained else "data"
        if isinstance(leaf, Input) and leaf.name in _DATA:
            return Symbol(self._sized(_DATA[leaf.name], leaf), colour=colour)
        label = Label.of_parameter(leaf.name)
        parts = _GAIN | _STATES if first is not None and _scales(first) else _PART
        known = next((letter for word, letter in parts.items() if word in label.part), None)
        if first is not None and (label.path or known):
            letter = self._sized(known, leaf) if known else _greek(label.part)
            return Symbol(letter, str(layers[first]), colour=colour)
        letter, index = letter_and_index(leaf.name)
        if isinstance(leaf, Input) and len(letter) == 1:
            letter = self._sized(letter, leaf)
        return Symbol(letter, index, colour=colour)

    def _forward(self, equation: Equation, layer: int) -> Symbol:
        if equation.role == "loss":
            return Symbol("L" if equation.name == "loss" else "ℓ", colour="loss")
        if equation.role == "value":
            return Symbol(*letter_and_index(equation.name), colour="forward")
        letter: str = equation.role
        if equation.role == "stat":
            letter = _STATISTIC.get(equation.node.label.part, "s")
        elif equation.role == "a" and isinstance(equation.node.arg, Add):
            letter = "h"
        return Symbol(self._sized(letter, equation.node), str(layer), colour="forward")

    def _delta(self, equation: Equation, by_name: Mapping[str, Symbol]) -> Symbol:
        """δ of z₁ is δ₁; that of any other quantity has its whole symbol as index."""
        origin = equation.node.label.origin
        index: str | Symbol = origin.place
        if (known := by_name.get(str(origin))) is not None:
            plain = replace(known, colour="plain", key="", place=0)
            index = known.index if origin.role == "z" else plain
        return Symbol(self._sized("δ", equation.node), index, colour="backward")

    def _gradient(self, equation: Equation, by_name: Mapping[str, Symbol]) -> Partial:
        by = equation.node.label.place
        loss = next((s for s in by_name.values() if s.colour == "loss"), Symbol("L"))
        return Partial(loss, by_name.get(by, Symbol(by)), key=equation.name)

    def _sized(self, letter: str, node: Node) -> str:
        large = self._rank(node.axes) > 1 and letter not in _SMALL
        return letter.upper() if large else letter.lower()


def number_layers(nodes: Sequence[Named]) -> dict[Named, int]:
    """z is numbered by order; everything else has the largest number below it, or beside it."""
    number: dict[Named, int] = {}
    layers = count(1)
    for node in nodes:
        read = list(needed(node))
        if node.role == "update":
            read += [n for n in nodes if n.role in FORWARD and n.label.path == node.label.path]
        below = max((number.get(each, 0) for each in read), default=0)
        number[node] = next(layers) if node.role == "z" else below
    return number


def _leaves(equations: Sequence[Equation], more: Sequence[Leaf]) -> list[tuple[Leaf, Named | None]]:
    """Inputs and parameters in order; one that has a place with the equation that first uses it."""
    found: dict[Leaf, Named | None] = {}
    for each in equations:
        for node in sorted(inside(each.node), key=_by_name):
            if isinstance(node, (Input, Parameter)):
                placed = isinstance(node, Parameter) or Label.of_parameter(node.name).path
                found.setdefault(node, each.node if placed else None)
    return list((found | {leaf: None for leaf in more if leaf not in found}).items())


def _scales(node: Named) -> bool:
    """Are the parameters of an equation a gain and a shift?"""
    return node.role == "a" and not isinstance(node.arg, Map)


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
