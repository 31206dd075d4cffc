"""Reductions that are not linear: along one axis the largest entry, its place, and log Σ exp.

``where`` is a node of zeros and ones: entries where it is 0 do not count. Where none is left the
value is 0, and so are the slopes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pullback.ir.axis import Axes, Axis, show
from pullback.ir.kinds import meeting
from pullback.ir.node import Node

Ties = Literal["share", "first"]


class AlongAxis(Node):
    """What all of them have in common."""

    __slots__ = ()
    arg: Node
    axis: Axis
    where: Node | None

    @property
    def args(self) -> tuple[Node, ...]:
        return (self.arg,) if self.where is None else (self.arg, self.where)

    @property
    def moved_by(self) -> tuple[Node, ...]:
        return (self.arg,)

    @property
    def over(self) -> Axes:
        """The axes of what is reduced: those of the argument, and what ``where`` has besides."""
        return tuple(dict.fromkeys(axis for node in self.args for axis in node.axes))

    def result_axes(self) -> Axes:
        return tuple(axis for axis in self.over if axis != self.axis)

    def described(self) -> tuple[Any, ...]:
        return (self.arg, self.axis, *(() if self.where is None else (self.where,)))

    def fault(self) -> str | None:
        if self.axis not in self.arg.axes:
            return f"there is no axis {self.axis} in {show(self.arg.axes)}"
        return meeting(self.args)


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class LogSumExp(AlongAxis):
    """log Σ exp over one axis; its linearisation is the softmax."""

    arg: Node
    axis: Axis
    where: Node | None = None

    def rebuild(self, args: tuple[Node, ...]) -> Node:
        return LogSumExp(args[0], self.axis, *args[1:])


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Max(AlongAxis):
    """The largest entry along one axis; its linearisation is a selection.

    Ties "share" a cotangent, as in torch.amax and jax, or the "first" has it, as in max pooling.
    """

    arg: Node
    axis: Axis
    ties: Ties = "share"
    where: Node | None = None

    def described(self) -> tuple[Any, ...]:
        first = () if self.ties == "share" else (self.ties,)
        return (*AlongAxis.described(self), *first)

    def rebuild(self, args: tuple[Node, ...]) -> Node:
        return Max(args[0], self.axis, self.ties, *args[1:])

    def fault(self) -> str | None:
        if self.ties not in ("share", "first"):
            return f"ties is {self.ties!r}; expected 'share' or 'first'"
        return AlongAxis.fault(self)


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class ArgMax(AlongAxis):
    """The place of the first largest entry along one axis, a whole number; it has no slope."""

    arg: Node
    axis: Axis
    where: Node | None = None

    @property
    def moved_by(self) -> tuple[Node, ...]:
        return ()

    def rebuild(self, args: tuple[Node, ...]) -> Node:
        return ArgMax(args[0], self.axis, *args[1:])
