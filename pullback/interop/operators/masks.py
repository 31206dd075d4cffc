"""Where something counts: masks as conditions, in place of values, and in an attention."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from pullback.interop import formula
from pullback.interop.builder import Builder
from pullback.interop.operators.elementwise import chosen, joined, mapped
from pullback.interop.rows import Held
from pullback.interop.values import Compared, PlacedNode
from pullback.ir import Index, Node, Pattern, Range, symbol
from pullback.ir.build import multiply

X, Y = symbol(0), symbol(1)


def where(b: Builder, condition: Any, input: Any = 1, other: Any = 0) -> PlacedNode:
    """One value where a condition holds, else the other; −∞ is what does not count."""
    for value, fill, holds in ((input, other, True), (other, input, False)):
        if _number(fill) == -math.inf:
            return masked(b, value, truth(b, condition) if holds else negated(b, condition))
    if isinstance(condition, Compared):
        return chosen(b, condition, input, other)
    kept = truth(b, condition)
    return mapped(b, formula.where("gt"), (kept, 0, input, other))


def filled(b: Builder, input: Any, mask: Any, value: Any) -> PlacedNode:
    """Another number where a mask is 1."""
    return where(b, mask, value, input)


def masked(b: Builder, input: Any, kept: PlacedNode) -> PlacedNode:
    """A value of which some entries do not count, as if they were −∞."""
    x = b.named(b.tensor(input))
    held = b.named(kept)
    rank = max(len(x.dims), len(held.dims))
    x = b.wide(x, held.dims, rank)
    if x.where is not None:
        held = mapped(b, X * Y, (x.where, held))
    return replace(x, where=b.named(held))


def truth(b: Builder, condition: Any) -> PlacedNode:
    """A condition as 1 and 0."""
    if isinstance(condition, Compared):
        return chosen(b, condition)
    return b.tensor(condition)


def negated(b: Builder, condition: Any) -> PlacedNode:
    """1 where a condition does not hold."""
    return mapped(b, 1 - X, (truth(b, condition),))


def either(b: Builder, input: Any, other: Any) -> PlacedNode:
    """1 where one of two conditions holds."""
    return mapped(b, X + Y - X * Y, (truth(b, input), truth(b, other)))


def lower(b: Builder, input: Any, diagonal: int = 0) -> PlacedNode:
    """What stands on and below a diagonal of the last two axes; 0 elsewhere."""
    return _part(b, input, diagonal, below=True)


def upper(b: Builder, input: Any, diagonal: int = 0) -> PlacedNode:
    """What stands on and above a diagonal of the last two axes; 0 elsewhere."""
    return _part(b, input, diagonal, below=False)


def _part(b: Builder, input: Any, diagonal: int, below: bool) -> PlacedNode:
    x, row = b.along(b.tensor(input), -2)
    x, column = b.along(x, -1)
    behind = Index.on(column) - Index.on(row)
    within = Range(behind, None, diagonal) if below else Range(behind, diagonal)
    return replace(x, node=multiply(x.node, Pattern((row, column), (), (within,))))


def of_scores(b: Builder, scores: PlacedNode, attn_mask: Any, is_causal: bool) -> PlacedNode:
    """Scores (…, queries, keys) of which some do not count, or to which numbers are added."""
    if is_causal:
        x, query = b.along(scores, -2)
        x, key = b.along(x, -1)
        seen: Node = Pattern((query, key), (), (Range(Index.on(query) - Index.on(key), 0),))
        return replace(x, where=PlacedNode(seen, (query, key)))
    if attn_mask is None:
        return scores
    if isinstance(attn_mask, Compared) or (isinstance(attn_mask, Held) and attn_mask.truth):
        return masked(b, scores, truth(b, attn_mask))
    added: PlacedNode = joined(b, scores, attn_mask, name="add")
    return added


def _number(value: Any) -> float | None:
    if isinstance(value, Held):
        return value.number
    return float(value) if isinstance(value, (int, float)) else None
