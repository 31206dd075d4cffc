"""Batch norm: each channel made alike over the batch, in training by the batch's own statistics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import ClassVar

from pullback import ir
from pullback.errors import ConfigError, ShapeError, finite, require, whole
from pullback.ir import Axes, Axis, Constant, Named, Node, Parameter
from pullback.ir.axis import show
from pullback.ir.build import (
    add,
    multiply,
    pointwise,
    scalar_map,
    scale,
    size_of,
    subtract,
    without,
)
from pullback.nn.block import Block
from pullback.nn.norm import as_equations, normalised, rescaled, statistics
from pullback.nn.scope import Scope

_FURTHER = {2: "", 3: ", length", 4: ", height, width"}


def unbiased(variance: Node, over: Axes) -> Node:
    """A variance over some axes, by n − 1 in place of n."""
    if variance.outlined:
        return variance
    sizes = [size_of(axis) for axis in over]
    return multiply(variance, pointwise(lambda *n: prod(n) / (prod(n) - 1), *sizes))


def remember(
    at: Scope, momentum: float | None, count: Parameter, seen: Mapping[Parameter, Node]
) -> None:
    """Each state goes a step towards what the batch has, and one more batch is counted.

    The step is ``momentum``, or where that is None such that the state is the mean of all batches.
    """
    for state, batch in seen.items():
        if momentum is not None:
            moved = add(scale(1 - float(momentum), state), scale(float(momentum), batch))
        else:
            share = scalar_map(1 / (ir.symbol(0) + 1), count)
            moved = add(state, multiply(subtract(batch, state), share))
        at.update(state, moved)
    at.update(count, add(count, Constant(1.0)))


@dataclass(frozen=True)
class _BatchNorm(Block):
    num_features: int
    eps: float = 1e-5
    momentum: float | None = 0.1
    affine: bool = True
    track_running_stats: bool = True
    ranks: ClassVar[tuple[int, ...]]  # how many axes x may have

    def __post_init__(self) -> None:
        name = type(self).__name__
        whole(f"{name}: num_features", self.num_features)
        finite(f"{name}: eps", self.eps)
        if self.eps < 0:
            raise ConfigError(f"{name}: eps is {self.eps}; expected a number from 0, as 1e-5")
        if self.momentum is not None:
            finite(f"{name}: momentum", self.momentum)
            if not 0 <= self.momentum <= 1:
                raise ConfigError(
                    f"{name}: momentum is {self.momentum}; expected a number from 0 to 1, or None "
                    "for the average over all batches"
                )
        for option in ("affine", "track_running_stats"):
            require(f"{name}: {option}", getattr(self, option), bool, "True or False")

    def build(self, x: Node, at: Scope) -> Node:
        at = Scope(at)
        channels = self._channels(x, at)
        gain = at.parameter("weight", (channels,), 1.0) if self.affine else None
        bias = at.parameter("bias", (channels,), 0.0) if self.affine else None
        mean, inverse = self._statistics(x, channels, at)
        held = normalised(x, mean, inverse)
        if isinstance(mean, Named):
            return as_equations(held, gain, bias, at)
        return at.a(rescaled(held, gain, bias))

    def _statistics(self, x: Node, channels: Axis, at: Scope) -> tuple[Node, Node]:
        """The mean and the factor: those of the batch, or in evaluation what has been learnt."""
        over = without(x.axes, (channels,))
        if not self.track_running_stats:
            return self._of_batch(x, over, at)[:2]
        mean = at.state("running_mean", (channels,), 0.0)
        variance = at.state("running_var", (channels,), 1.0)
        count = at.state("num_batches_tracked", (), 0.0)
        if not at.training and x.outlined:
            return mean, variance
        if not at.training:
            return mean, scalar_map((ir.symbol(0) + float(self.eps)) ** Fraction(-1, 2), variance)
        here, inverse, spread = self._of_batch(x, over, at)
        remember(at, self.momentum, count, {mean: here, variance: spread})
        return here, inverse

    def _of_batch(self, x: Node, over: Axes, at: Scope) -> tuple[Node, Node, Node]:
        """Mean, factor and the unbiased variance, which is what is remembered."""
        at.several(over)
        found = statistics(x, over, at, self.eps)
        assert found.mean is not None
        return found.mean, found.inverse, unbiased(found.variance, over)

    def _channels(self, x: Node, at: Scope) -> Axis:
        if len(x.axes) not in self.ranks:
            taken = " or ".join(f"(batch, channels{_FURTHER[rank]})" for rank in self.ranks)
            raise ShapeError(
                f"{self!r} at {at.where} takes {taken}; what comes in has the axes {show(x.axes)}"
            )
        return at.sized(x.axes[1], self.num_features, self)


@dataclass(frozen=True)
class BatchNorm1d(_BatchNorm):
    """(x − μ)/√(σ² + eps) · weight + bias for each channel of x (batch, channels[, length]).

    In training μ and σ² are the batch's, over everything but the channels, and ``running_mean`` and
    ``running_var`` move towards them by the share ``momentum``, or are the average over all batches
    where that is None (Ioffe and Szegedy 2015); they are μ and σ² in evaluation. As in torch
    σ² is the biased variance, the remembered one is unbiased, and without ``track_running_stats``
    the batch's own are taken in both modes.
    Raises ConfigError for options out of range, ShapeError for other axes, and where a batch has
    one entry only.

    >>> import pullback as pb
    >>> net = pb.Network(pb.Sequential(pb.Linear(2, 3), pb.BatchNorm1d(3)), pb.MSELoss())
    >>> [name for name in net.init() if name.startswith("1.")][2:]
    ['1.running_mean', '1.running_var', '1.num_batches_tracked']
    >>> net.updated(net.init(), [[0.0, 1.0], [2.0, 3.0]])["1.num_batches_tracked"]
    array(1.)
    """

    ranks = (2, 3)


@dataclass(frozen=True)
class BatchNorm2d(_BatchNorm):
    """``BatchNorm1d`` for x (batch, channels, height, width).

    Raises ConfigError for options out of range, ShapeError for other axes, and where a batch has
    one entry only.

    >>> import pullback as pb
    >>> net = pb.Network(pb.BatchNorm2d(3), pb.MSELoss(), x="channels=3 height=4 width=4")
    >>> net.trained
    ('weight', 'bias')
    """

    ranks = (4,)
