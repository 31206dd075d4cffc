"""Pooling: the largest number or the mean of each window, channel by channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from pullback import ir
from pullback.errors import ConfigError, ShapeError, require, shown, whole
from pullback.ir import Axes, Axis, Contract, Index, Max, Node, Pattern, Range
from pullback.ir.build import scalar_map, scale
from pullback.ir.layout import window
from pullback.nn.block import Block
from pullback.nn.scope import Scope
from pullback.nn.sliding import (
    Numbers,
    Sliding,
    counted,
    each_way,
    new_axes,
    places,
    told,
)


class _Pool(Block):
    """What pools with a kernel have in common."""

    directions: ClassVar[tuple[str, ...]]
    kernel_size: Numbers
    stride: Numbers | None
    padding: Numbers
    ceil_mode: bool

    def __post_init__(self) -> None:
        require(f"{type(self).__name__}: ceil_mode", self.ceil_mode, bool, "True or False")
        for way in self._sliding():
            if way.before > way.reach // 2:
                raise ConfigError(
                    f"{type(self).__name__}: padding is {shown(self.padding)}; expected at most "
                    f"half of what the kernel reaches over, {way.reach // 2}"
                )

    def _sliding(self) -> tuple[Sliding, ...]:
        """How the window goes along each direction; without a stride they do not overlap."""
        n = len(self.directions)
        kernels = each_way(self, "kernel_size", self.kernel_size, n)
        strides = kernels if self.stride is None else each_way(self, "stride", self.stride, n)
        pads = each_way(self, "padding", self.padding, n, least=0)
        dilations = each_way(self, "dilation", getattr(self, "dilation", 1), n)
        return tuple(map(Sliding, kernels, strides, dilations, pads, pads))

    def _windows(self, x: Node, at: Scope) -> tuple[Axes, Axes, list[Pattern]]:
        """The axes of the windows and of their taps, and the pattern for each direction."""
        ways, along = self._sliding(), places(self, x, self.directions, at)
        pairs = list(zip(ways, along, strict=True))
        sizes = [counted(self, way, axis, at, self.ceil_mode) for way, axis in pairs]
        into = new_axes(at, self.directions, sizes, x.axes)
        taps = tuple(
            at.axis(f"{name} taps", way.kernel)
            for way, name in zip(ways, self.directions, strict=True)
        )
        windows = [
            window(axis, out, tap, way.stride, way.dilation, way.before)
            for (way, axis), out, tap in zip(pairs, into, taps, strict=True)
        ]
        return into, taps, windows

    def __repr__(self) -> str:
        return told(self)


@dataclass(frozen=True, repr=False)
class _MaxPool(_Pool):
    kernel_size: Numbers
    stride: Numbers | None = None
    padding: Numbers = 0
    dilation: Numbers = 1
    ceil_mode: bool = False

    def build(self, x: Node, at: Scope) -> Node:
        at = Scope(at)
        into, taps, windows = self._windows(x, at)
        z: Node = Contract((x, *windows), (*x.axes[:2], *into, *taps))
        sides = zip(self._sliding(), x.axes[2:], into, taps, strict=True)
        for way, axis, out, tap in reversed(list(sides)):
            z = Max(z, tap, "first", self._inside(way, axis, out, tap, at))
        return at.a(z)

    def _inside(self, way: Sliding, axis: Axis, out: Axis, tap: Axis, at: Scope) -> Node | None:
        """Which taps are on the axis; None where all are."""
        length, ends = axis.size or 0, range(out.size or 0)
        for start in (way.stride * place - way.before for place in ends):
            if not any(0 <= start + way.dilation * step < length for step in range(way.kernel)):
                raise ShapeError(
                    f"{self!r}: with its dilation a window has no entry of {axis!r}, only padding; "
                    "expected a smaller dilation or padding"
                )
        inside = on_axis(way, out, tap, 0, length - 1)
        return None if inside.always else Pattern((out, tap), (), (inside,))


class MaxPool1d(_MaxPool):
    """The largest entry of each window along x (batch, channels, length), as torch.nn.MaxPool1d.

    Of equal entries the first has the whole cotangent. The padding is no entry; it is at most half
    of the kernel. ``ceil_mode`` keeps a last window that hangs over the end. Raises ConfigError for
    numbers that do not fit one another and ShapeError for an x that they do not fit.

    >>> import pullback as pb
    >>> net = pb.Network(pb.MaxPool1d(2), pb.MSELoss(), x="channels=3 length=7")
    >>> net.target.axes[1:]
    (channels=3, length′=3)
    """

    directions = ("length",)


class MaxPool2d(_MaxPool):
    """The largest entry of each window over x (batch, channels, height, width).

    The numbers are one for both directions or a tuple for (height, width); otherwise it is as
    MaxPool1d.

    >>> import pullback as pb
    >>> net = pb.Network(pb.MaxPool2d(2), pb.MSELoss(), x="channels=3 height=6 width=4")
    >>> net.target.axes[1:]
    (channels=3, height′=3, width′=2)
    """

    directions = ("height", "width")


class _AvgPool(_Pool):
    count_include_pad: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        name = f"{type(self).__name__}: count_include_pad"
        require(name, self.count_include_pad, bool, "True or False")

    def _mean(self, x: Node, at: Scope, divisor: int | None) -> Node:
        into, taps, windows = self._windows(x, at)
        ways, along = self._sliding(), x.axes[2:]
        total = Contract((x, *windows), (*x.axes[:2], *into))
        if divisor is not None:
            return at.a(scale(1 / divisor, total))
        parts = zip(ways, along, into, taps, strict=True)
        counts = [self._count(*part) for part in parts]
        return at.a(divided(total, counts))

    def _count(self, way: Sliding, axis: Axis, out: Axis, tap: Axis) -> int | Node:
        """How many places each window has: a number where it is one for all of them."""
        pad = way.before if self.count_include_pad else 0
        inside = on_axis(way, out, tap, -pad, (axis.size or 0) - 1 + pad)
        if inside.always:
            return way.kernel
        return Contract((Pattern((out, tap), (), (inside,)),), (out,))


@dataclass(frozen=True, repr=False)
class AvgPool1d(_AvgPool):
    """The mean of each window along x (batch, channels, length), as torch.nn.AvgPool1d.

    The zeros of the padding count unless ``count_include_pad`` is False; ``ceil_mode`` keeps a last
    window that hangs over the end, whose places beyond the padding never count. Raises ConfigError
    for numbers that do not fit one another and ShapeError for an x that they do not fit.

    >>> import pullback as pb
    >>> net = pb.Network(pb.AvgPool1d(2), pb.MSELoss(), x="channels=3 length=7")
    >>> net.target.axes[1:]
    (channels=3, length′=3)
    """

    directions = ("length",)
    kernel_size: Numbers
    stride: Numbers | None = None
    padding: Numbers = 0
    ceil_mode: bool = False
    count_include_pad: bool = True

    def build(self, x: Node, at: Scope) -> Node:
        return self._mean(x, Scope(at), None)


@dataclass(frozen=True, repr=False)
class AvgPool2d(_AvgPool):
    """The mean of each window over x (batch, channels, height, width), as torch.nn.AvgPool2d.

    The numbers are one for both directions or a tuple for (height, width). With
    ``divisor_override`` each sum is divided by that; otherwise it is as AvgPool1d.

    >>> import pullback as pb
    >>> net = pb.Network(pb.AvgPool2d(2), pb.MSELoss(), x="channels=3 height=6 width=4")
    >>> net.target.axes[1:]
    (channels=3, height′=3, width′=2)
    """

    directions = ("height", "width")
    kernel_size: Numbers
    stride: Numbers | None = None
    padding: Numbers = 0
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.divisor_override is not None:
            whole("AvgPool2d: divisor_override", self.divisor_override, also=", or None")

    def build(self, x: Node, at: Scope) -> Node:
        return self._mean(x, Scope(at), self.divisor_override)


def on_axis(way: Sliding, out: Axis, tap: Axis, first: int, last: int) -> Range:
    """Says that a tap stands from the first place of an axis to the last."""
    place = way.stride * Index.on(out) + way.dilation * Index.on(tap) - way.before
    return Range(place, first, last)


def divided(total: Node, counts: Sequence[int | Node]) -> Node:
    """Sums divided by how many places each window has, direction by direction."""
    if total.outlined:
        return total
    numbers = prod(count for count in counts if isinstance(count, int))
    nodes = [count for count in counts if isinstance(count, Node)]
    shares = [scalar_map(1 / ir.symbol(0), count) for count in nodes]
    return scale(1 / numbers, Contract((total, *shares), total.axes))
