"""An axis of a result that is made of others: z[k + 2j] = …, with j and k on both sides.

A sum Σⱼₖ f[j, k] 𝟏[i = k + 2j], in which each i has one pair of j and k, says what z[k + 2j] is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from pullback.ir import Add, Axis, Contract, Index, Named, Node, Pattern


@dataclass(frozen=True)
class Merged:
    """A right side whose axis ``whole`` has the ``index`` of its parts, which are not summed.

    The equation is the sum of ``terms``, each with the parts or with the whole among its axes.
    """

    whole: Axis
    index: Index
    terms: tuple[Node, ...]

    @classmethod
    def of(cls, equation: Named) -> Merged | None:
        """How an equation puts an axis together, if it does."""
        arg = equation.arg
        terms = arg.terms if isinstance(arg, Add) else (arg,)
        for axis in equation.axes:
            for at, term in enumerate(terms):
                beside = (*terms[:at], *terms[at + 1 :])
                for index, rest in _merging(term, axis):
                    if all(axis in each.axes for each in beside):
                        return cls(axis, index, (rest, *beside))
        return None


def _merging(term: Node, whole: Axis) -> Iterator[tuple[Index, Contract]]:
    """The index that a pattern in a sum gives an axis of it, and the term without both."""
    if not isinstance(term, Contract) or whole not in term.over:
        return
    factors = [p for f in term.factors for p in (f.parts if isinstance(f, Pattern) else (f,))]
    for pattern in factors:
        index = pattern.solved(whole) if isinstance(pattern, Pattern) else None
        if index is None or not _counts(index, whole) or not {*index.axes} <= {*term.summed}:
            continue
        rest = [each for each in factors if each is not pattern]
        held = {axis for each in rest for axis in each.axes}
        moves = not any(whole in each.axes for each in rest if isinstance(each, Pattern))
        if moves and {*index.axes} <= held:
            apart = tuple(_apart(each, whole, pattern, index) for each in rest)
            over = tuple(axis for axis in term.over if axis != whole)
            yield index, Contract(apart, (*over, *index.axes))


def _apart(node: Node, whole: Axis, pattern: Node, index: Index) -> Node:
    """What has the whole axis, as a gain has, with the parts in its place."""
    if whole not in node.axes:
        return node
    over = tuple(a for each in node.axes for a in (index.axes if each == whole else (each,)))
    return Contract((node, pattern), over)


def _counts(index: Index, whole: Axis) -> bool:
    """Does it count through the whole axis, each place once, as digits count through numbers?"""
    weights = sorted((c, axis.size or 0) for axis, c in index.terms)
    places = [prod(size for _, size in weights[:at]) for at in range(len(weights))]
    through = prod(size for _, size in weights) == whole.size
    return len(weights) > 1 and through and not index.offset and [c for c, _ in weights] == places
