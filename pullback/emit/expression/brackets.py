"""In which order a product of several arrays is multiplied, two at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

from pullback.ir import Axes, Axis

ASSUMED_SIZE = 64  # of an axis whose length only the data tells
EXACT_UP_TO = 7  # factors; beyond, the cheapest next pair


def pairs(factors: Sequence[Axes], over: Axes) -> list[tuple[int, int]]:
    """The pairs to multiply, in order; each result is appended to the list of factors.

    >>> i, j, k = Axis("i", 9), Axis("j", 2), Axis("k", 9)
    >>> pairs([(i, j), (j, k), (k,)], (i,))
    [(1, 2), (0, 3)]
    """
    if len(factors) < 2:
        return []
    tree = _exact(factors, over) if len(factors) <= EXACT_UP_TO else _greedy(factors, over)
    order: list[tuple[int, int]] = []

    def visit(branch: Tree) -> int:
        if isinstance(branch, int):
            return branch
        left, right = visit(branch[0]), visit(branch[1])
        order.append((left, right))
        return len(factors) + len(order) - 1

    visit(tree)
    return order


Tree = int | tuple["Tree", "Tree"]


def _cost(axes: set[Axis]) -> int:
    return math.prod(axis.size or ASSUMED_SIZE for axis in axes)


def _kept(members: frozenset[int], factors: Sequence[Axes], over: Axes) -> set[Axis]:
    """The axes that a product of some factors must still carry."""
    outside = {a for i, axes in enumerate(factors) if i not in members for a in axes} | set(over)
    return {a for i in members for a in factors[i] if a in outside}


def _exact(factors: Sequence[Axes], over: Axes) -> Tree:
    """The cheapest order by dynamic programming over subsets; of equals the one of fewest axes.

    An axis of size 1 costs nothing, but an array that has it in vain is no matrix any more.
    """

    @cache
    def best(members: frozenset[int]) -> tuple[tuple[int, int], Tree]:
        if len(members) == 1:
            return (0, 0), next(iter(members))
        options: list[tuple[tuple[int, int], int, Tree]] = []
        first, *rest = sorted(members)
        for mask in range(2 ** len(rest) - 1):
            left = frozenset([first, *(m for bit, m in enumerate(rest) if mask >> bit & 1)])
            right = members - left
            here = _cost(_kept(left, factors, over) | _kept(right, factors, over))
            ((cost_l, axes_l), tree_l), ((cost_r, axes_r), tree_r) = best(left), best(right)
            axes = axes_l + axes_r + len(_kept(members, factors, over))
            options.append(((cost_l + cost_r + here, axes), mask, (tree_l, tree_r)))
        cost, _, tree = min(options, key=lambda option: option[:2])
        return cost, tree

    return best(frozenset(range(len(factors))))[1]


def _greedy(factors: Sequence[Axes], over: Axes) -> Tree:
    parts: dict[frozenset[int], Tree] = {frozenset([i]): i for i in range(len(factors))}
    while len(parts) > 1:
        choices = [(a, b) for a in parts for b in parts if min(a) < min(b)]
        a, b = min(
            choices,
            key=lambda ab: (
                _cost(_kept(ab[0], factors, over) | _kept(ab[1], factors, over)),
                len(_kept(ab[0] | ab[1], factors, over)),
            ),
        )
        parts[a | b] = (parts.pop(a), parts.pop(b))
    return next(iter(parts.values()))
