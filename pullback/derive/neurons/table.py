"""``Neurons``: the per-neuron dynamic programme with formulas and numbers, as text and drawing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from pullback.derive.formula.elementwise import elementwise
from pullback.derive.formula.entries import IndexForm
from pullback.derive.formula.latex import Latex
from pullback.derive.formula.matrix import Matrix
from pullback.derive.formula.text import Text
from pullback.derive.formula.tree import (
    AppliedFormula,
    Formula,
    Number,
    Partial,
    ProductFormula,
    ScaledFormula,
    Sum,
    Symbol,
)
from pullback.derive.neurons.drawing import draw
from pullback.derive.neurons.graph import Edge, Neuron, NeuronGraph
from pullback.ir import Axis, Node, symbol
from pullback.notebook import paragraph, table

NOTE = (
    "d is a neuron's weighted sum without bias, b its bias, f its activation and t = f′. "
    "v = t(d+b) · Σ (w · v) over the edges that leave a neuron; g = v · input is a weight's "
    "gradient. The loss node holds, for each output, the derivative of the loss with the other "
    "outputs' terms removed; its edges are constantly 1 and have no gradient."
)


@dataclass(frozen=True)
class TableEntry:
    """One cell that the programme fills: its name, its formula, its number."""

    where: str  # "neuron 3", "edge w5: 1 → 3", "loss 5"
    name: Formula
    formula: Formula
    value: float

    def text(self) -> str:
        return f"{Text()(self.name)} = {Text()(self.formula)} = {_number(self.value)}"

    def latex(self) -> str:
        return f"{Latex()(self.name)} &= {Latex()(self.formula)} = {_number(self.value, '-')}"


@dataclass(frozen=True, repr=False)
class Neurons:
    """What each neuron and each edge of a small network holds for one sample.

    ``entries`` are in the order in which the programme fills them: forward d, t and the outputs,
    then the loss, then v and g from the last layer to the first.
    """

    graph: NeuronGraph

    def __repr__(self) -> str:
        count = len(self.graph.neurons)
        return f"<{count} neurons, {len(self.graph.edges)} edges, e = {self.graph.loss.value:.6g}>"

    def __str__(self) -> str:
        return self.text()

    @property
    def entries(self) -> tuple[TableEntry, ...]:
        return (*self._forward(), *self._loss(), *self._backward())

    @property
    def v(self) -> dict[int, float]:
        """The gradient intermediate value of each neuron, by its number."""
        return {neuron.number: neuron.v for neuron in self.graph.neurons}

    @property
    def g(self) -> dict[str, float | None]:
        """The gradient of each weight, by its name w1, w2, …; None for the constant edges."""
        return {edge.name: edge.gradient for edge in self.graph.edges}

    def gradients(self) -> dict[str, np.ndarray]:
        """The same gradients as arrays, by the names and with the shapes of the parameters.

        A bias is a weight whose input is 1, so its gradient is v; a weight that stands on several
        edges gathers theirs.
        """
        return {name: value.copy() for name, value in self.graph.gradients.items()}

    def _forward(self) -> Iterator[TableEntry]:
        for neuron in self.graph.neurons:
            where, n = f"neuron {neuron.number}", str(neuron.number)
            if not neuron.is_sum:
                yield TableEntry(where, self._output(n), self._value(neuron), neuron.output)
                yield from self._local(neuron)
                continue
            parts = [_times(_weight(e), self._output(e.source)) for e in neuron.incoming]
            yield TableEntry(where, Symbol("d", n), _sum(parts), neuron.d)
            z = Sum((Symbol("d", n), Symbol("b", n)))
            yield TableEntry(
                where, self._output(n), AppliedFormula(Symbol("f"), (z,)), neuron.output
            )
            yield TableEntry(
                where, Symbol("t", n), AppliedFormula(Symbol("f", primes=1), (z,)), neuron.t
            )

    def _value(self, neuron: Neuron) -> Formula:
        """The output of one that is no weighted sum, from those of the neurons that it reads."""
        sources = tuple(self._output(edge.source) for edge in neuron.incoming)
        if neuron.function is None:
            return AppliedFormula(Symbol("f", str(neuron.number)), sources)
        return elementwise(neuron.function.expr, _leaves(sources)).formula

    def _local(self, neuron: Neuron) -> Iterator[TableEntry]:
        """The slopes of one that is no weighted sum: the weights of its edges."""
        sources = tuple(self._output(edge.source) for edge in neuron.incoming)
        for at, edge in enumerate(neuron.incoming):
            slope: Formula = Partial(self._output(str(neuron.number)), sources[at])
            if neuron.function is not None:
                expr = neuron.function.partial(at).expr
                slope = elementwise(expr, _leaves(sources)).formula
            where = f"edge {edge.name}: {edge.source} → {edge.target}"
            yield TableEntry(where, _weight(edge), slope, edge.weight)

    def _loss(self) -> Iterator[TableEntry]:
        loss = self.graph.loss
        where = f"loss {loss.number}"
        yield TableEntry(
            where, Symbol("e"), self._entries({}).read(loss.node, True).formula, loss.value
        )
        for edge, component in zip(loss.incoming, loss.components, strict=True):
            yield TableEntry(where, Symbol("s", edge.source), self._slope(edge), component)

    def _slope(self, edge: Edge) -> Formula:
        """∂e/∂u of one output, as the loss has it."""
        loss = self.graph.loss
        _, *rest = loss.output.axes
        if len(rest) > 1:
            return Partial(Symbol("e"), self._output(edge.source))
        return self._entries(dict.fromkeys(rest, edge.source)).read(loss.slope).formula

    def _entries(self, letters: dict[Axis, str]) -> IndexForm:
        """The loss in terms of single outputs u and targets y."""
        output, target = self.graph.loss.output, self.graph.loss.target
        symbols: dict[Node, Formula] = {output: Symbol("u"), target: Symbol("y")}
        return IndexForm(symbols, output.axes[0], letters, output.axes[0], raised=True)

    def _backward(self) -> Iterator[TableEntry]:
        depths = sorted({neuron.layer for neuron in self.graph.neurons}, reverse=True)
        for depth in depths:
            layer = [neuron for neuron in self.graph.neurons if neuron.layer == depth]
            for neuron in layer:
                yield TableEntry(
                    f"neuron {neuron.number}",
                    Symbol("v", str(neuron.number)),
                    self._error(neuron),
                    neuron.v,
                )
            for edge in sorted({e for n in layer for e in n.incoming}, key=lambda e: e.number):
                if edge.gradient is None:
                    continue
                yield TableEntry(
                    f"edge {edge.name}: {edge.source} → {edge.target}",
                    Symbol("g", str(edge.number)),
                    _times(Symbol("v", edge.target), self._output(edge.source)),
                    edge.gradient,
                )

    def _error(self, neuron: Neuron) -> Formula:
        n = str(neuron.number)
        slope = AppliedFormula(Symbol("t"), (Sum((Symbol("d", n), Symbol("b", n))),))
        front = (slope,) if neuron.is_sum else ()
        into = {edge: Symbol("s", n) for edge in self.graph.loss.incoming}
        if neuron.is_output and len(neuron.outgoing) == 1:
            (to_loss,) = neuron.outgoing
            return ProductFormula((_weight(to_loss), Symbol("s", n), *front))
        parts = [_times(_weight(e), into.get(e, Symbol("v", e.target))) for e in neuron.outgoing]
        body = _sum(parts) if parts else Number(0)
        return ProductFormula((*front, body)) if front else body

    def _output(self, name: str) -> Symbol:
        if name.startswith("x"):
            return Symbol("x", name[1:])
        neuron = self.graph.neurons[int(name) - 1]
        return Symbol(neuron.output_name[0], name)

    def text(self) -> str:
        """The table, cell after cell in filling order; then the edges that are constant."""
        entries = self.entries
        cells = [(e.where, Text()(e.name), Text()(e.formula), _number(e.value)) for e in entries]
        widths = [max(len(cell[at]) for cell in cells) for at in range(3)]
        rows = [
            f"{where:<{widths[0]}}  {name:<{widths[1]}} = {formula:<{widths[2]}} = {value:>9}"
            for where, name, formula, value in cells
        ]
        return "\n".join([*rows, "", self._constants(), *self.graph.notes])

    def _constants(self) -> str:
        names = ", ".join(
            f"{edge.name}: {edge.source} → {edge.target}" for edge in self.graph.loss.incoming
        )
        return f"{names}: constantly 1, without gradient"

    def latex(self) -> str:
        """Every cell as one line of an ``aligned`` environment."""
        rows = " \\\\\n".join(entry.latex() for entry in self.entries)
        return "\n".join([r"\begin{aligned}", rows, r"\end{aligned}"])

    def svg(self) -> str:
        """The graph as a drawing: forward thin and blue, backward as wide as v is large."""
        return draw(self.graph)

    def _repr_html_(self) -> str:
        figure = f"<figure>{self.svg()}<figcaption>{escape(NOTE)}</figcaption></figure>"
        cells = [
            (e.where, f"{Text()(e.name)} = {Text()(e.formula)}", _number(e.value))
            for e in self.entries
        ]
        notes = "".join(map(paragraph, self.graph.notes))
        return figure + table(["where", "formula", "value"], cells) + notes

    def to_dict(self) -> dict[str, object]:
        """Plain data: every cell with its formula and number."""
        return {
            "note": NOTE,
            "entries": [
                {
                    "where": e.where,
                    "name": Text()(e.name),
                    "formula": Text()(e.formula),
                    "latex": e.latex(),
                    "value": e.value,
                }
                for e in self.entries
            ],
            "constant_edges": [edge.name for edge in self.graph.loss.incoming],
            **({"notes": list(self.graph.notes)} if self.graph.notes else {}),
        }


def _leaves(sources: Sequence[Formula]) -> dict[Any, Matrix]:
    return {symbol(at): Matrix(source) for at, source in enumerate(sources)}


def _weight(edge: Edge) -> Formula:
    return Symbol("w", str(edge.number))


def _times(left: Formula, right: Formula) -> Formula:
    return ScaledFormula((left, right))


def _sum(parts: list[Formula]) -> Formula:
    return parts[0] if len(parts) == 1 else Sum(tuple(parts))


def _number(value: float, minus: str = "−") -> str:
    return f"{value:.6f}".replace("-", minus)
