"""Diagonals of two axes: taken, put into zeros, summed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pullback.errors import ConversionError
from pullback.interop.builder import Builder
from pullback.interop.values import PlacedNode, axes_of, place_of
from pullback.ir import Axis, Contract, Index, Pattern


def diagonal(b: Builder, input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> PlacedNode:
    """The entries at (i, i + offset) of two axes, as a new last axis."""
    x = b.tensor(input)
    one, two = (place_of(each, len(x.dims)) for each in (dim1, dim2))
    x, row = b.along(x, one)
    x, column = b.along(x, two)
    n = min(b.known(row) + min(offset, 0), b.known(column) - max(offset, 0))
    if n < 1:
        raise ConversionError("it takes no entries")
    along = b.fresh("diagonal", n)
    rest = tuple(dim for at, dim in enumerate(x.dims) if at not in (one, two))
    hit = _on(along, row, column, offset)
    return replace(x, node=Contract((x.node, hit), (*axes_of(rest), along)), dims=(*rest, along))


def embedded_diagonal(
    b: Builder, input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1
) -> PlacedNode:
    """The last axis as the diagonal of two new ones, 0 elsewhere."""
    x = b.tensor(input)
    rank = len(x.dims) + 1
    if (place_of(dim1, rank), place_of(dim2, rank)) != (rank - 2, rank - 1):
        raise ConversionError("it puts a diagonal into other axes than the last two")
    x, along = b.along(x, -1)
    n = b.known(along) + abs(offset)
    row, column = b.fresh("row", n), b.fresh("column", n)
    rest = x.dims[:-1]
    hit = _on(along, row, column, offset)
    node = Contract((x.node, hit), (*axes_of(rest), row, column))
    return replace(x, node=node, dims=(*rest, row, column))


def _on(along: Axis, row: Axis, column: Axis, offset: int) -> Pattern:
    """1 where a row and a column are those of a place on the diagonal."""
    i = Index.on(along)
    equations = (i - min(offset, 0) - Index.on(row), i + max(offset, 0) - Index.on(column))
    return Pattern((along, row, column), equations, ())


def trace(b: Builder, input: Any) -> PlacedNode:
    """The sum of the diagonal of a matrix."""
    x = diagonal(b, input)
    return PlacedNode(Contract((x.node,), axes_of(x.dims[:-1])), x.dims[:-1])
