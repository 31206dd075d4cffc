"""Each entry repeated along the axes after the channels."""

from __future__ import annotations

from dataclasses import dataclass

from pullback.errors import ShapeError, unknown
from pullback.ir import Contract, Node
from pullback.ir.axis import show
from pullback.ir.layout import window
from pullback.nn.block import Block
from pullback.nn.scope import Scope
from pullback.nn.sliding import Numbers, each_way, new_axis, told


@dataclass(frozen=True, repr=False)
class Upsample(Block):
    """Each entry of x (batch, channels, …) so many times along each later axis.

    Of torch.nn.Upsample it is the mode "nearest" with a whole ``scale_factor``, one for all axes or
    a tuple. Raises ConfigError for another mode or factor, ShapeError for an x that it does not
    fit.

    >>> import pullback as pb
    >>> net = pb.Network(pb.Upsample(scale_factor=2), pb.MSELoss(), x="channels=3 length=4")
    >>> net.target.axes[1:]
    (channels=3, length′=8)
    """

    scale_factor: Numbers
    mode: str = "nearest"

    def __post_init__(self) -> None:
        if self.mode != "nearest":
            raise unknown("Upsample: mode", self.mode, ["nearest"])
        given = self.scale_factor
        each_way(self, "scale_factor", given, len(given) if isinstance(given, tuple) else 1)

    def build(self, x: Node, at: Scope) -> Node:
        at, along = Scope(at), x.axes[2:]
        if not along or any(axis.size is None for axis in along):
            raise ShapeError(
                f"{self!r} needs the axes (batch, channels, …) with their lengths after the "
                f"channels, found {show(x.axes)}"
            )
        factors, over = [x], list(x.axes)
        for place, by in enumerate(each_way(self, "scale_factor", self.scale_factor, len(along))):
            axis = along[place]
            tap = at.axis(f"{axis.name} copies", by)
            over[place + 2] = out = new_axis(at, axis.name, by * (axis.size or 0), x.axes)
            factors.append(window(out, axis, tap, by))
        return at.a(Contract(tuple(factors), tuple(over)))

    def __repr__(self) -> str:
        return told(self)
