"""Reductions over what a mask leaves, as sums and maxima over everything.

Whatever stands where the mask is 0 is first replaced by the smallest entry of its line, so that no
infinity and no overflow comes up on the way, in a library that differentiates the result either.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sympy as sp

from pullback.ir.axis import Axis
from pullback.ir.build import scalar_map, scale, shares, sum_over, with_axes
from pullback.ir.kinds import Named
from pullback.ir.node import Node, walk
from pullback.ir.normal.simplify import simplify
from pullback.ir.reduction import AlongAxis, ArgMax, LogSumExp, Max
from pullback.ir.scalar.cases import Piecewise
from pullback.ir.scalar.function import symbol

_X: Any = symbol(0)
_Y: Any = symbol(1)
_Z: Any = symbol(2)


def unmasked(roots: Iterable[Node]) -> tuple[Node, ...]:
    """The roots without masks in reductions; 0 where a mask leaves nothing.

    >>> from pullback.ir import Axis, Input
    >>> i = Axis("i", 3)
    >>> (node,) = unmasked([Max(Input("x", (i,)), i, where=Input("w", (i,)))])
    >>> any(isinstance(each, Max) and each.where for each in walk((node,)))
    False
    """
    kept = tuple(roots)
    if not any(isinstance(node, AlongAxis) and node.where is not None for node in walk(kept)):
        return kept
    weights = _weights(kept)
    done: dict[Node, Node] = {}
    for node in walk(kept):
        if node in weights:
            total, name = weights[node]
            arg, where = (done[each] for each in total.args)
            done[node] = with_axes(
                shares(_held(arg, total.axis, where), done[name], where), node.axes
            )
            continue
        new = node.rebuild(tuple(done[arg] for arg in node.args))
        done[node] = _over_all(new) if isinstance(new, AlongAxis) else new
    return tuple(done[root] for root in kept)


def _weights(roots: tuple[Node, ...]) -> dict[Node, tuple[LogSumExp, Node]]:
    """The softmaxes under a mask, each with its log Σ exp and what that is called."""
    found: dict[Node, tuple[LogSumExp, Node]] = {}
    for node in walk(roots):
        total = node.arg if isinstance(node, Named) else node
        if isinstance(total, LogSumExp) and total.where is not None:
            share = shares(total.arg, node, total.where)
            found |= dict.fromkeys((share, *simplify(share)), (total, node))
    return found


def _held(arg: Node, axis: Axis, where: Node) -> Node:
    """The argument, with the smallest entry of its line where the mask is 0."""
    least = scale(-1.0, Max(scale(-1.0, arg), axis))
    return scalar_map(Piecewise((_X, _Z > 0), (_Y, True)), arg, least, where)


def _over_all(node: AlongAxis) -> Node:
    arg, axis, where = node.arg, node.axis, node.where
    if where is None:
        return node
    held = _held(arg, axis, where)
    top = Max(held, axis)
    if isinstance(node, ArgMax):
        largest = Piecewise((1, _X >= _Y), (0, True))
        chosen = scalar_map(Piecewise((largest, _Z > 0), (0, True)), held, top, where)
        return ArgMax(with_axes(chosen, node.over), axis)
    if isinstance(node, LogSumExp):
        # a total of anything is at least 1: the largest entry's own share
        total = sum_over(shares(held, top, where), (axis,))
        value = Piecewise((_X + sp.log(sp.Max(_Y, 1)), _Y > 0), (0, True))
        return with_axes(scalar_map(value, top, total), node.axes)
    some = Max(where, axis) if axis in where.axes else where
    return with_axes(scalar_map(Piecewise((_X, _Y > 0), (0, True)), top, some), node.axes)
