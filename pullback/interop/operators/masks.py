"""Where something counts: masks as conditions, in place of values, and in an attention."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from pullback.interop import formula
from pullback.interop.builder import Builder
from pullback.interop.operators.elementwise import chosen, joined, mapped
from pullback.interop.operators.reductions import largest, smallest
from pullback.interop.rows import Held
from pullback.interop.values import Compared, PlacedNode
from pullback.ir import Constant, Index, Node, Pattern, Range, symbol
from pullback.ir.build import multiply

X, Y = symbol(0), symbol(1)
_FAR = -1e6  # below it a number stands for −∞


def where(b: Builder, condition: Any, input: Any = 1, other: Any = 0) -> PlacedNode:
    """One value where a condition holds, else the other; −∞ is what does not count."""
    for value, fill, holds in ((input, other, True), (other, input, False)):
        if _number(fill) == -math.inf:
            return masked(b, value, truth(b, condition) if holds else negated(b, condition))
    far = any((_number(each) or 0.0) < _FAR for each in (input, other))
    if isinstance(condition, Compared):
        return replace(chosen(b, condition, input, other), far=far)
    kept = truth(b, condition)
    return replace(mapped(b, formula.where("gt"), (kept, 0, input, other)), far=far)


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
    return replace(mapped(b, 1 - X, (truth(b, condition),)), truth=True)


def both(b: Builder, input: Any, other: Any) -> PlacedNode:
    """1 where two conditions hold, else 0."""
    return replace(mapped(b, X * Y, (truth(b, input), truth(b, other))), truth=True)


def either(b: Builder, input: Any, other: Any) -> PlacedNode:
    """1 where one of two conditions holds."""
    return replace(mapped(b, X + Y - X * Y, (truth(b, input), truth(b, other))), truth=True)


def anywhere(b: Builder, input: Any, dim: Any = None, keepdim: bool = False) -> PlacedNode:
    """1 where a condition holds at one place along some axes, or more."""
    return replace(largest(b, b.named(truth(b, input)), dim, keepdim), truth=True)


def everywhere(b: Builder, input: Any, dim: Any = None, keepdim: bool = False) -> PlacedNode:
    """1 where a condition holds at every place along some axes."""
    return replace(smallest(b, b.named(truth(b, input)), dim, keepdim), truth=True)


def added(b: Builder, input: Any, other: Any, alpha: Any = 1, *, name: str = "add") -> Any:
    """A sum; what does not count in one of its terms does not count in it."""
    terms = [each for each in (input, other) if isinstance(each, PlacedNode) and each.where]
    plain = [replace(e, where=None) if e in terms else e for e in (input, other)]
    found = joined(b, plain[0], plain[1], alpha, name=name)
    for each in terms:
        assert each.where is not None
        found = masked(b, found, each.where)
    return found


def with_mask(b: Builder, x: PlacedNode, how: Any, *args: Any, **options: Any) -> PlacedNode:
    """What moves entries, done to a value and to what says which of them count."""
    assert x.where is not None
    counts = b.wide(x.where, x.dims, len(x.dims))
    value: PlacedNode = how(b, replace(x, where=None), *args, **options)
    return replace(value, where=b.named(how(b, counts, *args, **options)))


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
    node = multiply(x.node, Pattern((row, column), (), (within,)))
    return replace(x, node=node, truth=x.truth)


def of_scores(b: Builder, scores: PlacedNode, attn_mask: Any, is_causal: bool) -> PlacedNode:
    """Scores (…, queries, keys) of which some do not count, or to which numbers are added."""
    if is_causal:
        x, query = b.along(scores, -2)
        x, key = b.along(x, -1)
        seen: Node = Pattern((query, key), (), (Range(Index.on(query) - Index.on(key), 0),))
        return replace(x, where=PlacedNode(seen, (query, key)))
    if attn_mask is None:
        return scores
    if isinstance(attn_mask, (Compared, Held, PlacedNode)) and is_condition(attn_mask):
        return masked(b, scores, truth(b, attn_mask))
    found: PlacedNode = added(b, scores, attn_mask)
    return found


def is_condition(value: Compared | Held | PlacedNode) -> bool:
    """Does it say where something holds, and no number?"""
    return isinstance(value, Compared) or value.truth


def _number(value: Any) -> float | None:
    if isinstance(value, PlacedNode) and isinstance(value.node, Constant):
        return value.node.value
    if isinstance(value, Held):
        return value.number
    return float(value) if isinstance(value, (int, float)) else None
