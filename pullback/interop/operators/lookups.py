"""What whole numbers pick, and what no gradient passes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import sympy as sp

from pullback.errors import ConversionError
from pullback.interop.builder import Builder
from pullback.interop.rows import Batch, Held
from pullback.interop.values import PlacedNode, Places, axes_of
from pullback.ir import Contract, Detach, Node, OneHot, Pattern, layout, symbol
from pullback.ir.build import scalar_map
from pullback.ir.lookup import is_whole, origin
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
    if isinstance(input, Places):
        taken = b.fresh("places", len(input.numbers))
        at = input.numbers
        node = layout.taken(table, row, taken, at.start, at.step)
        return PlacedNode(node, (*(None,) * input.before, taken, units))
    x = b.tensor(input)
    index, moved = _index(x.node)
    z = Contract((table, OneHot(index, row), *moved), (*axes_of(x.dims), units))
    if padding_idx is not None and padding_idx >= 0:
        held = b.equation("z", z, part="rows")
        chosen = Piecewise((symbol(1), sp.Eq(symbol(2), padding_idx)), (symbol(0), True))
        numbers = Contract((index, *moved), axes_of(x.dims))
        return PlacedNode(scalar_map(chosen, held, Detach(held), numbers), (*x.dims, units))
    return PlacedNode(z, (*x.dims, units))


def _index(node: Node) -> tuple[Node, tuple[Node, ...]]:
    """The whole numbers that a value has, and the patterns by which they have moved."""
    held = origin(node)
    if is_whole(held):
        return held, ()
    if isinstance(held, Contract):
        patterns = tuple(each for each in held.factors if isinstance(each, Pattern))
        rest = [each for each in held.factors if not isinstance(each, Pattern)]
        if len(rest) == 1:
            index, inner = _index(rest[0])
            return index, (*inner, *patterns)
    raise ConversionError("it looks up numbers that are no whole ones of an input")


def detached(b: Builder, input: Any) -> Any:
    """The same value, which passes no gradient."""
    if isinstance(input, (Places, Held)) and not (isinstance(input, Held) and input.trained):
        return input
    x = b.named(b.tensor(input))
    return replace(x, node=Detach(x.node))


def counted(b: Builder, *ends: Any, **_: Any) -> Places:
    """The whole numbers from one end to the other, in steps."""
    if not all(isinstance(each, int) for each in ends):
        what = "the batch's size" if any(isinstance(e, Batch) for e in ends) else "other numbers"
        raise ConversionError(f"it counts up to {what}")
    return Places(range(*ends))
