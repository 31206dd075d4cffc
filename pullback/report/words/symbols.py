"""What each symbol of the equations stands for: its meaning, its shape, its range, its equation."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from pullback.derive import EquationList, Text
from pullback.derive.formula.latex import css_name
from pullback.derive.formula.tree import Symbol
from pullback.ir import Axis, Input, Named, Node, Parameter
from pullback.report.drawing.tables import scrolled
from pullback.report.sections.samples import rows
from pullback.report.sections.story import TRACED, Story
from pullback.report.words.numbers import short

_MEANINGS = {
    "z": "weighted sums",
    "a": "what leaves the layer",
    "stat": "a statistic on the way",
    "loss": "the loss",
    "delta": "the error: ∂L with respect to this layer's z",
    "gradient": "how L changes with the parameter",
}


@dataclass(frozen=True)
class Fact:
    """One symbol; ``css`` is the class by which it is found on the page.

    ``columns`` is its shape where samples are columns, as ``shape`` is where they are rows.
    """

    css: str
    text: str
    colour: str
    meaning: str
    shape: str
    columns: str
    extent: str
    definition: str


def facts(story: Story, listing: EquationList) -> list[Fact]:
    """Every symbol of the equations, data and parameters first."""
    values = _values(story)
    lines = {line.name: line.text() for line in listing}
    symbols = listing.notation.symbols
    named = [node for node in symbols if isinstance(node, (Input, Parameter, Named))]
    places = {name: at for at, name in enumerate((*story.net.xs, "target", *story.net.parameters))}
    found = []
    for node in sorted(named, key=lambda node: places.get(node.name, len(places))):
        formula = symbols[node]
        colour = formula.colour if isinstance(formula, Symbol) else "backward"
        value = values.get(node.name)
        found.append(
            Fact(
                css=css_name(node.name),
                text=Text()(formula),
                colour=colour,
                meaning=_meaning(node),
                shape=_shape(node.axes),
                columns=_shape(node.axes[::-1] if _is_matrix(node) else node.axes),
                extent=_extent(value),
                definition=lines.get(node.name, ""),
            )
        )
    return found


def _shape(axes: tuple[Axis, ...]) -> str:
    return " × ".join(str(axis.size or "N") for axis in axes) or "one number"


def _is_matrix(node: Node) -> bool:
    """Is it one vector a sample, so that a batch of them is a matrix either way round?"""
    return len(node.axes) == 2 and node.axes[0].size is None and not isinstance(node, Parameter)


def symbol_table(found: list[Fact]) -> str:
    """The symbols as a table; it says what the hints over the equations say."""
    rows = "".join(
        f'<tr><th scope="row"><span class="symbol {fact.colour} {fact.css}">{escape(fact.text)}'
        f"</span></th><td>{escape(fact.meaning)}</td><td>{_both(fact)}</td><td>{fact.extent}</td></tr>"
        for fact in found
    )
    head = "".join(f'<th scope="col">{n}</th>' for n in ("symbol", "meaning", "shape", "range"))
    html = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return scrolled(html, "Symbols")


def _both(fact: Fact) -> str:
    """The shape in the convention that is chosen on the page."""
    if fact.columns == fact.shape:
        return fact.shape
    ways = {"rows": fact.shape, "columns": fact.columns}
    return "".join(f'<span class="as-{way}">{shape}</span>' for way, shape in ways.items())


def hints(found: list[Fact]) -> dict[str, dict[str, str]]:
    """What the page shows over a symbol, by its class."""
    return {
        fact.css: {
            "symbol": fact.definition or fact.text,
            "meaning": fact.meaning,
            "shape": fact.shape,
            "columns": fact.columns,
            "range": fact.extent,
        }
        for fact in found
    }


def _meaning(node: Node) -> str:
    if isinstance(node, Named):
        return _MEANINGS.get(node.role, "")
    if isinstance(node, Input):
        if node.name == "target":
            return "what is wanted"
        return f"the input {node.name}" if node.name != "x" else "the features of a sample"
    assert isinstance(node, Parameter)
    return f"parameter {node.name}"


def _values(story: Story) -> dict[str, Any]:
    _, batch = story.net.batch(story.params, *rows(story.train, slice(TRACED)))
    equations = story.net.equations.items()
    return {**batch, **story.params} | {n: story.trace.value(e.label) for n, e in equations}


def _extent(value: Any) -> str:
    if value is None:
        return ""
    low, high = float(np.min(value)), float(np.max(value))
    return short(low) if low == high else f"{short(low)} … {short(high)}"
