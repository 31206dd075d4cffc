"""The largest entries along an axis, one after the other."""

from __future__ import annotations

from typing import Any

from pullback.errors import ConversionError
from pullback.interop.builder import Builder
from pullback.interop.operators.parts import stacked
from pullback.interop.values import PlacedNode, axes_of, place_of
from pullback.ir import ArgMax, Contract, OneHot, symbol
from pullback.ir.build import scalar_map, scale
from pullback.ir.scalar.cases import Piecewise

MOST = 16  # entries that are looked for one after the other
_TAKEN = -1e300  # what has been found counts no more


def ranked(b: Builder, input: Any, k: int, dim: int, largest: bool) -> PlacedNode:
    """The k largest entries, or the smallest, in order; each has the gradient of its entry."""
    if not 1 <= k <= MOST:
        raise ConversionError(f"it looks for {k} entries in order; pullback reads up to {MOST}")
    at = place_of(dim, len(b.tensor(input).dims))
    x, axis = b.along(b.named(b.tensor(input)), at)
    rest = (*x.dims[:at], *x.dims[at + 1 :])
    left = x.node if largest else scale(-1.0, x.node)
    found = []
    for step in range(k):
        left = b.equation("a", left, part=f"left.{step}") if step else left
        hit = OneHot(b.equation("a", ArgMax(left, axis), part=f"place.{step}"), axis)
        node = b.equation("a", Contract((x.node, hit), axes_of(rest)), part=str(step))
        found.append(PlacedNode(node, rest))
        left = scalar_map(Piecewise((_TAKEN, symbol(1) > 0), (symbol(0), True)), left, hit)
    return stacked(b, tuple(found), at)


def top(
    b: Builder, input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> tuple[PlacedNode, None]:
    """The k largest entries along an axis; their places are not read."""
    return ranked(b, input, k, dim, largest), None


def in_order(
    b: Builder, input: Any, dim: int = -1, descending: bool = False, stable: Any = None
) -> tuple[PlacedNode, None]:
    """All entries along an axis in order; their places are not read."""
    x = b.tensor(input)
    n = b.known(x.dims[place_of(dim, len(x.dims))])
    return ranked(b, x, n, dim, descending), None
