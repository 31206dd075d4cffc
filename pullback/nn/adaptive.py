"""Pooling to a given size: window i of n goes from ⌊i·length/n⌋ to ⌈(i + 1)·length/n⌉."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pullback.errors import ConfigError, shown, whole
from pullback.ir import Axis, Contract, Index, Max, Node, Pattern, Range
from pullback.ir.build import with_axes
from pullback.ir.layout import window
from pullback.nn.block import Block
from pullback.nn.pooling import divided
from pullback.nn.scope import Scope
from pullback.nn.sliding import new_axis, places, told

Sizes = int | None | tuple[int | None, ...]


@dataclass(frozen=True, repr=False)
class _Adaptive(Block):
    output_size: Sizes
    directions: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        self._sizes()

    def _sizes(self) -> tuple[int | None, ...]:
        n, given, name = len(self.directions), self.output_size, type(self).__name__
        sizes = (given,) * n if not isinstance(given, (tuple, list)) else tuple(given)
        if len(sizes) != n:
            raise ConfigError(f"{name}: output_size is {shown(given)}; expected {n} sizes")
        also = ", or None for as many as there are"
        return tuple(
            size if size is None else whole(f"{name}: output_size", size, also=also)
            for size in sizes
        )

    def _sides(self, x: Node, at: Scope) -> list[tuple[Axis, int | None, str]]:
        """Each axis, how many windows it is to have, and what that direction is called."""
        along = places(self, x, self.directions, at)
        return list(zip(along, self._sizes(), self.directions, strict=True))

    def __repr__(self) -> str:
        return told(self)


def _window(axis: Axis, out: Axis) -> Pattern:
    """1 where an entry of an axis belongs to one of the windows."""
    length, n = axis.size or 0, out.size or 0
    behind = n * Index.on(axis) - length * Index.on(out)
    return Pattern((axis, out), (), (Range(behind, 1 - n, length - 1),))


class _AdaptiveAvg(_Adaptive):
    def build(self, x: Node, at: Scope) -> Node:
        at = Scope(at)
        factors, counts, over = [x], list[int | Node](), list(x.axes)
        for place, (axis, size, name) in enumerate(
            zip(places(self, x, self.directions, at), self._sizes(), self.directions, strict=True),
            2,
        ):
            length = axis.size or 0
            if size in (None, length):
                continue
            over[place] = out = new_axis(at, name, size or 0, x.axes)
            if length % (size or 1) == 0:
                tap = at.axis(f"{name} taps", length // (size or 1))
                factors.append(window(axis, out, tap, tap.size or 1))
                counts.append(tap.size or 1)
            else:
                factors.append(_window(axis, out))
                counts.append(Contract((_window(axis, out),), (out,)))
        return at.a(divided(Contract(tuple(factors), tuple(over)), counts))


class AdaptiveAvgPool1d(_AdaptiveAvg):
    """The means of so many windows along x (batch, channels, length), as torch has them.

    ``None`` leaves the length as it is. Windows of lengths that do not divide overlap. Raises
    ConfigError for a size below 1 and ShapeError for an x with other axes.

    >>> import pullback as pb
    >>> net = pb.Network(pb.AdaptiveAvgPool1d(3), pb.MSELoss(), x="channels=2 length=7")
    >>> net.target.axes[1:]
    (channels=2, length′=3)
    """

    directions = ("length",)


class AdaptiveAvgPool2d(_AdaptiveAvg):
    """The means of so many windows over x (batch, channels, height, width), as torch has them.

    ``output_size`` is one size for both directions or a tuple for (height, width), each of which
    may be None; otherwise it is as AdaptiveAvgPool1d.

    >>> import pullback as pb
    >>> net = pb.Network(pb.AdaptiveAvgPool2d((1, None)), pb.MSELoss(),
    ...                  x="channels=2 height=3 width=4")
    >>> net.target.axes[1:]
    (channels=2, height′=1, width=4)
    """

    directions = ("height", "width")


class _AdaptiveMax(_Adaptive):
    def build(self, x: Node, at: Scope) -> Node:
        at, z, over = Scope(at), x, list(x.axes)
        for place, (axis, size, name) in reversed(list(enumerate(self._sides(x, at), 2))):
            if size not in (None, axis.size):
                over[place] = out = new_axis(at, name, size or 0, x.axes)
                z = Max(z, axis, "first", _window(axis, out))
        return at.a(with_axes(z, tuple(over)))


class AdaptiveMaxPool1d(_AdaptiveMax):
    """The largest entries of so many windows along x (batch, channels, length).

    Of equal entries the first has the whole cotangent; otherwise it is as AdaptiveAvgPool1d.

    >>> import pullback as pb
    >>> net = pb.Network(pb.AdaptiveMaxPool1d(3), pb.MSELoss(), x="channels=2 length=7")
    >>> net.target.axes[1:]
    (channels=2, length′=3)
    """

    directions = ("length",)


class AdaptiveMaxPool2d(_AdaptiveMax):
    """The largest entries of so many windows over x (batch, channels, height, width).

    Of equal entries the first has the whole cotangent; otherwise it is as AdaptiveAvgPool2d.

    >>> import pullback as pb
    >>> net = pb.Network(pb.AdaptiveMaxPool2d((1, None)), pb.MSELoss(),
    ...                  x="channels=2 height=3 width=4")
    >>> net.target.axes[1:]
    (channels=2, height′=1, width=4)
    """

    directions = ("height", "width")
