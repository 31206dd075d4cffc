"""A model of another library as one block, which replays its operators on nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pullback.interop.builder import Builder
from pullback.interop.operators import applied
from pullback.interop.rows import Ref, Row
from pullback.ir import Node
from pullback.nn import Block, Scope


@dataclass(frozen=True, eq=False)
class Imported(Block):
    """The rows of a model, from its inputs to one of its outputs.

    Equations are named by the module's path, parameters as its state dict names them. ``place`` is
    where they are found in place of where the block stands.
    """

    name: str
    inputs: tuple[str, ...]
    rows: tuple[Row, ...]
    output: Ref
    place: str | None = None

    def build(self, x: Node | Mapping[str, Node], at: Scope) -> Node:
        nodes = [x[name] for name in self.inputs] if isinstance(x, Mapping) else [x]
        at = Scope(at) if self.place is None else Scope(at).at(self.place)
        return Builder(nodes, self.rows, at).replay(self.output, applied)

    def __repr__(self) -> str:
        return f"Imported({self.name!r}, {len(self.rows)} operators)"
