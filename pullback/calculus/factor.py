"""Local Jacobians: the linear maps whose product is the derivative of a network.

A factor, the common kind, is a tensor node with the axes it takes in and the axes it gives out.
Its structure follows from the axes alone, and its transpose is the same tensor with in and out
swapped: that is the whole of reverse mode.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pullback.calculus.written_out import free_name
from pullback.errors import AxisError
from pullback.ir import Axes, Axis, Constant, Contract, Node, Pattern, Rename
from pullback.ir.axis import show

Kind = Literal["identity", "diagonal", "pattern", "dense"]


class LinearMap(ABC):
    """A local Jacobian, from a node with the axes ``into`` to one with the axes ``out``.

    ``tensor`` is the node that it is a product with, or None where there is none: then the map and
    its transpose can only be applied. ``ties`` pairs an axis of ``into`` with the axis of ``out``
    that it becomes, where the two have different names; an axis that stands in both under one name
    is tied to itself. ``names`` says what axes of the argument are called on the tensor
    where those of the result have the same names and are not tied to them; what is tied is called
    there as in the result.
    """

    tensor: Node | None
    into: Axes
    out: Axes
    ties: tuple[tuple[Axis, Axis], ...]
    names: tuple[tuple[Axis, Axis], ...] = ()

    @property
    @abstractmethod
    def T(self) -> LinearMap:
        """The transpose: what carries a cotangent the other way."""

    @abstractmethod
    def __matmul__(self, vector: Node) -> Node:
        """This map applied to a node that carries its in-axes."""

    def pulled(self, cotangents: Sequence[tuple[Node, Node]]) -> Node:
        """The argument's cotangent for those of some nodes of the family that this map leads to."""
        ((_, cotangent),) = cotangents
        return self.T @ cotangent

    def pushed(self, changes: Sequence[tuple[LinearMap, Node]]) -> list[Node]:
        """The terms of a node's change for those of its arguments, each with the map from there."""
        return [link @ change for link, change in changes]

    @property
    def tied(self) -> dict[Axis, Axis]:
        """The axes of the argument along which nothing meets, and what they are in the result."""
        apart = {axis for axis, _ in self.names}
        same = {axis: axis for axis in self.into if axis in self.out and axis not in apart}
        return same | dict(self.ties)

    @abstractmethod
    def structure(self) -> Mapping[str, Kind]:
        """For each axis by name, what the map is along it: identity, diagonal, pattern or dense."""


@dataclass(frozen=True)
class Factor(LinearMap):
    """The linear map  out = Σ over in of tensor · in,  before anyone multiplies it."""

    tensor: Node
    into: Axes
    out: Axes
    ties: tuple[tuple[Axis, Axis], ...] = ()
    names: tuple[tuple[Axis, Axis], ...] = ()

    @property
    def T(self) -> Factor:
        ties = tuple((b, a) for a, b in self.ties)
        apart, called = {*self.tied.values()}, dict(self.names)
        # of an axis that both sides have, it is now the other side's that is called otherwise
        both = (axis for axis in self.out if axis in self.into and axis not in apart)
        taken = {*self.tensor.axes, *self.into, *self.out}
        names = tuple((axis, called.get(axis) or free_name(axis, taken)) for axis in both)
        new = (*ties, *((prime, axis) for axis, prime in self.names), *names)
        on = tuple(pair for pair in new if pair[0] in self.tensor.axes)
        tensor = Rename(self.tensor, on) if on else self.tensor
        return Factor(tensor, self.out, self.into, ties, names)

    def __matmul__(self, vector: Node) -> Node:
        if set(vector.axes) != set(self.into):
            raise AxisError(f"a factor takes {show(self.into)}, found {show(vector.axes)}")
        new = (*self.ties, *self.names)
        moved = Rename(vector, new) if new else vector
        carried = {*self.tensor.axes, *moved.axes}
        # an axis that nothing carries is one along which the result is constant
        missing = tuple(axis for axis in self.out if axis not in carried)
        ones = (Constant(1.0, missing),) if missing else ()
        # what a product of the tensor sums over is neither in nor out: all are one product
        product = isinstance(self.tensor, Contract) and self.tensor.factors
        return Contract((*(product or (self.tensor,)), moved, *ones), self.out)

    def structure(self) -> dict[str, Kind]:
        """For each axis by name, what the factor is along it.

        In, out and on the tensor: diagonal; in and out but not on it: identity; with one of the
        other side in a pattern of the tensor, as along a convolution's windows: pattern; else
        dense.
        """
        kinds: dict[str, Kind] = {}
        on, moved = set(self.tensor.axes), self._tied_by_pattern()
        to = self.tied
        for axis in dict.fromkeys(self.into + self.out):
            tied = axis in to or axis in to.values()
            here = axis in on or to.get(axis) in on
            apart: Kind = "pattern" if axis in moved else "dense"
            kinds[axis.name] = ("diagonal" if here else "identity") if tied else apart
        return kinds

    def _tied_by_pattern(self) -> set[Axis]:
        """The axes that a pattern of the tensor ties to axes of the other side."""
        factors = self.tensor.args if isinstance(self.tensor, Contract) else (self.tensor,)
        found = [{*each.axes} for each in factors if isinstance(each, Pattern)]
        both = [axes for axes in found if axes & {*self.into} and axes & {*self.out}]
        return {axis for axes in both for axis in axes}

    @property
    def kind(self) -> Kind:
        """The structure as a whole: dense along at least one axis, by a pattern, or less."""
        kinds = set(self.structure().values())
        scalar = not self.tensor.axes and self.tensor == Constant(1.0)
        if "dense" in kinds:
            return "dense"
        if "pattern" in kinds:
            return "pattern"
        return "diagonal" if "diagonal" in kinds or not scalar else "identity"
