"""Reverse and forward mode for any table of linearisations: transposes, or factors, in order."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping

from pullback.calculus.factor import LinearMap
from pullback.ir import Add, Named, Node, walk

Linearisation = list[tuple[Node, LinearMap]]
Rows = Callable[[Node], Linearisation]


def pull(
    seeds: Iterable[tuple[Node, Node]], wrt: Iterable[Node], linearise: Rows
) -> dict[Node, Node]:
    """The cotangents of all nodes on the way from some roots to ``wrt``, for those of the roots.

    The cotangent of a pre-activation z is named δ, and so is that of any other equation which
    hands it on more than once. A target on which no root depends has none.
    """
    arriving: dict[Node, list[Node]] = {}
    for root, seed in seeds:
        arriving.setdefault(root, []).append(seed)
    roots = tuple(arriving)
    active = moved(roots, wrt)
    order = [node for node in walk(roots) if node in active]
    # of a family the first node is the last to be met: only then is all that arrives known
    first = {node.family: node for node in reversed(order)}
    together: dict[Hashable, list[tuple[Node, Node]]] = {}
    result: dict[Node, Node] = {}
    for node in reversed(order):
        onward = [(arg, factor) for arg, factor in linearise(node) if arg in active]
        met = together.setdefault(node if node.family is None else node.family, [])
        if node in arriving:
            result[node] = _named(node, _sum(arriving.pop(node)), len(onward), active)
            met.append((node, result[node]))
        if met and (node.family is None or first[node.family] is node):
            for arg, factor in onward:
                arriving.setdefault(arg, []).append(factor.pulled(met))
    return result


def push(roots: Iterable[Node], tangents: Mapping[Node, Node], linearise: Rows) -> dict[Node, Node]:
    """The changes of all nodes between some nodes and the roots, for those of the former."""
    order = tuple(roots)
    active = moved(order, tangents)
    change = dict(tangents)
    for node in walk(order):
        if node in active and node not in change:
            change[node] = _sum(moved_terms(linearise(node), change))
    return change


def moved_terms(into: Linearisation, change: Mapping[Node, Node]) -> list[Node]:
    """The terms of a node's change for those that are known of its arguments."""
    moving = [(link, change[arg]) for arg, link in into if arg in change]
    return moving[0][0].pushed(moving) if moving else []


def moved(roots: Iterable[Node], targets: Iterable[Node]) -> set[Node]:
    """The targets, and the nodes below the roots that small changes of one move."""
    active = set(targets)
    for node in walk(roots):
        if any(arg in active for arg in node.moved_by):
            active.add(node)
    return active


def _sum(terms: list[Node]) -> Node:
    return terms[0] if len(terms) == 1 else Add(tuple(terms))


def _named(node: Node, cotangent: Node, onward: int, active: set[Node]) -> Node:
    if not isinstance(node, Named) or node.arg.family is not None:
        return cotangent  # what arrives at one of a family is a part of its δ
    shown = node.role == "z" or (node.role == "a" and onward and _forks(node, active))
    return Named(node.label.delta, cotangent) if shown else cotangent


def _forks(node: Named, active: set[Node]) -> bool:
    """Does a cotangent of this node go on along more than one way?"""
    return isinstance(node.arg, Add) or sum(arg in active for arg in node.arg.args) > 1
