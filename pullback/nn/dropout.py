"""Dropout: entries, or whole channels, that are set to 0 at random while a network is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pullback.errors import ConfigError, ShapeError, finite
from pullback.ir import Axes, Constant, Node
from pullback.ir.axis import show
from pullback.ir.build import multiply
from pullback.nn.block import Block
from pullback.nn.noise import Bernoulli
from pullback.nn.scope import Scope


@dataclass(frozen=True)
class Dropout(Block):
    """In training x · mask/(1 − p), each entry of the mask 0 with probability p; else x itself.

    The mask is noise by the name ``mask`` at the block's place, which ``value_and_grad`` draws from
    its seed or takes, and which ``fit`` draws anew in each step (Srivastava et al. 2014).
    Raises ConfigError unless 0 ≤ p ≤ 1.

    >>> import numpy as np, pullback as pb
    >>> net = pb.Network(pb.Dropout(0.5), pb.SquaredError("sum"), x="features=4")
    >>> X, zeros = np.ones((2, 4)), np.zeros((2, 4))
    >>> net.loss({}, X, zeros, noise={"mask": np.eye(2, 4)}), net.eval().loss({}, X, zeros)
    (4.0, 4.0)
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        name = type(self).__name__
        finite(f"{name}: p", self.p)
        if not 0 <= self.p <= 1:
            raise ConfigError(f"{name}: p is {self.p}; expected a probability from 0 to 1")

    def build(self, x: Node, at: Scope) -> Node:
        at = Scope(at)
        axes = self._dropped(x, at)
        if self.p == 0 or not at.training:
            return x
        mask = at.noise("mask", axes, Bernoulli(1 - float(self.p)))
        grown = Constant(1 / (1 - self.p) if self.p < 1 else 1.0)
        return at.a(multiply(x, mask, grown))

    def _dropped(self, x: Node, at: Scope) -> Axes:
        """The axes along which entries are dropped one by one."""
        return x.axes


@dataclass(frozen=True)
class _ChannelDropout(Dropout):
    rank: ClassVar[int]

    def _dropped(self, x: Node, at: Scope) -> Axes:
        if len(x.axes) != self.rank:
            raise ShapeError(
                f"{self!r} at {at.where} takes {self.rank} axes, the batch and the channels "
                f"first; what comes in has the axes {show(x.axes)}"
            )
        return x.axes[:2]


@dataclass(frozen=True)
class Dropout1d(_ChannelDropout):
    """``Dropout`` of whole channels of x (batch, channels, length).

    Raises ConfigError unless 0 ≤ p ≤ 1, ShapeError for other axes.

    >>> import pullback as pb
    >>> net = pb.Network(pb.Dropout1d(), pb.MSELoss(), x="channels=3 length=5")
    >>> net.noise["mask"].leaf.axes
    (batch, channels=3)
    """

    rank = 3


@dataclass(frozen=True)
class Dropout2d(_ChannelDropout):
    """``Dropout`` of whole channels of x (batch, channels, height, width).

    Raises ConfigError unless 0 ≤ p ≤ 1, ShapeError for other axes.

    >>> import pullback as pb
    >>> net = pb.Network(pb.Dropout2d(), pb.MSELoss(), x="channels=3 height=5 width=5")
    >>> net.noise["mask"].leaf.axes
    (batch, channels=3)
    """

    rank = 4
