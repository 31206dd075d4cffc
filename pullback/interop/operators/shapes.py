"""What a model asks of a tensor beside its numbers: its shape, and tensors of one number."""

from __future__ import annotations

from typing import Any

from pullback.errors import ConversionError
from pullback.interop.builder import Builder
from pullback.interop.operators.elementwise import chosen
from pullback.interop.rows import BATCH_SIZE, Batch, Held
from pullback.interop.values import Compared, PlacedNode, place_of
from pullback.ir import Constant


def same(b: Builder, input: Any) -> Any:
    """The value itself."""
    return b.tensor(input) if not isinstance(input, Held) else input


def converted(b: Builder, input: Any, *_: Any) -> Any:
    """Another type of number: the truth of a comparison as 1 and 0."""
    if isinstance(input, Compared):
        return chosen(b, input)
    if any(each is not None for each in _):
        raise ConversionError("it changes the type of the numbers")
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
    return BATCH_SIZE if axis == b.batch else b.known(axis)


def filled(b: Builder, *sizes: Any, value: float) -> PlacedNode:
    """A tensor of one number."""
    sizes = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple) else sizes
    dims = tuple(
        b.batch if isinstance(n, Batch) else None if n == 1 else b.fresh("filled", n) for n in sizes
    )
    return PlacedNode(Constant(value, tuple(axis for axis in dims if axis is not None)), dims)


def filled_like(b: Builder, input: Any, value: float) -> PlacedNode:
    """A tensor of one number, with the shape of another."""
    x = b.tensor(input)
    return PlacedNode(Constant(value, tuple(axis for axis in x.dims if axis is not None)), x.dims)
