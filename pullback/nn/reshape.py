"""Axes put together and apart: nothing but names for the same numbers."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from pullback.errors import ConfigError, ShapeError, require, shown, whole
from pullback.ir import Node
from pullback.ir.axis import show
from pullback.ir.layout import merged, split
from pullback.nn.block import Block, numbered
from pullback.nn.scope import Scope
from pullback.nn.sliding import new_axes, new_axis, told


@dataclass(frozen=True, repr=False)
class Flatten(Block):
    """The axes from ``start_dim`` to ``end_dim`` as one, the last of them the fastest.

    Axes are counted as in torch: 1 is the first after the batch, −1 the last. Raises ConfigError
    for the batch, which stays apart, and ShapeError where there are no such axes.

    >>> import pullback as pb
    >>> net = pb.Network(pb.Flatten(), pb.MSELoss(), x="channels=2 height=3 width=4")
    >>> net.target.axes[1:]
    (features=24,)
    """

    start_dim: int = 1
    end_dim: int = -1

    def __post_init__(self) -> None:
        for name in ("start_dim", "end_dim"):
            require(f"Flatten: {name}", getattr(self, name), int, "the number of an axis")
        if self.start_dim == 0:
            raise ConfigError("Flatten: start_dim is 0, the batch; expected an axis from 1")

    def build(self, x: Node, at: Scope) -> Node:
        at = Scope(at)
        first, last = (
            x.axes.index(numbered(self, x, dim, at)) for dim in (self.start_dim, self.end_dim)
        )
        if last < first:
            raise ShapeError(f"{self!r}: start_dim is behind end_dim in {show(x.axes)}")
        if first == last:
            return x
        axes = x.axes[first : last + 1]
        if open_ := tuple(axis for axis in axes if axis.size is None):
            raise ShapeError(
                f"{self!r} needs the lengths of {show(open_)}; say them, as in Network(…, "
                f"x='{' '.join(f'{axis.name}=8' for axis in open_)}')"
            )
        size = prod(axis.size or 0 for axis in axes)
        return at.a(merged(x, axes, new_axis(at, "features", size, x.axes)))

    def __repr__(self) -> str:
        return told(self)


@dataclass(frozen=True, repr=False)
class Unflatten(Block):
    """One axis as several of these sizes, the last of them the fastest, as torch.nn.Unflatten.

    One of the sizes may be −1: whatever is left. Raises ConfigError for sizes that are none and
    ShapeError where they do not fit the axis.

    >>> import pullback as pb
    >>> net = pb.Network(pb.Unflatten(1, (2, -1)), pb.MSELoss(), x="features=6")
    >>> net.target.axes[1:]
    (part 0=2, part 1=3)
    """

    dim: int
    unflattened_size: tuple[int, ...]

    def __post_init__(self) -> None:
        require("Unflatten: dim", self.dim, int, "the number of an axis")
        sizes: Any = self.unflattened_size
        if not isinstance(sizes, (tuple, list)) or not sizes or list(sizes).count(-1) > 1:
            raise ConfigError(
                f"Unflatten: unflattened_size is {shown(sizes)}; expected a tuple of sizes, of "
                "which one may be -1"
            )
        for size in sizes:
            if size != -1:
                whole("Unflatten: unflattened_size", size, also=", or -1 once")
        object.__setattr__(self, "unflattened_size", tuple(sizes))

    def build(self, x: Node, at: Scope) -> Node:
        at = Scope(at)
        axis = numbered(self, x, self.dim, at)
        known = prod(size for size in self.unflattened_size if size != -1)
        is_open, length = -1 in self.unflattened_size, at.sizes.get(axis, axis.size)
        if length is None and not is_open:
            axis, length = at.sized(axis, known, self), known
        if length is None or length % known or (length != known and not is_open):
            raise ShapeError(f"{self!r}: {axis!r} is not as long as these sizes together")
        sizes = [length // known if size == -1 else size for size in self.unflattened_size]
        names = [f"part {place}" for place in range(len(sizes))]
        return at.a(split(x, axis, new_axes(at, names, sizes, x.axes)))

    def __repr__(self) -> str:
        return told(self)
