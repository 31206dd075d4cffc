"""``Diagram``: a node's tensors, joined by their axes, as a picture for pages and notebooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from textwrap import shorten

from pullback.diagram.page import NARROWEST, WIDTH
from pullback.diagram.read import DiagramReader
from pullback.diagram.svg import STYLE, draw
from pullback.diagram.tensor_network import DiagramLine
from pullback.errors import whole
from pullback.files import write_atomically
from pullback.ir import Node


@dataclass(frozen=True, repr=False)
class Diagram:
    """The lines of a tensor diagram; ``svg`` is the picture, and ``formula`` says it in words.

    A round node is a variable, a square one a function of what it names, a six-sided one a pattern
    of zeros and ones. An edge is an axis: one that two nodes share is summed, one that ends with
    its name is an axis of the result. At a dot several edges have one index; alone at the end of
    an edge it sums. A small mark shows where a node's first axis leaves. Sums stand side by side,
    and what needs a name has a line of its own, ①, ②, …, before it is used.
    """

    lines: tuple[DiagramLine, ...]
    formula: str = ""
    functions: Mapping[str, str] = field(default_factory=dict)
    width: int = WIDTH

    @cached_property
    def svg(self) -> str:
        """The picture, as wide as asked for, or as its widest product; it needs nothing else."""
        return draw(self.lines, self.functions, self.formula, self.width)

    def html(self) -> str:
        """The picture line by line, so that a wide page has some side by side."""
        parts = [
            draw([line], {}, f"{line.name or 'the result'} of {self.formula}", self.width, False)
            for line in self.lines
        ]
        if self.functions:
            parts.append(draw([], self.functions, "what functions stand for", self.width, False))
        frame = '<div style="overflow-x: auto; max-width: 100%">'
        body = "".join(f"{frame}{part}</div>" for part in parts)
        return (
            f"<style>{STYLE}</style>"
            f'<div style="display: flex; flex-wrap: wrap; gap: 10px 28px; align-items: center">'
            f"{body}</div>"
        )

    def save(self, path: str | Path) -> Path:
        """Write the SVG to a file, whole or not at all; raises StorageError where that fails."""
        return write_atomically(path, self.svg.encode())

    def __repr__(self) -> str:
        tensors = sum(len(term.tensors) for line in self.lines for term in line.terms)
        name = shorten(self.formula, 60, placeholder=" …")
        return f"<tensor diagram of {name}: {len(self.lines)} lines, {tensors} tensors>"

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        return self.html()


def diagram_of(
    roots: Sequence[tuple[str, Node]],
    formula: str,
    symbols: Mapping[Node, str] | None = None,
    width: int = WIDTH,
) -> Diagram:
    """The diagram of some nodes, each a line under its name; a result has none.

    ``symbols`` are what equations and leaves are called, where that is not their name.
    Raises ConfigError for a width below 160 pixels, and where there is too much to look at.

    >>> from pullback.ir import Axis, Contract, Input
    >>> i, j = Axis("i"), Axis("j")
    >>> A, x = Input("A", (i, j)), Input("x", (j,))
    >>> (line,) = diagram_of([("", Contract((A, x), (i,)))], "A x").lines
    >>> [(wire.axis, wire.ends, wire.free) for wire in line.terms[0].wires]
    [(i, ((1, 0),), (0,)), (j, ((0, 0), (1, 1)), ())]
    """
    whole("width", width, least=NARROWEST)
    reader = DiagramReader(symbols or {})
    for name, node in roots:
        reader.add(name, node)
    return Diagram(tuple(reader.lines), formula, reader.functions, width)
