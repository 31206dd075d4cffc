"""A block that is one scalar function: everything about it follows from the function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from pullback import ir
from pullback.ir import Map, Node
from pullback.nn.block import Block
from pullback.nn.scope import Scope


@dataclass(frozen=True)
class Elementwise(Block):
    """A block that applies one scalar function to each feature."""

    keeps_axes: ClassVar[bool] = True

    @property
    def function(self) -> ir.Scalar:
        """The scalar function of this activation."""
        return ir.Scalar.of(self.expression(), 1)

    def expression(self) -> Any:
        """The function as a SymPy expression in x0."""
        raise TypeError(f"{type(self).__name__} has no expression")

    def build(self, x: Node, at: Scope) -> Node:
        return Scope(at).a(Map(self.function, (x,)))
