"""What a diagram says: tensors, the wires that join their axes, and lines of sums of such products.

The picture is made from this and from nothing else, so that whoever contracts it has checked it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pullback.ir import Axes, Axis, Node

TensorKind = Literal["data", "parameter", "forward", "backward", "loss", "pattern"]


@dataclass(frozen=True)
class DiagramTensor:
    """One node of the picture: a variable, an earlier line, a function of such, or a pattern.

    Its legs are the axes of ``node``, in order. ``reads`` has what a function is of, each node with
    the name under which it is known: a leg of the function and an axis of what it reads are the
    same where they are the same axis.
    """

    label: str
    kind: TensorKind
    node: Node
    reads: tuple[tuple[Node, str], ...] = ()
    meaning: str = ""  # of a sign that stands for more, such as a pattern's

    @property
    def legs(self) -> Axes:
        """Its axes."""
        return self.node.axes


@dataclass(frozen=True)
class Wire:
    """One index: the legs that share it, as (tensor, leg), and its places in the result, if any.

    Two legs are an edge, one leg that is not free is summed, three or more go entry by entry.
    """

    axis: Axis
    ends: tuple[tuple[int, int], ...]
    free: tuple[int, ...] = ()

    @property
    def is_edge(self) -> bool:
        """Does it join two things, so that it needs no dot?"""
        return len(self.ends) + len(self.free) == 2

    @property
    def is_length(self) -> bool:
        """Does nothing carry it, so that a sum over it is its length?"""
        return not self.ends and not self.free


@dataclass(frozen=True)
class TensorNetwork:
    """A number times the product of some tensors, summed over every wire that is not free."""

    coefficient: float
    tensors: tuple[DiagramTensor, ...]
    wires: tuple[Wire, ...]


@dataclass(frozen=True)
class DiagramLine:
    """A name, or none for the result, and the sum that it stands for."""

    name: str
    axes: Axes
    terms: tuple[TensorNetwork, ...]
