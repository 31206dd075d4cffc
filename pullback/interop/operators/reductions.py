"""Sums, means, extremes and softmax along axes, and the norms that are made of them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import sympy as sp

from pullback.errors import ConversionError
from pullback.interop.builder import Builder
from pullback.interop.operators.elementwise import mapped
from pullback.interop.operators.order import unsqueezed
from pullback.interop.operators.parts import stacked, unbound
from pullback.interop.rows import Held
from pullback.interop.values import PlacedNode, axes_of, place_of
from pullback.ir import ArgMax, Axes, Axis, Detach, LogSumExp, Max, Node, layout, symbol
from pullback.ir.build import (
    add,
    mean_over,
    multiply,
    scalar_map,
    scale,
    shares,
    subtract,
    sum_over,
)
from pullback.ir.scalar.cases import Piecewise
from pullback.nn.batch_norm import remember, unbiased

X, Y = symbol(0), symbol(1)
# its slope at 0 is 0, as torch has it
ROOT = Piecewise((0, X <= 0), (sp.sqrt(X), True))
MOST = 32  # entries that are multiplied one by one


def total(b: Builder, input: Any, dim: Any = None, keepdim: bool = False) -> PlacedNode:
    """The sum along some axes."""
    x = b.tensor(input)
    places = _places(b, x, dim, "sum")
    return _without(x, sum_over(x.node, _axes(b, x, places)), places, keepdim)


def mean(b: Builder, input: Any, dim: Any = None, keepdim: bool = False) -> PlacedNode:
    """The mean along some axes."""
    x = b.tensor(input)
    places = _places(b, x, dim, "mean")
    axes = _axes(b, x, places)
    for axis in axes:
        b.known(axis)
    return _without(x, mean_over(x.node, axes), places, keepdim)


def overall(b: Builder, input: Any, *, how: Any) -> PlacedNode:
    """One number for each channel: along all axes behind, whose lengths are then one."""
    rank = len(b.tensor(input).dims)
    found: PlacedNode = how(b, input, tuple(range(2, rank)), True)
    return found


def variance(
    b: Builder, input: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False,
    correction: Any = 1,
) -> PlacedNode:  # fmt: skip
    """The variance along some axes, over n − 1 unless told otherwise."""
    x = b.tensor(input)
    places = _places(b, x, dim, "var")
    axes = _axes(b, x, places)
    n = math.prod(b.known(axis) for axis in axes)
    less = correction if unbiased is None else int(unbiased)
    if n <= less:
        raise ConversionError(f"it is the variance of {n} numbers")
    centred = subtract(x.node, b.equation("stat", mean_over(x.node, axes), part="mean"))
    found = scale(1 / (n - less), sum_over(multiply(centred, centred), axes))
    return _without(x, found, places, keepdim)


def deviation(b: Builder, input: Any, *args: Any, **options: Any) -> PlacedNode:
    """The root of the variance along some axes."""
    found = b.named(replace(variance(b, input, *args, **options), row=b.row), "var")
    return PlacedNode(scalar_map(ROOT, found.node), found.dims)


def with_mean(b: Builder, input: Any, *args: Any, how: Any, **options: Any) -> Any:
    """The variance or its root, and the mean."""
    given = dict(zip(("dim", "unbiased", "keepdim"), args, strict=False)) | options
    centre = {name: given[name] for name in ("dim", "keepdim") if name in given}
    return how(b, input, *args, **options), mean(b, input, **centre)


def product(b: Builder, input: Any, dim: int, keepdim: bool = False) -> PlacedNode:
    """The product along an axis, entry by entry."""
    (*_, last) = _products(b, input, dim)
    return unsqueezed(b, last, place_of(dim, len(last.dims) + 1)) if keepdim else last


def products(b: Builder, input: Any, dim: int) -> PlacedNode:
    """The products of what stands before and here, along an axis."""
    found = _products(b, input, dim)
    return stacked(b, found, place_of(dim, len(b.tensor(input).dims)))


def _products(b: Builder, input: Any, dim: int) -> tuple[PlacedNode, ...]:
    x = b.tensor(input)
    n = b.known(x.dims[place_of(dim, len(x.dims))])
    if n > MOST:
        raise ConversionError(f"it multiplies {n} entries; pullback reads up to {MOST}")
    first, *rest = unbound(b, x, dim)
    found = [first]
    for at, each in enumerate(rest, 1):
        made = mapped(b, X * Y, (found[-1], each))
        found.append(b.named(replace(made, row=b.row), str(at)))
    return tuple(found)


def instance_norm(
    b: Builder, input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None,
    bias: Any = None, use_input_stats: bool = True, momentum: Any = 0.1, eps: float = 1e-5,
    *_: Any,
) -> PlacedNode:  # fmt: skip
    """(x − μ)/√(σ² + ε) · weight + bias of each channel of each sample, or by statistics."""
    if isinstance(running_mean, Held):
        if use_input_stats:
            raise ConversionError("it updates its statistics; call module.eval() first")
        return batch_norm(b, input, running_mean, running_var, weight, bias, False, 0.1, eps)
    x, channels = b.along(b.tensor(input), 1)
    over = axes_of(x.dims[2:])
    if not over:
        raise ConversionError("it normalises one number by itself")
    node = _affine(b, _normalised(b, x.node, over, eps), (channels,), weight, bias)
    return PlacedNode(node, x.dims)


def largest(b: Builder, input: Any, dim: Any = None, keepdim: bool = False) -> PlacedNode:
    """The largest entry along some axes; ties share the gradient."""
    x = b.tensor(input)
    places = _places(b, x, dim, "amax")
    node = x.node
    for axis in _axes(b, x, places):
        node = Max(node, axis)
    return _without(x, node, places, keepdim)


def smallest(b: Builder, input: Any, dim: Any = None, keepdim: bool = False) -> PlacedNode:
    """The smallest entry along some axes."""
    x = b.tensor(input)
    found = largest(b, PlacedNode(scale(-1.0, x.node), x.dims), dim, keepdim)
    return PlacedNode(scale(-1.0, found.node), found.dims)


def extreme(b: Builder, input: Any, dim: Any = None, keepdim: bool = False, *, name: str) -> Any:
    """The larger or smaller of two values; along an axis, that and its place, as torch has it."""
    if isinstance(dim, (PlacedNode, Held)):
        return mapped(b, sp.Max(X, Y) if name == "max" else sp.Min(X, Y), (input, dim))
    if dim is None:
        return (largest if name == "max" else smallest)(b, input, dim, keepdim)
    x, axis = _along(b, input, dim, name)
    sign = 1.0 if name == "max" else -1.0
    held = x if name == "max" else b.named(replace(x, node=scale(-1.0, x.node), row=b.row))
    (place,) = _places(b, x, dim, name)
    found = Max(held.node, axis, "first"), ArgMax(held.node, axis)
    value, at = (_without(x, node, (place,), keepdim) for node in found)
    return (value if sign == 1 else replace(value, node=scale(-1.0, value.node))), at


def place_of_largest(b: Builder, input: Any, dim: Any = None, keepdim: bool = False) -> PlacedNode:
    """The place of the first largest entry along an axis."""
    _, place = extreme(b, input, 0 if dim is None else dim, keepdim, name="max")
    assert isinstance(place, PlacedNode)
    return place


def place_of_smallest(b: Builder, input: Any, dim: Any = None, keepdim: bool = False) -> PlacedNode:
    """The place of the first smallest entry along an axis."""
    _, place = extreme(b, input, 0 if dim is None else dim, keepdim, name="min")
    assert isinstance(place, PlacedNode)
    return place


def both_extremes(b: Builder, input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest and the largest entry along an axis."""
    return smallest(b, input, dim, keepdim), largest(b, input, dim, keepdim)


def logsumexp(b: Builder, input: Any, dim: Any, keepdim: bool = False) -> PlacedNode:
    """log Σ exp along some axes."""
    x = b.tensor(input)
    places = _places(b, x, dim, "logsumexp")
    node = x.node
    for axis in _axes(b, x, places):
        node = LogSumExp(node, axis)
    return _without(x, node, places, keepdim)


def softmax(b: Builder, input: Any, dim: Any = None, *_: Any, dtype: Any = None) -> PlacedNode:
    """exp z / Σ exp z along an axis, over what counts."""
    x, axis = _along(b, input, dim, "softmax")
    where, node = _where(b, x), x.node
    if x.far:  # where all are far below, all count
        largest_ = b.equation("stat", Detach(Max(node, axis)), part="largest")
        node = b.equation("a", subtract(node, largest_), part="shifted")
    total = LogSumExp(node, axis, where)
    return PlacedNode(shares(node, total, where), x.dims)


def log_softmax(b: Builder, input: Any, dim: Any = None, *_: Any, dtype: Any = None) -> PlacedNode:
    """z − log Σ exp z along an axis."""
    x, axis = _along(b, input, dim, "log_softmax")
    if x.where is not None:
        raise ConversionError("it takes the logarithm of what does not count")
    return PlacedNode(scalar_map(X - Y, x.node, LogSumExp(x.node, axis)), x.dims)


def _where(b: Builder, x: PlacedNode) -> Node | None:
    """Which entries count, with the axes of a value."""
    if x.where is None:
        return None
    dims = x.where.dims
    return b.brought(x.where, x.dims[len(x.dims) - len(dims) :])


def layer_norm(
    b: Builder, input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None,
    eps: float = 1e-5, *_: Any,
) -> PlacedNode:  # fmt: skip
    """(x − μ)/√(σ² + ε) · weight + bias over the last axes."""
    x = b.tensor(input)
    axes = _last(b, x, normalized_shape)
    return PlacedNode(_affine(b, _normalised(b, x.node, axes, eps), axes, weight, bias), x.dims)


def rms_norm(
    b: Builder, input: Any, normalized_shape: Any, weight: Any = None, eps: Any = None
) -> PlacedNode:
    """x/√(mean x² + ε) · weight over the last axes."""
    x = b.tensor(input)
    axes = _last(b, x, normalized_shape)
    node = _over_root(b, x.node, axes, np.finfo(float).eps if eps is None else eps)
    return PlacedNode(_affine(b, node, axes, weight, None), x.dims)


def group_norm(
    b: Builder, input: Any, num_groups: int, weight: Any = None, bias: Any = None,
    eps: float = 1e-5, *_: Any,
) -> PlacedNode:  # fmt: skip
    """(x − μ)/√(σ² + ε) · weight + bias over a group of the channels, axis 1, and all behind."""
    x, channels = b.along(b.tensor(input), 1)
    count = b.known(channels)
    if count % num_groups:
        raise ConversionError(f"its {num_groups} groups do not divide {count} channels")
    groups = b.fresh("groups", num_groups), b.fresh("inner", count // num_groups)
    apart = b.equation("a", layout.split(x.node, channels, groups), part="groups")
    over = (groups[1], *axes_of(x.dims[2:]))
    together = layout.merged(_normalised(b, apart, over, eps), groups, channels)
    return PlacedNode(_affine(b, together, (channels,), weight, bias), x.dims)


def batch_norm(
    b: Builder, input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None,
    bias: Any = None, training: bool = False, momentum: Any = 0.1, eps: float = 1e-5,
    count: Any = None, *_: Any,
) -> PlacedNode:  # fmt: skip
    """(x − μ)/√(σ² + ε) · weight + bias on axis 1, with the module's statistics or the batch's."""
    x = b.tensor(input)
    if len(x.dims) < 2:
        raise ConversionError("it has no axis 1, the channels")
    x, axis = b.along(x, 1)
    for each in (weight, bias):
        if isinstance(each, Held):  # which torch lists first
            b.fitted(each, (axis,))
    if not isinstance(running_mean, Held) or not isinstance(running_var, Held):
        return _of_batch(b, x, axis, weight, bias, eps)[0]
    b.meet(axis, running_mean.shape[0])
    if training:
        if not isinstance(count, Held):
            raise ConversionError(
                "it updates statistics that no BatchNorm counts the batches of; call module.eval() "
                "first"
            )
        mean, var = (b.state(each, (axis,)) for each in (running_mean, running_var))
        batches = b.state(count, ())
        if b.at.training:
            found, *seen = _of_batch(b, x, axis, weight, bias, eps)
            remember(b.place, momentum, batches, dict(zip((mean, var), seen, strict=True)))
            return found
    centred = subtract(x.node, b.fitted(running_mean, (axis,)))
    spread = scalar_map(1 / sp.sqrt(X + _number(eps)), b.fitted(running_var, (axis,)))
    node = multiply(centred, spread)
    return PlacedNode(_affine(b, node, (axis,), weight, bias), x.dims)


def _of_batch(
    b: Builder, x: PlacedNode, channels: Axis, weight: Any, bias: Any, eps: float
) -> tuple[PlacedNode, Node, Node]:
    """The batch by its own statistics, its mean and its unbiased variance."""
    over = tuple(axis for axis in axes_of(x.dims) if axis != channels)
    b.place.several(over)
    centre = b.equation("stat", mean_over(x.node, over), part="mean")
    centred = subtract(x.node, centre)
    square = mean_over(multiply(centred, centred), over)
    inverse = b.equation("stat", scalar_map(1 / sp.sqrt(X + _number(eps)), square), part="inverse")
    node = _affine(b, multiply(centred, inverse), (channels,), weight, bias)
    return PlacedNode(node, x.dims), centre, unbiased(square, over)


def _normalised(b: Builder, node: Node, axes: Axes, eps: float) -> Node:
    centre = b.equation("stat", mean_over(node, axes), part="mean")
    return _over_root(b, subtract(node, centre), axes, eps)


def _over_root(b: Builder, node: Node, axes: Axes, eps: float) -> Node:
    square = mean_over(multiply(node, node), axes)
    inverse = b.equation("stat", scalar_map(1 / sp.sqrt(X + _number(eps)), square), part="inverse")
    return multiply(node, inverse)


def _affine(b: Builder, node: Node, axes: Axes, weight: Any, bias: Any) -> Node:
    if weight is not None:
        node = multiply(node, _brought(b, weight, axes))
    return node if bias is None else add(node, _brought(b, bias, axes))


def _brought(b: Builder, tensor: Any, axes: Axes) -> Node:
    if isinstance(tensor, Held):
        return b.fitted(tensor, axes)
    return b.brought(b.tensor(tensor), axes)


def _last(b: Builder, x: PlacedNode, shape: Any) -> Axes:
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    axes = []
    for at, size in enumerate(shape, len(x.dims) - len(shape)):
        if x.dims[at] is None:
            raise ConversionError("it normalises one number by itself")
        _, axis = b.along(x, at)
        b.meet(axis, size)
        axes.append(axis)
    return tuple(axes)


def _along(b: Builder, input: Any, dim: Any, name: str) -> tuple[PlacedNode, Axis]:
    x = b.tensor(input)
    (at,) = _places(b, x, (1 if dim is None else dim,), name)
    return b.along(x, at)


def _places(b: Builder, x: PlacedNode, dim: Any, name: str) -> tuple[int, ...]:
    """The axes meant, from the front; raises ConversionError where the batch is one."""
    rank = len(x.dims)
    dims = range(rank) if dim is None or dim == () else (dim,) if isinstance(dim, int) else dim
    places = tuple(place_of(each, rank) for each in dims)
    for each in places:
        if b.has_batch(x.dims[each]):
            b.over_samples(name)
    return places


def _axes(b: Builder, x: PlacedNode, places: tuple[int, ...]) -> Axes:
    return tuple(a for a in axes_of(tuple(x.dims[at] for at in places)) if a != b.batch)


def _without(x: PlacedNode, node: Node, places: tuple[int, ...], keepdim: bool) -> PlacedNode:
    dims = tuple(None if at in places else axis for at, axis in enumerate(x.dims))
    if not keepdim:
        dims = tuple(axis for at, axis in enumerate(dims) if at not in places)
    return PlacedNode(node, dims)


def _number(value: float) -> Any:
    return sp.Float(float(value))
