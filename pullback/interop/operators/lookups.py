"""What whole numbers pick, and what no gradient passes."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

from pullback.errors import ConversionError
from pullback.interop.builder import Builder
from pullback.interop.rows import Batch, Held
from pullback.interop.values import CountedPlaces, PlacedNode, axes_of
from pullback.ir import (
    Add,
    Axis,
    Constant,
    Contract,
    Detach,
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


def embedded(
    b: Builder, input: Any, weight: Any, padding_idx: Any = None, max_norm: Any = None,
    norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False,
) -> PlacedNode:  # fmt: skip
    """The rows of a table that whole numbers say; that of ``padding_idx`` has no gradient."""
    if max_norm is not None or scale_grad_by_freq:
        raise ConversionError("a table whose rows are cut to a length, or counted")
    if not isinstance(weight, Held):
        raise ConversionError("its table is computed, which pullback cannot read yet")
    row, units = b.fresh("rows", weight.shape[0]), b.fresh("units", weight.shape[1])
    table = b.fitted(weight, (row, units))
    if isinstance(input, CountedPlaces):
        taken = b.fresh("places", len(input.numbers))
        at = input.numbers
        node = layout.taken(table, row, taken, at.start, at.step)
        return PlacedNode(node, (*(None,) * input.before, taken, units))
    x = b.tensor(input)
    z = Contract((table, _hits(x.node, row)), (*axes_of(x.dims), units))
    if padding_idx is not None and padding_idx >= 0:
        held = b.equation("z", z, part="rows")
        is_padding = Contract(
            (_hits(x.node, row), rows(b.fresh("one", 1), row, padding_idx, padding_idx + 1)),
            axes_of(x.dims),
        )
        chosen = Piecewise((symbol(1), symbol(2) > 0), (symbol(0), True))
        return PlacedNode(scalar_map(chosen, held, Detach(held), is_padding), (*x.dims, units))
    return PlacedNode(z, (*x.dims, units))


def _hits(node: Node, row: Axis) -> Node:
    """1 where a place along an axis is what whole numbers say, as they are or moved by patterns."""
    held = node.arg if isinstance(node, Named) else node
    if is_whole(held):
        return OneHot(held, row)
    if isinstance(held, Rename):
        return Rename(_hits(held.arg, row), held.names)
    if isinstance(held, Add):
        return add(*(_hits(term, row) for term in held.terms))
    factors = held.factors if isinstance(held, Contract) else (held,)
    value = prod(each.value for each in factors if isinstance(each, Constant))
    kept = [replace(f, value=1.0) if isinstance(f, Constant) else f for f in factors]
    read = [each for each in kept if not isinstance(each, (Constant, Pattern))]
    if not read and value == int(value):  # the same number everywhere
        at = int(value)
        one = rows(Axis(f"{row.name}[{at}]", 1), row, at, at + 1)
        return Contract((*kept, one), (*held.axes, row))
    if len(read) == 1 and len(factors) > 1 and value == 1:
        moved = (_hits(each, row) if each is read[0] else each for each in kept)
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
        what = "the batch's size" if any(isinstance(e, Batch) for e in ends) else "other numbers"
        raise ConversionError(f"it counts up to {what}")
    return CountedPlaces(range(*ends))
