"""Convolutions and their transposes: a product with windows and a weight, correlation as in torch.

z[n, k, o] = Σ_{c, t} W[k, c, t] x[n, c, stride · o + dilation · t − padding]: outside of x is no
entry, so zeros around it need not be there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar

from pullback.errors import ConfigError, ShapeError, require, shown, unknown, whole
from pullback.ir import Axes, Axis, Contract, Node
from pullback.ir.build import add
from pullback.ir.layout import merged, split, window
from pullback.nn.block import Block
from pullback.nn.padding import MODES, padded
from pullback.nn.scope import Scope
from pullback.nn.sliding import (
    Numbers,
    Sliding,
    counted,
    each_way,
    new_axes,
    new_axis,
    places,
    sized,
    told,
)


class _Convolution(Block):
    """What a convolution and its transpose have in common: channels in groups, taps, a bias."""

    directions: ClassVar[tuple[str, ...]]
    in_channels: int
    out_channels: int
    kernel_size: Numbers
    groups: int
    bias: bool

    def _check(self) -> None:
        name = type(self).__name__
        for part in ("in_channels", "out_channels", "groups"):
            whole(f"{name}: {part}", getattr(self, part))
        for part in ("in_channels", "out_channels"):
            if (size := getattr(self, part)) % self.groups:
                raise ConfigError(
                    f"{name}: {part} is {size}, which {self.groups} groups do not divide; expected "
                    f"a multiple of {self.groups}"
                )
        require(f"{name}: bias", self.bias, bool, "True or False")

    def _taps(self, at: Scope) -> Axes:
        sizes = each_way(self, "kernel_size", self.kernel_size, len(self.directions))
        names = ("taps",) if len(sizes) == 1 else tuple(f"{each} taps" for each in self.directions)
        return tuple(map(at.axis, names, sizes))

    def _product(self, x: Node, windows: Sequence[Node], into: Axes, at: Scope) -> Node:
        """The sum over channels and taps of the windows of x times the weight, and the bias."""
        batch, channels = x.axes[0], sized(self, x.axes[1], self.in_channels, at)
        out = new_axis(at, "channels", self.out_channels, x.axes)
        first, second = self._sides(channels, out)
        taps = self._taps(at)
        fan_out = self.out_channels // self.groups * prod(axis.size or 1 for axis in taps)
        if self.groups == 1:
            weight = at.parameter("weight", (first, second, *taps), fan_out=fan_out)
            z: Node = Contract((x, *windows, weight), (batch, out, *into))
        else:  # channels are numbered group by group, and each group meets a weight of its own
            group = at.axis("groups", self.groups)
            inner = at.axis("inner", self.in_channels // self.groups)
            outer = at.axis("outer", self.out_channels // self.groups)
            of_first, of_second = self._sides(inner, outer)
            # the weight's first axis counts through all groups, the second within one
            every = at.axis("filters", first.size or 0)
            weight = at.parameter("weight", (every, of_second, *taps), fan_out=fan_out)
            factors = split(x, channels, (group, inner)), split(weight, every, (group, of_first))
            inside = Contract((*factors, *windows), (batch, group, outer, *into))
            z = merged(inside, (group, outer), out)
        if self.bias:
            z = add(z, at.parameter("bias", (out,), "bias"))
        return at.z(z)

    def _sides(self, channels: Axis, out: Axis) -> tuple[Axis, Axis]:
        """The first two axes of the weight, of the axes of what comes in and of what goes out."""
        return out, channels

    def __repr__(self) -> str:
        return told(self)


@dataclass(frozen=True, repr=False)
class _Forward(_Convolution):
    in_channels: int
    out_channels: int
    kernel_size: Numbers
    stride: Numbers = 1
    padding: Numbers | str = 0
    dilation: Numbers = 1
    groups: int = 1
    bias: bool = True
    padding_mode: str = "zeros"

    def __post_init__(self) -> None:
        self._check()
        if self.padding_mode not in MODES:
            raise unknown("padding_mode:", self.padding_mode, MODES)
        self._sliding()

    def _sliding(self) -> tuple[Sliding, ...]:
        """How the kernel goes along each direction."""
        kernels, strides, dilations = (
            each_way(self, name, getattr(self, name), len(self.directions))
            for name in ("kernel_size", "stride", "dilation")
        )
        ways = tuple(map(Sliding, kernels, strides, dilations))
        if isinstance(self.padding, str):
            if self.padding not in ("same", "valid"):
                raise unknown(f"{type(self).__name__}: padding", self.padding, ("same", "valid"))
            if self.padding == "valid":
                return ways
            if any(stride != 1 for stride in strides):
                raise ConfigError(
                    f"{type(self).__name__}: padding='same' with stride {shown(self.stride)}; the "
                    "output is as long as the input with stride 1 only; say the padding as a number"
                )
            # of an odd number of zeros the last goes behind
            around = [(way.reach - 1) // 2 for way in ways]
            return tuple(
                replace(way, before=least, after=way.reach - 1 - least)
                for way, least in zip(ways, around, strict=True)
            )
        pads = each_way(self, "padding", self.padding, len(self.directions), least=0)
        return tuple(
            replace(way, before=pad, after=pad) for way, pad in zip(ways, pads, strict=True)
        )

    def build(self, x: Node, at: Scope) -> Node:
        at = Scope(at)
        ways = self._sliding()
        along = places(self, x, self.directions, at)
        if self.padding_mode != "zeros" and any(way.before or way.after for way in ways):
            x = padded(self, x, [(way.before, way.after) for way in ways], self.padding_mode, at)
            ways = tuple(replace(way, before=0, after=0) for way in ways)
            along = x.axes[2:]
        sizes = [counted(self, way, axis, at) for way, axis in zip(ways, along, strict=True)]
        into = new_axes(at, self.directions, sizes, x.axes)
        windows = [
            window(axis, out, tap, way.stride, way.dilation, way.before)
            for axis, out, tap, way in zip(along, into, self._taps(at), ways, strict=True)
        ]
        return self._product(x, windows, into, at)


class Conv1d(_Forward):
    """A convolution along one axis of x (batch, channels, length), as torch.nn.Conv1d.

    ``weight`` is (out_channels, in_channels / groups, taps), ``bias`` (out_channels). ``padding``
    is a number, "same" or "valid"; ``padding_mode`` "zeros", "circular", "reflect" or "replicate".
    Raises ConfigError for numbers that do not fit one another and ShapeError for an x that they do
    not fit, as one shorter than the kernel.

    >>> import pullback as pb
    >>> net = pb.Network(pb.Conv1d(2, 4, 3, padding="same"), pb.MSELoss(), x="channels=2 length=5")
    >>> net.predict(net.init(), [[[1.0] * 5] * 2]).shape, [spec.shape for spec in net.specs]
    ((1, 4, 5), [(4, 2, 3), (4,)])
    """

    directions = ("length",)


class Conv2d(_Forward):
    """A convolution over x (batch, channels, height, width), as torch.nn.Conv2d.

    ``weight`` is (out_channels, in_channels / groups, taps down, taps across). The numbers are one
    for both directions or a tuple for (height, width); otherwise it is as Conv1d.

    >>> import pullback as pb
    >>> conv = pb.Conv2d(1, 6, (3, 5), stride=2)
    >>> pb.Network(conv, pb.MSELoss(), x="channels=1 height=9 width=9").target.axes[1:]
    (channels′=6, height′=4, width′=3)
    """

    directions = ("height", "width")


@dataclass(frozen=True, repr=False)
class _Transposed(_Convolution):
    in_channels: int
    out_channels: int
    kernel_size: Numbers
    stride: Numbers = 1
    padding: Numbers = 0
    output_padding: Numbers = 0
    groups: int = 1
    bias: bool = True
    dilation: Numbers = 1

    def __post_init__(self) -> None:
        self._check()
        for way, more in self._sliding():
            if more >= max(way.stride, way.dilation):
                raise ConfigError(
                    f"{type(self).__name__}: output_padding is {shown(self.output_padding)}; "
                    f"expected less than the stride, {way.stride}, or the dilation, {way.dilation}"
                )

    def _sliding(self) -> list[tuple[Sliding, int]]:
        """How the kernel goes along each direction of the output, and what is added to its end."""
        kernels, strides, dilations = (
            each_way(self, name, getattr(self, name), len(self.directions))
            for name in ("kernel_size", "stride", "dilation")
        )
        pads, more = (
            each_way(self, name, getattr(self, name), len(self.directions), least=0)
            for name in ("padding", "output_padding")
        )
        ways = map(Sliding, kernels, strides, dilations, pads, pads)
        return list(zip(ways, more, strict=True))

    def build(self, x: Node, at: Scope) -> Node:
        at = Scope(at)
        along = places(self, x, self.directions, at)
        ways = self._sliding()
        sizes = [
            way.spread(axis.size or 0) + more for axis, (way, more) in zip(along, ways, strict=True)
        ]
        for axis, size in zip(along, sizes, strict=True):
            if size < 1:
                raise ShapeError(
                    f"{self!r}: the padding takes away all that {axis!r} makes, {size} places; "
                    "expected a smaller padding or a longer axis"
                )
        into = new_axes(at, self.directions, sizes, x.axes)
        windows = [
            window(out, axis, tap, way.stride, way.dilation, way.before)
            for axis, out, tap, (way, _) in zip(along, into, self._taps(at), ways, strict=True)
        ]
        return self._product(x, windows, into, at)

    def _sides(self, channels: Axis, out: Axis) -> tuple[Axis, Axis]:
        return channels, out


class ConvTranspose1d(_Transposed):
    """The transpose of a convolution along x (batch, channels, length), as torch has it.

    ``weight`` is (in_channels, out_channels / groups, taps), ``bias`` (out_channels). The output is
    (length − 1) · stride − 2 · padding + dilation · (kernel_size − 1) + 1 + output_padding long:
    several lengths have one convolution, and ``output_padding`` says which is meant.
    Raises ConfigError for numbers that do not fit one another and ShapeError for an x that they do
    not fit.

    >>> import pullback as pb
    >>> up = pb.ConvTranspose1d(2, 1, 3, stride=2, padding=1, output_padding=1)
    >>> pb.Network(up, pb.MSELoss(), x="channels=2 length=4").target.axes[1:]
    (channels′=1, length′=8)
    """

    directions = ("length",)


class ConvTranspose2d(_Transposed):
    """The transpose of a convolution, over x (batch, channels, height, width).

    ``weight`` is (in_channels, out_channels / groups, taps down, taps across); the numbers are one
    for both directions or a tuple for (height, width). Otherwise it is as ConvTranspose1d.

    >>> import pullback as pb
    >>> up = pb.ConvTranspose2d(2, 1, 2, stride=2)
    >>> pb.Network(up, pb.MSELoss(), x="channels=2 height=3 width=4").target.axes[1:]
    (channels′=1, height′=6, width′=8)
    """

    directions = ("height", "width")
