"""Lengths of vectors along axes, and what is divided by them."""

from __future__ import annotations

import math
from typing import Any

import sympy as sp

from pullback.errors import ConversionError
from pullback.interop.builder import Builder
from pullback.interop.operators import reductions
from pullback.interop.operators.elementwise import mapped
from pullback.interop.values import PlacedNode, place_of
from pullback.ir import Contract, fn, symbol
from pullback.ir.build import scalar_map
from pullback.ir.scalar.cases import Piecewise

X, Y = symbol(0), symbol(1)
# its slope at 0 is 0, as torch has it
_ROOT = Piecewise((0, X <= 0), (sp.sqrt(X), True))


def norm(
    b: Builder, input: Any, p: Any = 2, dim: Any = None, keepdim: bool = False, *, ord: Any = None
) -> PlacedNode:  # fmt: skip
    """(Σ |x|ᵖ)^(1/p) along some axes, for p = 1, 2 or ∞."""
    x = b.tensor(input)
    p = ord if ord is not None else p
    if p in (2, None, "fro"):
        squares = PlacedNode(Contract((x.node, x.node), x.node.axes), x.dims)
        found = reductions.total(b, squares, dim, keepdim)
        return PlacedNode(scalar_map(_ROOT, found.node), found.dims)
    if p not in (1, math.inf):
        raise ConversionError(f"it is a norm with p={p!r}; pullback reads 1, 2 and inf")
    sizes = PlacedNode(scalar_map(fn("abs")(X), x.node), x.dims)
    reduced = reductions.total if p == 1 else reductions.largest
    return reduced(b, sizes, dim, keepdim)


def normalised(
    b: Builder, input: Any, p: Any = 2.0, dim: Any = 1, eps: float = 1e-12
) -> PlacedNode:
    """x over its norm along an axis, or over ``eps`` if that is larger."""
    x = b.named(b.tensor(input))
    length = norm(b, x, p, dim, True)
    named = PlacedNode(b.equation("stat", length.node, part="norm"), length.dims)
    return mapped(b, X / Piecewise((eps, eps > Y), (Y, True)), (x, named))


def weight_norm(b: Builder, v: Any, g: Any, dim: int = 0) -> PlacedNode:
    """g · v / ‖v‖, the length over all axes but one."""
    x = b.tensor(v)
    kept = place_of(dim, len(x.dims))
    length = norm(b, x, 2, tuple(at for at in range(len(x.dims)) if at != kept), True)
    named = PlacedNode(b.equation("stat", length.node, part="norm"), length.dims)
    return mapped(b, X * Y / symbol(2), (x, g, named))


def cosine_similarity(b: Builder, x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> PlacedNode:
    """⟨x, y⟩ / (‖x‖ ‖y‖) along an axis, each length at least ``eps``."""
    one, other = (normalised(b, each, 2, dim, eps) for each in (x1, x2))
    product = mapped(b, X * Y, (b.named(one), b.named(other)))
    return reductions.total(b, b.named(product), dim)


def pairwise_distance(
    b: Builder, x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> PlacedNode:
    """‖x − y + ε‖ along the last axis."""
    apart = b.named(mapped(b, X - Y + sp.Float(eps), (x1, x2)))
    return norm(b, apart, p, -1, keepdim)
