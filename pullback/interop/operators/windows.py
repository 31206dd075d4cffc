"""Windows along the axes behind the channels: convolutions, pooling, and finer grids."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

from pullback.errors import ConversionError
from pullback.interop.builder import Builder
from pullback.interop.operators.grouping import reshaped
from pullback.interop.operators.parts import padded
from pullback.interop.rows import Held
from pullback.interop.values import PlacedNode, axes_of, place_of
from pullback.ir import Axis, Constant, Contract, Index, Max, Node, Pattern, Range, layout, symbol
from pullback.ir.axis import Axes
from pullback.ir.build import add, multiply, scalar_map, scale


@dataclass(frozen=True)
class WindowAxis:
    """One axis, what it becomes, the places in a window, and which entry each of them is.

    ``inside`` is 1 where there is one, if that is not everywhere.
    """

    axis: Axis
    out: Axis
    tap: Axis
    pattern: Node
    inside: Node | None = None


def convolution(
    b: Builder, input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1, padding_mode: str = "zeros",
) -> PlacedNode:  # fmt: skip
    """Σ over channels and taps of x · weight (out, in, taps), plus a bias."""
    shape = _shape(b, weight)
    taps = list(shape[2:])
    if shape[0] % groups:
        raise ConversionError(f"its {shape[0]} channels are no {groups} groups")
    pads = _padding(padding, taps, each(dilation, len(taps)))
    if padding_mode != "zeros":
        around = [end for pair in reversed(pads) for end in pair]
        input = padded(b, input, tuple(around), padding_mode)
        pads = [(0, 0)] * len(taps)
    x = _images(b, input, len(taps))
    windows = [
        _window(b, axis, k, s, d, pad)
        for axis, k, s, d, pad in zip(
            x.dims[2:], taps, each(stride, len(taps)), each(dilation, len(taps)), pads, strict=True
        )
    ]
    x, channels = b.along(x, 1)
    inside = b.known(channels) // groups
    if inside != shape[1] or b.known(channels) % groups:
        raise ConversionError(
            f"its weights are for {shape[1] * groups} channels, but {b.known(channels)} come in"
        )
    held = [w.tap for w in windows]
    if groups == 1:
        out = b.fresh("channels", shape[0])
        factors: tuple[Node, ...] = (x.node, _weights(b, weight, (out, channels, *held)))
        over: Axes = (out,)
    else:
        group = b.fresh("groups", groups)
        each_in, each_out = b.fresh("in", inside), b.fresh("out", shape[0] // groups)
        out = b.fresh("channels", shape[0])
        own = _weights(b, weight, (out, each_in, *held))
        own = layout.split(own, out, (group, each_out))
        factors = (layout.split(x.node, channels, (group, each_in)), own)
        over = (group, each_out)
    patterns = tuple(w.pattern for w in windows)
    outs = tuple(w.out for w in windows)
    lead = axes_of(x.dims[:1])
    node: Node = Contract((*factors, *patterns), (*lead, *over, *outs))
    if groups > 1:
        node = layout.merged(node, over, out)
    return _with_bias(b, PlacedNode(node, (x.dims[0], out, *outs)), bias)


def any_convolution(
    b: Builder, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any,
    transposed: bool, output_padding: Any, groups: int, *_: Any,
) -> PlacedNode:  # fmt: skip
    """A convolution as the dispatcher calls it, one way or the other."""
    if transposed:
        return transposed_convolution(
            b, input, weight, bias, stride, padding, output_padding, groups, dilation
        )
    return convolution(b, input, weight, bias, stride, padding, dilation, groups)


def transposed_convolution(
    b: Builder, input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1, padding_mode: str = "zeros",
) -> PlacedNode:  # fmt: skip
    """A convolution's pullback: every entry is spread over a window; weights (in, out, taps)."""
    shape = _shape(b, weight)
    taps = list(shape[2:])
    if padding_mode != "zeros":
        raise ConversionError("a transposed convolution padded by other than zeros")
    x = _images(b, input, len(taps))
    patterns, outs, held = [], [], []
    settings = (stride, padding, output_padding, dilation)
    rows = zip(taps, *(each(value, len(taps)) for value in settings), strict=True)
    for at, (k, s, p, more, d) in enumerate(rows, 2):
        x, axis = b.along(x, at)
        size = (b.known(axis) - 1) * s - 2 * p + d * (k - 1) + more + 1
        out, tap = b.fresh(stem(axis), size), b.fresh("tap", k)
        patterns.append(layout.window(out, axis, tap, s, d, p))
        outs.append(out)
        held.append(tap)
    x, channels = b.along(x, 1)
    b.meet(channels, shape[0])
    out, lead = b.fresh("channels", shape[1] * groups), axes_of(x.dims[:1])
    if groups == 1:
        factors = (x.node, _weights(b, weight, (channels, out, *held)), *patterns)
        node: Node = Contract(factors, (*lead, out, *outs))
    else:
        group, each_in = b.fresh("groups", groups), b.fresh("in", shape[0] // groups)
        each_out = b.fresh("out", shape[1])
        own = _weights(b, weight, (channels, each_out, *held))
        own = layout.split(own, channels, (group, each_in))
        factors = (layout.split(x.node, channels, (group, each_in)), own, *patterns)
        node = layout.merged(Contract(factors, (*lead, group, each_out, *outs)),
                             (group, each_out), out)  # fmt: skip
    return _with_bias(b, PlacedNode(node, (x.dims[0], out, *outs)), bias)


def average_pool(
    b: Builder, input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
    ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: Any = None,
    *, dims: int,
) -> PlacedNode:  # fmt: skip
    """The mean of each window."""
    x, windows = _pool(b, input, kernel_size, stride, padding, 1, ceil_mode, dims)
    sums = _summed(x, windows)
    if divisor_override is None and count_include_pad and not ceil_mode:
        divisor_override = 1
        for w in windows:
            divisor_override *= b.known(w.tap)
    if divisor_override is not None:
        return replace(sums, node=scale(1 / divisor_override, sums.node))
    if count_include_pad and any(each(padding, dims)):
        raise ConversionError("it counts the padding of windows that reach over the end")
    return _over_counts(sums, windows)


def largest_pool(
    b: Builder, input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
    dilation: Any = 1, ceil_mode: bool = False, return_indices: bool = False, *, dims: int,
) -> PlacedNode:  # fmt: skip
    """The largest entry of each window; of equal ones the first has the whole gradient."""
    if return_indices:
        raise ConversionError("it gives back the places of what is largest")
    x, windows = _pool(b, input, kernel_size, stride, padding, dilation, ceil_mode, dims)
    outs = {w.axis: w.out for w in windows}
    over = tuple(outs.get(dim, dim) for dim in axes_of(x.dims))
    node: Node = Contract(
        (x.node, *(w.pattern for w in windows)), (*over, *(w.tap for w in windows))
    )
    for w in reversed(windows):
        node = Max(node, w.tap, "first", w.inside)
    dims_ = tuple(outs.get(dim, dim) if isinstance(dim, Axis) else dim for dim in x.dims)
    return PlacedNode(node, dims_)


def adaptive_largest_pool(
    b: Builder, input: Any, output_size: Any, return_indices: bool = False, *, dims: int
) -> PlacedNode:
    """The largest entries of windows that are as many as asked."""
    if return_indices:
        raise ConversionError("it gives back the places of what is largest")
    x = _images(b, input, dims)
    for at in reversed(range(2, 2 + dims)):
        x, axis = b.along(x, at)
        size = each(output_size, dims)[at - 2]
        if size in (None, b.known(axis)):
            continue
        w = _adaptive(b, axis, size)
        where = None if size == 1 else w.pattern
        node = Max(x.node, axis, "first", where)
        out: Axis | None = None if size == 1 else w.out
        x = replace(x, node=node, dims=(*x.dims[:at], out, *x.dims[at + 1 :]))
    return x


def adaptive_average_pool(b: Builder, input: Any, output_size: Any, *, dims: int) -> PlacedNode:
    """Means of windows that are as many as asked: floor(i n/o) to ceil((i + 1) n/o)."""
    x = _images(b, input, dims)
    windows = []
    for at, size in enumerate(each(output_size, dims), 2):
        x, axis = b.along(x, at)
        if size not in (None, b.known(axis)):
            windows.append(_adaptive(b, axis, size))
    return _over_counts(_summed(x, windows), windows)


def _adaptive(b: Builder, axis: Axis, o: int) -> WindowAxis:
    n, out = b.known(axis), b.fresh(stem(axis), o)
    if o == 1:
        return WindowAxis(axis, out, b.fresh("tap", 1), Constant(1.0, (out,)))
    at, i = Index.on(axis), Index.on(out)
    from_start, to_end = o * at + o - n * i, n * i + n - o * at
    pattern = Pattern((axis, out), (), (Range(from_start, 1), Range(to_end, 1)))
    return WindowAxis(axis, out, b.fresh("tap", 1), pattern)


def _summed(x: PlacedNode, windows: list[WindowAxis]) -> PlacedNode:
    """The sum of each window."""
    outs = {w.axis: w.out for w in windows}
    dims = tuple(outs.get(dim, dim) if isinstance(dim, Axis) else dim for dim in x.dims)
    factors = (x.node, *(w.pattern for w in windows))
    return PlacedNode(Contract(factors, axes_of(dims)), dims)


def _over_counts(sums: PlacedNode, windows: list[WindowAxis]) -> PlacedNode:
    """Sums over how many entries each window has."""
    node = sums.node
    for w in windows:
        count = Contract((Constant(1.0, (w.axis,)), w.pattern), (w.out,))
        node = multiply(node, scalar_map(1 / symbol(0), count))
    return replace(sums, node=node)


def _pool(
    b: Builder, input: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool,
    dims: int,
) -> tuple[PlacedNode, list[WindowAxis]]:  # fmt: skip
    x = _images(b, input, dims)
    kernels = each(kernel, dims)
    strides = kernels if stride in (None, ()) else each(stride, dims)
    settings = zip(x.dims[2:], kernels, strides, each(padding, dims), each(dilation, dims),
                   strict=True)  # fmt: skip
    return x, [_window(b, axis, k, s, d, (p, p), ceil) for axis, k, s, p, d in settings]


def _window(
    b: Builder, axis: Any, k: int, stride: int, dilation: int, pad: tuple[int, int],
    ceil: bool = False,
) -> WindowAxis:  # fmt: skip
    n, before, after = b.known(axis), *pad
    free = n + before + after - dilation * (k - 1) - 1
    if free < 0:
        raise ConversionError(f"its windows of {k} are longer than the {n} entries that come in")
    size = free // stride + 1
    # as torch has it: a window that begins behind what is there is none
    if ceil and free % stride and size * stride < n + before:
        size += 1
    out, tap = b.fresh(stem(axis), size), b.fresh("tap", k)
    place = stride * Index.on(out) + dilation * Index.on(tap) - before
    held = Range(place, 0, n - 1)
    inside = None if held.always else Pattern((out, tap), (), (held,))
    return WindowAxis(
        axis, out, tap, layout.window(axis, out, tap, stride, dilation, before), inside
    )


def stem(axis: Axis) -> str:
    """What an axis is called that takes the place of another."""
    return next((name for name in ("height", "width", "time") if axis.name.startswith(name)), "out")


def _images(b: Builder, input: Any, dims: int) -> PlacedNode:
    """A value (batch, channels, …) with so many axes behind the channels, each an axis."""
    x = b.tensor(input)
    if len(x.dims) != dims + 2:
        raise ConversionError(
            f"it reads {len(x.dims)} axes; expected the batch, the channels and {dims} more"
        )
    for at in range(1, len(x.dims)):
        x, _ = b.along(x, at)
    return x


def _shape(b: Builder, weight: Any) -> tuple[int, ...]:
    """How long the axes of weights are, which the model holds or computes."""
    return weight.shape if isinstance(weight, Held) else b.shape_of(b.tensor(weight))


def _weights(b: Builder, weight: Any, axes: Axes) -> Node:
    """Weights, held or computed, with these axes."""
    return b.fitted(weight, axes) if isinstance(weight, Held) else b.brought(weight, axes)


def _padding(padding: Any, taps: list[int], dilation: list[int]) -> list[tuple[int, int]]:
    """How many zeros stand before and behind each axis."""
    if padding == "valid":
        return [(0, 0)] * len(taps)
    if padding == "same":
        spans = [d * (k - 1) for k, d in zip(taps, dilation, strict=True)]
        return [(span // 2, span - span // 2) for span in spans]
    return [(p, p) for p in each(padding, len(taps))]


def _with_bias(b: Builder, x: PlacedNode, bias: Any) -> PlacedNode:
    if bias is None:
        return x
    x, axis = b.along(x, 1)
    return replace(x, node=add(x.node, _weights(b, bias, (axis,))))


def each(value: Any, count: int) -> list[Any]:
    """A setting for each axis: one for all, or one each."""
    values = list(value) if isinstance(value, tuple) else [value]
    if len(values) not in (1, count):
        raise ConversionError(f"it has {len(values)} settings for {count} axes")
    return values * count if len(values) == 1 else values


def unfolded(b: Builder, input: Any, dimension: int, size: int, step: int) -> PlacedNode:
    """The windows along an axis, with their places as a new last axis."""
    x = b.tensor(input)
    at = place_of(dimension, len(x.dims))
    x, axis = b.along(x, at)
    w = _window(b, axis, size, step, 1, (0, 0))
    over = tuple(w.out if a == w.axis else a for a in x.node.axes)
    node = Contract((x.node, w.pattern), (*over, w.tap))
    return replace(x, node=node, dims=(*x.dims[:at], w.out, *x.dims[at + 1 :], w.tap))


def columns(
    b: Builder, input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> PlacedNode:
    """The windows of an image as columns: (batch, channels · taps, places)."""
    x = _images(b, input, 2)
    settings = [each(s, 2) for s in (kernel_size, stride, dilation, padding)]
    windows = [
        _window(b, axis, k, s, d, (p, p))
        for axis, k, s, d, p in zip(x.dims[2:], *settings, strict=True)
    ]
    taps, outs = [w.tap for w in windows], [w.out for w in windows]
    dims = (*x.dims[:2], *taps, *outs)
    found = PlacedNode(Contract((x.node, *(w.pattern for w in windows)), axes_of(dims)), dims)
    batch, c, *lengths = b.shape_of(found)
    return reshaped(b, found, batch, c * prod(lengths[:2]), prod(lengths[2:]))


def from_columns(
    b: Builder, input: Any, output_size: Any, kernel_size: Any, dilation: Any = 1,
    padding: Any = 0, stride: Any = 1,
) -> PlacedNode:  # fmt: skip
    """Columns as the windows of an image, added up where they meet."""
    sizes, kernels, strides, dilations, pads = (
        each(s, 2) for s in (output_size, kernel_size, stride, dilation, padding)
    )
    counts = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, d, p in zip(sizes, kernels, strides, dilations, pads, strict=True)
    ]
    batch, rows_, _ = b.shape_of(b.tensor(input))
    shape = (batch, rows_ // prod(kernels), *kernels, *counts)
    x = reshaped(b, input, *shape)
    patterns, outs = [], []
    for at, (n, s, d, p) in enumerate(zip(sizes, strides, dilations, pads, strict=True)):
        x, tap = b.along(x, 2 + at)
        x, place = b.along(x, 4 + at)
        out = b.fresh("image", n)
        patterns.append(layout.window(out, place, tap, s, d, p))
        outs.append(out)
    dims = (*x.dims[:2], *outs)
    return PlacedNode(Contract((x.node, *patterns), axes_of(dims)), dims)
