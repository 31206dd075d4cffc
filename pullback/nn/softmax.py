"""Blocks along one axis of a sample: softmax, its logarithm, and a gate between two halves."""

from __future__ import annotations

from dataclasses import dataclass

from pullback import ir
from pullback.errors import ShapeError, require
from pullback.ir import LogSumExp, Node
from pullback.ir.build import multiply, pointwise, subtract
from pullback.ir.layout import taken
from pullback.nn.block import Block, numbered
from pullback.nn.scope import Scope


@dataclass(frozen=True)
class _AlongAxis(Block):
    """A block along one axis, by its number as torch counts: any but the batch."""

    dim: int = -1

    def __post_init__(self) -> None:
        require(f"{type(self).__name__}: dim", self.dim, int, "the number of an axis, such as -1")


@dataclass(frozen=True)
class Softmax(_AlongAxis):
    """exp z / Σ exp z along one axis: shares from 0 to 1 that add up to 1.

    ``dim`` counts the axes with the batch as 0, from the end where it is negative. The equation
    ``total`` is log Σ exp z. Raises ShapeError for the batch, and where there is no such axis.

    >>> import numpy as np
    >>> import pullback as pb
    >>> net = pb.Network(pb.Softmax(), loss=pb.MSELoss(), x="classes=2")
    >>> net.predict({}, np.log([[1.0, 3.0]]))
    array([[0.25, 0.75]])
    """

    def build(self, x: Node, at: Scope) -> Node:
        at = Scope(at)
        total = at.stat(LogSumExp(x, numbered(self, x, self.dim, at)), "total")
        return at.a(pointwise(lambda z, top: ir.fn("exp")(z - top), x, total))


@dataclass(frozen=True)
class LogSoftmax(_AlongAxis):
    """z − log Σ exp z along one axis: the logarithm of Softmax, with its digits.

    ``dim`` counts the axes with the batch as 0, from the end where it is negative.
    Raises ShapeError for the batch, and where there is no such axis.

    >>> import numpy as np
    >>> import pullback as pb
    >>> net = pb.Network(pb.LogSoftmax(), loss=pb.MSELoss(), x="classes=2")
    >>> net.predict({}, np.array([[0.0, 800.0]]))
    array([[-800.,    0.]])
    """

    def build(self, x: Node, at: Scope) -> Node:
        at = Scope(at)
        total = at.stat(LogSumExp(x, numbered(self, x, self.dim, at)), "total")
        return at.a(subtract(x, total))


@dataclass(frozen=True)
class GLU(_AlongAxis):
    """u · σ(v), where u and v are the two halves of x along one axis (Dauphin et al. 2017).

    ``dim`` counts the axes with the batch as 0, from the end where it is negative.
    Raises ShapeError for the batch, and for an axis of odd length.

    >>> import numpy as np
    >>> import pullback as pb
    >>> net = pb.Network(pb.GLU(), loss=pb.MSELoss(), x="features=2")
    >>> net.predict({}, np.array([[3.0, 0.0]]))
    array([[1.5]])
    """

    def build(self, x: Node, at: Scope) -> Node:
        at = Scope(at)
        axis = numbered(self, x, self.dim, at)
        size = at.sizes.get(axis, axis.size)
        if size is None:
            raise ShapeError(
                f"{self!r} at {at.where} halves the axis {axis.name!r}, whose size is not known "
                "here; say the input's sizes, as in Network(…, x='features=8')"
            )
        if size % 2:
            raise ShapeError(
                f"{self!r} at {at.where} halves the axis {axis!r}; expected an even length"
            )
        half = at.axis("half", size // 2)
        value = at.a(taken(x, axis, half), "value")
        gate = at.a(taken(x, axis, half, size // 2), "gate")
        return at.a(multiply(value, pointwise(lambda x: ir.fn("sigmoid")(x), gate)))
