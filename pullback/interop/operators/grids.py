"""Grids made finer or coarser, and channels as the pixels of a grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from pullback.errors import ConversionError
from pullback.interop.builder import Builder
from pullback.interop.operators.grouping import again, reshaped
from pullback.interop.operators.order import permuted
from pullback.interop.operators.windows import adaptive_average_pool, each, stem
from pullback.interop.rows import Array
from pullback.interop.values import PlacedNode
from pullback.ir import Contract


def upsampled(
    b: Builder, input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: Any = None, recompute_scale_factor: Any = None, antialias: bool = False,
) -> PlacedNode:  # fmt: skip
    """Another grid: each place takes the entry that it lies in, or a mean of those around it."""
    x = b.tensor(input)
    if antialias:
        raise ConversionError("it makes a grid coarser with antialias")
    count = len(x.dims) - 2
    sizes = each(size, count) if size is not None else [None] * count
    factors = each(scale_factor, count) if scale_factor is not None else [None] * count
    if mode == "area":
        lengths = [b.known(dim) for dim in x.dims[2:]]
        wanted = [
            int(n * f) if o is None else o for n, o, f in zip(lengths, sizes, factors, strict=True)
        ]
        return adaptive_average_pool(b, x, tuple(wanted), dims=count)
    for at, (wanted_, factor) in enumerate(zip(sizes, factors, strict=True), 2):
        n = b.known(x.dims[at])
        o = int(n * factor) if wanted_ is None else wanted_
        if mode == "nearest" and o % n == 0:
            x = again(b, x, at, o // n, inside=True)
            continue
        given = factor if factor and not recompute_scale_factor and wanted_ is None else None
        x = mixed(b, x, at, interpolation(n, o, given, mode, bool(align_corners)))
    return x


def mixed(b: Builder, x: PlacedNode, at: int, matrix: Array, part: str = "grid") -> PlacedNode:
    """The product of a constant matrix (out, in) with an axis."""
    x, axis = b.along(x, at)
    out = b.fresh(stem(axis), len(matrix))
    over = tuple(out if each == axis else each for each in x.node.axes)
    node = Contract((x.node, b.constant(part, (out, axis), matrix)), over)
    return replace(x, node=node, dims=(*x.dims[:at], out, *x.dims[at + 1 :]))


def interpolation(n: int, o: int, factor: float | None, mode: str, corners: bool) -> Array:
    """The matrix (o, n) by which n entries become o, as torch has it.

    >>> interpolation(2, 3, None, "linear", True).tolist()
    [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    """
    scale = 1 / factor if factor else n / o
    at = np.arange(o)
    if mode in ("nearest", "nearest-exact"):
        place = np.floor(at * scale if mode == "nearest" else (at + 0.5) * scale)
        near: Array = np.eye(n)[np.minimum(place.astype(int), n - 1)]
        return near
    if corners:
        place = at * ((n - 1) / (o - 1) if o > 1 else 0.0)
    else:
        place = (at + 0.5) * scale - 0.5
    if mode in ("linear", "bilinear", "trilinear"):
        place = np.maximum(place, 0.0)
        taps: dict[int, Callable[[Array], Array]] = {0: lambda t: 1 - t, 1: lambda t: t}
    elif mode == "bicubic":
        taps = {-1: lambda t: _far(t + 1), 0: _near, 1: lambda t: _near(1 - t),
                2: lambda t: _far(2 - t)}  # fmt: skip
    else:
        raise ConversionError(f"it makes another grid by {mode!r}, which pullback does not read")
    low = np.floor(place).astype(int)
    matrix = np.zeros((o, n))
    for step, weight in taps.items():
        np.add.at(matrix, (at, np.clip(low + step, 0, n - 1)), weight(place - low))
    return matrix


def _near(t: Array) -> Array:
    """The weight of an entry at most one away (Keys 1981, a = −0.75)."""
    return (1.25 * t - 2.25) * t * t + 1


def _far(t: Array) -> Array:
    """That of one between one and two away."""
    return ((-0.75 * t + 3.75) * t - 6) * t + 3


def upsampled_to(
    b: Builder, input: Any, size: Any = None, *rest: Any, mode: str, corners: bool = False,
    align_corners: Any = None, scale_factors: Any = None, **_: Any,
) -> PlacedNode:  # fmt: skip
    """aten's form: whether corners meet stands before the factors, if it is there."""
    if corners:
        align_corners, *rest = rest or (align_corners,)  # type: ignore[assignment]
    factors = rest[0] if rest and isinstance(rest[0], tuple) else scale_factors
    given = {"size": size} if size is not None else {"scale_factor": factors}
    return upsampled(b, input, mode=mode, align_corners=align_corners, **given)


def channels_shuffled(b: Builder, input: Any, groups: int) -> PlacedNode:
    """The channels of all groups by turns: (g c) to (c g)."""
    batch, c, *rest = b.shape_of(b.tensor(input))
    x = reshaped(b, input, batch, groups, c // groups, *rest)
    order = (0, 2, 1, *range(3, len(rest) + 3))
    return reshaped(b, permuted(b, x, order), batch, c, *rest)


def shuffled(b: Builder, input: Any, upscale_factor: int) -> PlacedNode:
    """Channels as the pixels of a finer grid: (c r², h, w) to (c, h r, w r)."""
    batch, c, h, w = b.shape_of(b.tensor(input))
    r = upscale_factor
    x = reshaped(b, input, batch, c // r**2, r, r, h, w)
    return reshaped(b, permuted(b, x, 0, 1, 4, 2, 5, 3), batch, c // r**2, h * r, w * r)


def unshuffled(b: Builder, input: Any, downscale_factor: int) -> PlacedNode:
    """The pixels of a finer grid as channels: (c, h r, w r) to (c r², h, w)."""
    batch, c, h, w = b.shape_of(b.tensor(input))
    r = downscale_factor
    x = reshaped(b, input, batch, c, h // r, r, w // r, r)
    return reshaped(b, permuted(b, x, 0, 1, 3, 5, 2, 4), batch, c * r**2, h // r, w // r)
