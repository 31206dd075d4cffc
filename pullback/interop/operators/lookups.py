"""What whole numbers pick, and what no gradient passes."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from pullback.errors import ConversionError
from pullback.interop.builder import Builder
from pullback.interop.operators.reductions import largest, mean, total
from pullback.interop.rows import Array, Batch, Held
from pullback.interop.values import CountedPlaces, PlacedNode, ShiftedPlaces, axes_of
from pullback.ir import (
    Add,
    Axes,
    Axis,
    Constant,
    Contract,
    Detach,
    Index,
    Named,
    Node,
    OneHot,
    Pattern,
    Rename,
    layout,
    rows,
    symbol,
)
from pullback.ir.build import add, scalar_map
from pullback.ir.lookup import is_whole
from pullback.ir.scalar.cases import Piecewise

MOST = 2**21  # entries of a tensor of zeros and ones that says which rows are looked up


def embedded(
    b: Builder, input: Any, weight: Any, padding_idx: Any = None, max_norm: Any = None,
    norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False,
) -> PlacedNode:  # fmt: skip
    """The rows of a table that whole numbers say; that of ``padding_idx`` has no gradient."""
    if max_norm is not None or scale_grad_by_freq:
        raise ConversionError("a table whose rows are cut to a length, or counted")
    shape = b.shape_of(b.tensor(weight)) if not isinstance(weight, Held) else weight.shape
    row, units = b.fresh("rows", shape[0]), b.fresh("units", shape[1])
    if isinstance(weight, Held):
        table = b.fitted(weight, (row, units))
    else:
        table = b.brought(b.tensor(weight), (row, units))
    if isinstance(input, CountedPlaces) and isinstance(input.numbers, range):
        taken = b.fresh("places", len(input.numbers))
        at = input.numbers
        node = layout.taken(table, row, taken, at.start, at.step)
        return PlacedNode(node, (*(None,) * input.before, taken, units))
    if isinstance(input, Held):
        return constant_rows(b, table, row, units, input)
    if isinstance(input, ShiftedPlaces):
        return _shifted_rows(b, table, row, units, input)
    x = b.tensor(input)
    z = Contract((table, hits(x.node, row)), (*axes_of(x.dims), units))
    if padding_idx is not None and padding_idx >= 0:
        held = b.equation("z", z, part="rows")
        is_padding = Contract(
            (hits(x.node, row), rows(b.fresh("one", 1), row, padding_idx, padding_idx + 1)),
            axes_of(x.dims),
        )
        chosen = Piecewise((symbol(1), symbol(2) > 0), (symbol(0), True))
        return PlacedNode(scalar_map(chosen, held, Detach(held), is_padding), (*x.dims, units))
    return PlacedNode(z, (*x.dims, units))


def bag(
    b: Builder, input: Any, weight: Any, mode: str = "mean", padding_idx: Any = None,
    max_norm: Any = None,
) -> PlacedNode:  # fmt: skip
    """The mean, sum or largest of the rows that each sample looks up."""
    if padding_idx is not None:
        raise ConversionError("it leaves out the rows of padding_idx")
    each = embedded(b, input, weight, max_norm=max_norm)
    if len(each.dims) != 3:
        raise ConversionError("it reads bags by their offsets; expected (batch, places)")
    held = PlacedNode(b.equation("z", each.node, part="rows"), each.dims)
    found: PlacedNode = {"mean": mean, "sum": total, "max": largest}[mode](b, held, 1)
    return found


def constant_rows(b: Builder, table: Node, row: Axis, units: Axis, places: Held) -> PlacedNode:
    """The rows of a table at constant places: a pattern where these follow from where they stand.

    Else a product with zeros and ones that are held.
    """
    at = np.asarray(places.law, np.float64).reshape(places.own_shape).transpose(places.order)
    if (at != np.round(at)).any() or at.min() < 0 or at.max() >= (row.size or 0):
        raise ConversionError(f"it looks up other places than 0 to {(row.size or 0) - 1}")
    axes = tuple(b.fresh("places", n) for n in at.shape)
    index = affine_in(at.astype(np.int64), axes)
    if index is not None:
        hit: Node = Pattern((*axes, row), (index - Index.on(row),), ())
    elif at.size * (row.size or 0) <= MOST:
        zeros = (at[..., None] == np.arange(row.size or 0)).astype(np.float64)
        hit = b.constant("places", (*axes, row), zeros)
    else:
        raise ConversionError(f"it looks up {at.size} constant places of {row.size}")
    return PlacedNode(Contract((table, hit), (*axes, units)), (*axes, units))


def _shifted_rows(
    b: Builder, table: Node, row: Axis, units: Axis, shifted: ShiftedPlaces
) -> PlacedNode:
    """The rows of a table at whole numbers that constants are added to, one along each column."""
    x, by = shifted.places, shifted.by
    moves = np.asarray(by.law, np.float64).reshape(by.own_shape).transpose(by.order)
    size = row.size or 0
    if moves.size == 1:
        x, moves = b.spread(x.seen((*x.dims, None)), len(x.dims), b.fresh("one", 1)), moves.ravel()
    elif moves.size != moves.shape[-1] or (moves != np.round(moves)).any():
        raise ConversionError("it moves places by other constants than one a column")
    moves = moves.ravel().astype(np.int64)
    column = x.dims[-1]
    if not isinstance(column, Axis) or b.known(column) != len(moves) or moves.min() < 0:
        raise ConversionError("it moves places by other constants than one a column")
    place = b.fresh("place", size - int(moves.min()))
    step = affine_in(moves, (column,))
    if step is not None:
        moved: Node = Pattern((place, column, row), (Index.on(place) + step - Index.on(row),), ())
    else:
        at = np.arange(place.size or 0)[:, None] + moves
        moved = b.constant("places", (place, column, row), (at[..., None] == np.arange(size)) * 1.0)
    dims = x.dims if shifted.places.dims == x.dims else x.dims[:-1]
    node = Contract((table, hits(x.node, place), moved), (*axes_of(dims), units))
    return PlacedNode(node, (*dims, units))


def affine_in(at: Array, axes: Axes) -> Index | None:
    """The places as Σ c · (where they stand) + d, if they are so."""
    first = at[(0,) * at.ndim]
    steps = [int(np.diff(at, axis=k).ravel()[0]) if n > 1 else 0 for k, n in enumerate(at.shape)]
    expected = np.full(at.shape, first)
    index = Index(offset=int(first))
    for k, (axis, step) in enumerate(zip(axes, steps, strict=True)):
        expected = expected + step * np.arange(at.shape[k]).reshape(-1, *[1] * (at.ndim - k - 1))
        index = index + step * Index.on(axis)
    return index if (expected == at).all() else None


def hits(node: Node, row: Axis) -> Node:
    """1 where a place along an axis is what whole numbers say, as they are or moved by patterns."""
    held = node.arg if isinstance(node, Named) else node
    if is_whole(held):
        return OneHot(held, row)
    if isinstance(held, Rename):
        return Rename(hits(held.arg, row), held.names)
    if isinstance(held, Add):
        return add(*(hits(term, row) for term in held.terms))
    factors = held.factors if isinstance(held, Contract) else (held,)
    value = prod(each.value for each in factors if isinstance(each, Constant))
    kept = [replace(f, value=1.0) if isinstance(f, Constant) else f for f in factors]
    read = [each for each in kept if not isinstance(each, (Constant, Pattern))]
    if not read and value == int(value):  # the same number everywhere
        at = int(value)
        one = rows(Axis(f"{row.name}[{at}]", 1), row, at, at + 1)
        return Contract((*kept, one), (*held.axes, row))
    if len(read) == 1 and len(factors) > 1 and value == 1:
        moved = (hits(each, row) if each is read[0] else each for each in kept)
        return Contract(tuple(moved), (*held.axes, row))
    raise ConversionError("it looks up numbers that are no whole ones of an input")


def detached(b: Builder, input: Any) -> Any:
    """The same value, which passes no gradient."""
    if isinstance(input, (CountedPlaces, Held)) and not (isinstance(input, Held) and input.trained):
        return input
    x = b.named(b.tensor(input))
    return replace(x, node=Detach(x.node))


def counted(b: Builder, *ends: Any, **_: Any) -> CountedPlaces:
    """The whole numbers from one end to the other, in steps."""
    if not all(isinstance(each, int) for each in ends):
        if len(ends) == 1 and isinstance(ends[0], Batch):
            return CountedPlaces(ends[0])
        what = "the batch's size" if any(isinstance(e, Batch) for e in ends) else "other numbers"
        raise ConversionError(f"it counts up to {what}")
    return CountedPlaces(range(*ends))
