"""What a model asks of a tensor beside its numbers: its shape, and tensors of one number."""

from __future__ import annotations

import math
from dataclasses import replace
from math import prod
from typing import Any

from pullback.errors import ConversionError
from pullback.interop.builder import Builder
from pullback.interop.operators.elementwise import chosen
from pullback.interop.operators.masks import masked
from pullback.interop.rows import Batch, Held
from pullback.interop.values import Compared, PlacedNode, axes_of, place_of
from pullback.ir import Constant, Contract
from pullback.ir.lookup import is_whole

_WHOLE = [f"torch.{kind}" for kind in ("bool", "uint8", "int8", "int16", "int32", "int64")]


def same(b: Builder, input: Any) -> Any:
    """The value itself."""
    return b.tensor(input) if not isinstance(input, Held) else input


def converted(b: Builder, input: Any, *to: Any, dtype: Any = None, **_: Any) -> Any:
    """Another type of number: all floats are one here, and the truth of a comparison is 1 or 0."""
    if isinstance(input, Compared):
        return chosen(b, input)
    kinds = [kind for kind in (*to, dtype) if isinstance(kind, str) and kind in _WHOLE]
    if "torch.bool" in kinds:
        return chosen(b, Compared("ne", input, 0))
    if kinds and not (isinstance(input, PlacedNode) and (input.truth or is_whole(input.node))):
        raise ConversionError("it makes whole numbers of its numbers")
    return same(b, input)


def nothing(b: Builder, input: Any) -> None:
    """What is the same for every tensor here."""
    return None


def rank(b: Builder, input: Any) -> int:
    """How many axes it has."""
    return len(input.shape) if isinstance(input, Held) else len(b.tensor(input).dims)


def shape(b: Builder, input: Any, dim: Any = None) -> Any:
    """How long all axes are, or one of them."""
    if isinstance(input, Held):
        return input.shape if dim is None else input.shape[place_of(dim, len(input.shape))]
    x = b.tensor(input)
    if dim is None:
        return b.shape_of(x)
    axis = x.dims[place_of(dim, len(x.dims))]
    return b.length(axis) if b.has_batch(axis) else b.known(axis)


def count(b: Builder, input: Any) -> Any:
    """How many numbers it has."""
    if isinstance(input, Held):
        return prod(input.shape)
    lengths = [b.length(dim) for dim in b.tensor(input).dims]
    samples = any(isinstance(each, Batch) for each in lengths)
    numbers = prod(each.times if isinstance(each, Batch) else each for each in lengths)
    return Batch(numbers) if samples else numbers


def filled(b: Builder, *sizes: Any, value: float, dtype: Any = None, **_: Any) -> PlacedNode:
    """A tensor of one number, or of truths."""
    sizes = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple) else sizes
    dims = tuple(
        b.batch if isinstance(n, Batch) else None if n == 1 else b.fresh("filled", n) for n in sizes
    )
    return PlacedNode(Constant(value, axes_of(dims)), dims, truth=dtype == "torch.bool")


def full(b: Builder, size: Any, fill_value: Any, **options: Any) -> PlacedNode:
    """A tensor of any one number; −∞ is what does not count."""
    return _of_number(b, filled(b, size, value=1.0, **options), fill_value)


def full_like(b: Builder, input: Any, fill_value: Any, **_: Any) -> PlacedNode:
    """A tensor of any one number, with the shape of another."""
    return _of_number(b, filled_like(b, input, 1.0), fill_value)


def new_full(b: Builder, input: Any, size: Any, fill_value: Any, **options: Any) -> PlacedNode:
    """A tensor of one number, as ``full`` makes it."""
    return full(b, size, fill_value, **options)


def new_filled(b: Builder, input: Any, *sizes: Any, value: float, **options: Any) -> PlacedNode:
    """A tensor of one number, as ``filled`` makes it."""
    return filled(b, *sizes, value=value, **options)


def _of_number(b: Builder, ones: PlacedNode, value: Any) -> PlacedNode:
    value = value.number if isinstance(value, Held) else value
    if value == -math.inf:
        return masked(b, scaled(ones, 0.0), scaled(ones, 0.0))
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ConversionError(f"it is filled with {value!r}; expected a finite number")
    return scaled(ones, float(value))


def scaled(ones: PlacedNode, value: float) -> PlacedNode:
    """A number in the place of ones."""
    return replace(ones, node=Constant(value, ones.node.axes))


def copied(b: Builder, input: Any, src: Any) -> PlacedNode:
    """Other numbers in the shape of a value."""
    x, other = b.tensor(input), b.tensor(src) if not isinstance(src, (int, float)) else src
    if not isinstance(other, PlacedNode):
        return filled_like(b, x, float(other))
    dims = (None,) * (len(x.dims) - len(other.dims)) + other.dims
    node = b.brought(other.seen(dims), x.dims)
    new = tuple(axis for axis in axes_of(x.dims) if axis not in node.axes)
    return PlacedNode(Contract((Constant(1.0, new), node), (*node.axes, *new)), x.dims)


def filled_like(b: Builder, input: Any, value: float, dtype: Any = None, **_: Any) -> PlacedNode:
    """A tensor of one number, with the shape of another."""
    x = b.tensor(input)
    return PlacedNode(Constant(value, axes_of(x.dims)), x.dims, truth=dtype == "torch.bool")
