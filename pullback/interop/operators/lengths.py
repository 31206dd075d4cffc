"""Lengths of vectors along axes, and what is divided by them."""

from __future__ import annotations

import math
from typing import Any

import sympy as sp

from pullback.errors import ConversionError
from pullback.interop.builder import Builder
from pullback.interop.formula import number
from pullback.interop.operators import reductions
from pullback.interop.operators.elementwise import mapped
from pullback.interop.operators.order import unsqueezed
from pullback.interop.values import PlacedNode, place_of
from pullback.ir import Contract, fn, symbol
from pullback.ir.build import scalar_map
from pullback.ir.scalar.cases import Piecewise

X, Y = symbol(0), symbol(1)


def norm(
    b: Builder, input: Any, p: Any = 2, dim: Any = None, keepdim: bool = False, *, ord: Any = None
) -> PlacedNode:  # fmt: skip
    """(Σ |x|ᵖ)^(1/p) along some axes, for p ≥ 1."""
    x = b.tensor(input)
    p = ord if ord is not None else p
    if p in (2, None, "fro"):
        squares = PlacedNode(Contract((x.node, x.node), x.node.axes), x.dims)
        found = reductions.total(b, squares, dim, keepdim)
        return PlacedNode(scalar_map(reductions.ROOT, found.node), found.dims)
    if not isinstance(p, (int, float)) or p < 1:
        raise ConversionError(f"it is a norm with p={p!r}; pullback reads numbers from 1, and inf")
    sizes = PlacedNode(scalar_map(fn("abs")(X), x.node), x.dims)
    if 1 < p < math.inf:
        powers = PlacedNode(scalar_map(X ** number(p), sizes.node), x.dims)
        found = reductions.total(b, powers, dim, keepdim)
        root = Piecewise((0, X <= 0), (X ** (1 / number(p)), True))
        return PlacedNode(scalar_map(root, found.node), found.dims)
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


def distances(b: Builder, x1: Any, x2: Any, p: float = 2.0, *_: Any, **__: Any) -> PlacedNode:
    """The length of x − y for each x of (…, n, features) and each y of (…, m, features)."""
    one, two = unsqueezed(b, b.tensor(x1), -2), unsqueezed(b, b.tensor(x2), -3)
    return norm(b, b.named(mapped(b, X - Y, (one, two))), p, -1)


def pairwise_distance(
    b: Builder, x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> PlacedNode:
    """‖x − y + ε‖ along the last axis."""
    apart = b.named(mapped(b, X - Y + sp.Float(eps), (x1, x2)))
    return norm(b, apart, p, -1, keepdim)
