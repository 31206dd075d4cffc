"""The inverse of a square matrix, its determinant, and the logarithm of that one's size."""

from __future__ import annotations

from dataclasses import dataclass

from pullback.ir.axis import Axes, show
from pullback.ir.node import Node


class OfMatrix(Node):
    """What all of them have in common: they are of a matrix with a row for each of its columns."""

    __slots__ = ()
    arg: Node

    @property
    def args(self) -> tuple[Node, ...]:
        return (self.arg,)

    def fault(self) -> str | None:
        axes = self.arg.axes
        if len(axes) != 2:
            return f"a square matrix is needed, with two axes, found {show(axes)}"
        sizes = {axis.size for axis in axes}
        alike = axes[0].unprimed == axes[1].unprimed or (len(sizes) == 1 and None not in sizes)
        return None if alike else f"a square matrix is needed, such as 'n n', found {show(axes)}"


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Inverse(OfMatrix):
    """X⁻¹, rows and columns under the names that they have in X; d X⁻¹ = −X⁻¹ dX X⁻¹."""

    arg: Node

    def result_axes(self) -> Axes:
        return self.arg.axes

    def rebuild(self, args: tuple[Node, ...]) -> Node:
        return Inverse(args[0])


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Determinant(OfMatrix):
    """det X; its slope is det X · X⁻ᵀ."""

    arg: Node

    def result_axes(self) -> Axes:
        return ()

    def rebuild(self, args: tuple[Node, ...]) -> Node:
        return Determinant(args[0])


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class LogDet(OfMatrix):
    """log |det X|, which is finite where det X is too large or too small; its slope is X⁻ᵀ."""

    arg: Node

    def result_axes(self) -> Axes:
        return ()

    def rebuild(self, args: tuple[Node, ...]) -> Node:
        return LogDet(args[0])
