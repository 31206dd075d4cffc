"""What each node of the neuron graph holds: its formulas in colour, with their numbers put in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from html import escape
from typing import Any

from pullback.derive import Latex, Text
from pullback.derive.formula.latex import css_name
from pullback.derive.formula.mathml import MathRow, equation_table
from pullback.derive.formula.tree import (
    AppliedFormula,
    Colour,
    Formula,
    Indexed,
    Negative,
    Number,
    Symbol,
    walk,
)
from pullback.derive.neurons.table import Neurons, TableEntry
from pullback.report.drawing.tables import scrolled
from pullback.report.words.numbers import short

_COLOURS: dict[str, Colour] = {
    "x": "data", "y": "data", "w": "parameter", "b": "parameter", "v": "backward",
    "g": "backward", "s": "backward", "e": "loss",
}  # fmt: skip
_OF_EDGES, _OF_LOSS = "wg", "es"  # whose cells letters are, if not a neuron's
Cells = Mapping[str, tuple[str, str, float]]  # a symbol's letter, index and number, by its key


class _Numeric(Latex):
    """LaTeX in which factors are numbers, and need a sign between them."""

    def gap(self, before: Formula, after: Formula) -> str:
        return r" \cdot "


def cards(found: Neurons, activations: Mapping[int, str]) -> Iterator[str]:
    """One card for each node, in the order of the nodes."""
    graph, cells = found.graph, _cells(found)
    held: dict[str, list[TableEntry]] = {}
    for entry in found.entries:
        held.setdefault(node_of(entry, found), []).append(entry)
    for at, value in enumerate(graph.inputs, start=1):
        text = f"<p>A value of the sample: {short(value)}. Nothing has to go back to it.</p>"
        yield _card(f"x{at}", f"Input x{at}", text)
    for n in graph.neurons:
        kind = "an output" if n.is_output else "hidden"
        head = f"Neuron {n.number}, {kind}"
        if name := activations.get(n.number):
            head += f"; f is {name}"
        yield _card(str(n.number), head, _table(held[str(n.number)], cells))
    name = str(graph.loss.number)
    yield _card(name, f"The loss, node {name}", _table(held[name], cells))


def node_of(entry: TableEntry, found: Neurons) -> str:
    """The node that a cell belongs to; one of an edge belongs to that where the edge ends."""
    assert isinstance(entry.name, Symbol)
    letter, index = entry.name.letter, str(entry.name.index)
    if letter in _OF_EDGES:
        return found.graph.edges[int(index) - 1].target
    return str(found.graph.loss.number) if letter in _OF_LOSS else index


def hints_of(found: Neurons) -> dict[str, dict[str, str]]:
    """What is shown over a symbol: its meaning and its number, by its class on the page."""
    loss = found.graph.loss.number
    return {
        css_name(key): {
            "symbol": Text()(Symbol(letter, index)),
            "meaning": _meaning(letter, index, loss),
            "shape": "one number",
            "range": short(value),
        }
        for key, (letter, index, value) in _cells(found).items()
    }


def _cells(found: Neurons) -> Cells:
    graph = found.graph
    cells: list[tuple[str, str, float]] = [("e", "", graph.loss.value)]
    cells += [("x", str(at), value) for at, value in enumerate(graph.inputs, 1)]
    for n in graph.neurons:
        own = {"d": n.d, "b": n.b, n.output_name[0]: n.output, "t": n.t, "v": n.v}
        cells += [(letter, str(n.number), value) for letter, value in own.items()]
    for edge in graph.edges:
        cells.append(("w", str(edge.number), edge.weight))
        if edge.gradient is not None:
            cells.append(("g", str(edge.number), edge.gradient))
    outputs = [edge.source for edge in graph.loss.incoming]
    cells += [("s", at, value) for at, value in zip(outputs, graph.loss.components, strict=True)]
    cells += [("y", at, value) for at, value in zip(outputs, graph.targets, strict=True)]
    return {f"n-{letter}-{index}": (letter, index, value) for letter, index, value in cells}


def _meaning(letter: str, index: str, loss: int) -> str:
    where = f"neuron {index}"
    return {
        "x": "an input", "y": f"what is wanted of {where}", "e": f"the loss, node {loss}",
        "d": f"the weighted sum of {where}, without its bias", "b": f"the bias of {where}",
        "h": f"what leaves {where}", "u": f"what leaves {where}, an output",
        "t": f"the slope of {where}'s activation", "v": f"the error that {where} passes on",
        "w": "the weight of an edge", "g": "how the loss changes with that weight",
        "s": f"how the loss changes with the output of {where}",
    }[letter]  # fmt: skip


def _card(node: str, head: str, body: str) -> str:
    held = scrolled(body, head)
    return f'<div class="card" data-card="{node}"><h3>{escape(head)}</h3>{held}</div>'


def _table(entries: Sequence[TableEntry], cells: Cells) -> str:
    return equation_table([_row(entry, cells) for entry in entries], styled=False)


def _row(entry: TableEntry, cells: Cells) -> MathRow:
    """One cell as name = formula = the same in numbers = its value."""
    latex, numeric = Latex(classes=True), _Numeric()
    formula, value = numeric(_filled(entry.formula, cells)), numeric(_number(entry.value))
    right = latex(_coloured(entry.formula, cells))
    if formula not in (numeric(entry.formula), value):
        right += f" = {formula}"
    assert isinstance(entry.name, Symbol)
    kind = "delta" if entry.name.letter in "vgs" else "z"
    return MathRow(latex(_coloured(entry.name, cells)), f"{right} = {value}", entry.latex(), kind)


def _number(value: float) -> Formula:
    number = Number(float(f"{abs(value):.3g}"))
    return Negative(number) if value < 0 else number


def _coloured(formula: Formula, cells: Cells) -> Formula:
    """The formula with its symbols in their colours and under their keys."""
    key = _key(formula)
    if key in cells:
        letter, index, _ = cells[key]
        return Symbol(letter, index, colour=_COLOURS.get(letter, "forward"), key=key)
    return _through(formula, lambda part: _coloured(part, cells))


def _filled(formula: Formula, cells: Cells) -> Formula:
    """The formula with numbers for symbols; the slope t(d + b) is one number."""
    key = _key(formula)
    if key in cells:
        return _number(cells[key][2])
    if isinstance(formula, AppliedFormula) and formula.function == Symbol("t"):
        (at,) = {s.index for s in walk(formula) if isinstance(s, Symbol) and s.letter == "d"}
        return _number(cells[f"n-t-{at}"][2])
    return _through(formula, lambda part: _filled(part, cells))


def _key(formula: Formula) -> str:
    """Under which a symbol, or an entry of one, would be known; nothing for other formulas."""
    match formula:
        case Symbol(letter=letter, index=str(index), primes=0):
            return f"n-{letter}-{index}"
        case Indexed(symbol=Symbol(letter=letter), indices=(index,)):
            return f"n-{letter}-{index}"
    return ""


def _through(formula: Formula, change: Callable[[Formula], Formula]) -> Formula:
    """The formula with each of the formulas directly inside it changed."""

    def changed(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(changed(each) for each in value)
        return change(value) if isinstance(value, Formula) else value

    return replace(formula, **{f.name: changed(getattr(formula, f.name)) for f in fields(formula)})
