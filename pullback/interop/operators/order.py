"""Axes in another order, and lengths of one that come, go, or stand for more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pullback.errors import ConversionError
from pullback.interop.builder import Builder
from pullback.interop.rows import Batch, Held
from pullback.interop.values import PlacedNode, axes_of, place_of
from pullback.ir import Contract


def transposed(b: Builder, input: Any, dim0: Any = None, dim1: Any = None) -> PlacedNode | Held:
    """Two axes in each other's place; by default the last two."""
    rank = rank_of(input)
    order = list(range(rank))
    if dim0 is None and rank > 2:
        raise ConversionError(f"it turns {rank} axes round; name two of them")
    if rank > 1:
        one = place_of(-2 if dim0 is None else dim0, rank)
        two = place_of(-1 if dim1 is None else dim1, rank)
        order[one], order[two] = order[two], order[one]
    return permuted(b, input, tuple(order))


def last_two(b: Builder, input: Any) -> PlacedNode | Held:
    """The last two axes in each other's place."""
    return transposed(b, input, -2, -1)


def permuted(b: Builder, input: Any, *dims: Any) -> PlacedNode | Held:
    """The axes in another order."""
    order = dims[0] if len(dims) == 1 and isinstance(dims[0], tuple) else dims
    order = tuple(place_of(each, rank_of(input)) for each in order)
    if isinstance(input, Held):
        return input.permuted(order)
    x = b.tensor(input)
    return x.seen(tuple(x.dims[at] for at in order))


def moved(b: Builder, input: Any, source: Any, destination: Any) -> PlacedNode | Held:
    """Some axes in other places, the rest in their order."""
    rank = rank_of(input)
    pairs = [
        [place_of(each, rank) for each in ((dims,) if isinstance(dims, int) else dims)]
        for dims in (source, destination)
    ]
    rest = iter(at for at in range(rank) if at not in pairs[0])
    into = dict(zip(pairs[1], pairs[0], strict=True))
    order = tuple(into[at] if at in into else next(rest) for at in range(rank))
    return permuted(b, input, order)


def unsqueezed(b: Builder, input: Any, dim: int) -> PlacedNode:
    """A new length of one."""
    x = b.tensor(input)
    at = place_of(dim, len(x.dims) + 1)
    return x.seen((*x.dims[:at], None, *x.dims[at:]))


def squeezed(b: Builder, input: Any, dim: Any = None) -> PlacedNode:
    """Without the lengths of one, all or those named."""
    x = b.tensor(input)
    dims = (dim,) if isinstance(dim, int) else range(len(x.dims)) if dim is None else dim
    gone = [
        at
        for each in dims
        if not b.has_batch(axis := x.dims[at := place_of(each, len(x.dims))]) and b.known(axis) == 1
    ]
    node = Contract((x.node,), tuple(a for a in x.node.axes if a not in {x.dims[g] for g in gone}))
    kept = tuple(axis for at, axis in enumerate(x.dims) if at not in gone)
    return replace(x, node=x.node if node.axes == x.node.axes else node, dims=kept)


def expanded(b: Builder, input: Any, *sizes: Any) -> PlacedNode:
    """Lengths of one as long as told."""
    x = b.tensor(input)
    sizes = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple) else sizes
    x = x.seen((*(None,) * (len(sizes) - len(x.dims)), *x.dims))
    for at, size in enumerate(sizes):
        dim = x.dims[at]
        if isinstance(size, Batch) and not b.has_batch(dim):
            if size.times > 1 or b.batch in axes_of(x.dims):
                raise ConversionError(f"it makes an axis as long as {size}")
            x = b.spread(x, at, b.batch)
        elif isinstance(size, int) and size not in (-1, 1) and b.size(dim) == 1:
            x = b.spread(x, at, b.fresh("repeated", size))
    return x


def expanded_as(b: Builder, input: Any, other: Any) -> PlacedNode:
    """Lengths of one as long as another value's."""
    return expanded(b, input, *b.shape_of(b.tensor(other)))


def rank_of(input: Any) -> int:
    """How many axes a tensor has; raises ConversionError for what is none."""
    if not isinstance(input, (PlacedNode, Held)):
        raise ConversionError("it does not read the model's input")
    return len(input.shape if isinstance(input, Held) else input.dims)
