"""The norm over groups of channels."""

from __future__ import annotations

from dataclasses import dataclass

from pullback.errors import ConfigError, ShapeError, from_zero, require, whole
from pullback.ir import Node
from pullback.ir.axis import show
from pullback.ir.layout import merged, split
from pullback.nn.block import Block
from pullback.nn.norm import normalised, rescaled, statistics
from pullback.nn.scope import Scope
from pullback.nn.sliding import sized, told


@dataclass(frozen=True, repr=False)
class GroupNorm(Block):
    """(x − μ)/√(σ² + eps) · weight + bias, μ and σ² over a group of channels and all places.

    x is (batch, channels, …); ``weight`` and ``bias`` are (channels), start at 1 and 0, and are not
    there without ``affine``. Raises ConfigError where the groups do not divide the channels and
    ShapeError for an x with other channels.

    >>> import pullback as pb
    >>> net = pb.Network(pb.GroupNorm(2, 4), pb.MSELoss(), x="channels=4 height=3 width=3")
    >>> [(spec.name, spec.shape) for spec in net.specs]
    [('weight', (4,)), ('bias', (4,))]
    """

    num_groups: int
    num_channels: int
    eps: float = 1e-5
    affine: bool = True

    def __post_init__(self) -> None:
        for name in ("num_groups", "num_channels"):
            whole(f"GroupNorm: {name}", getattr(self, name))
        if self.num_channels % self.num_groups:
            raise ConfigError(
                f"GroupNorm: num_channels is {self.num_channels}, which {self.num_groups} groups "
                f"do not divide; expected a multiple of {self.num_groups}"
            )
        from_zero("GroupNorm: eps", self.eps)
        require("GroupNorm: affine", self.affine, bool, "True or False")

    def build(self, x: Node, at: Scope) -> Node:
        at = Scope(at)
        if len(x.axes) < 2:
            raise ShapeError(f"{self!r} needs the axes (batch, channels, …), found {show(x.axes)}")
        channels = sized(self, x.axes[1], self.num_channels, at)
        group = at.axis("groups", self.num_groups)
        inner = at.axis("inner", self.num_channels // self.num_groups)
        apart = at.a(split(x, channels, (group, inner)), "groups")
        found = statistics(apart, apart.axes[2:], at, self.eps)
        held = at.a(normalised(apart, found.mean, found.inverse), "normalised")
        together = merged(held, (group, inner), channels)
        gain = at.parameter("weight", (channels,), 1.0) if self.affine else None
        bias = at.parameter("bias", (channels,), 0.0) if self.affine else None
        return at.a(rescaled(together, gain, bias))

    def __repr__(self) -> str:
        return told(self)
