"""Products with I − s 𝟏ᵀ as two products, and functions of several axes as products of one each."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import sympy as sp

from pullback.ir import (
    Add,
    Axes,
    Constant,
    Contract,
    Map,
    Named,
    Node,
    Pattern,
    Rename,
    symbol,
    walk,
)
from pullback.ir.axis import union
from pullback.ir.build import scalar_map, with_axes


def distributed(root: Node, known: Container[Node]) -> Node:
    """The node with every such product multiplied out; what is known by a name stays as it is."""
    done: dict[Node, Node] = {}
    for node in walk((root,), stop=known):
        if node in known or isinstance(node, Named):
            done[node] = node
            continue
        made = node.rebuild(tuple(done[arg] for arg in node.args))
        made = _opened(made) if isinstance(made, Contract) else made
        made = _separated(made) if isinstance(made, Map) else made
        done[node] = with_axes(made, node.axes)  # sums sort their terms, and so their axes
    return done[root]


def _opened(node: Contract) -> Node:
    sums = [factor for factor in node.factors if isinstance(factor, Add)]
    if len(sums) != 1 or len(node.factors) < 2 or not any(map(_has_identity, sums[0].terms)):
        return node
    rest = list(node.factors)
    rest.remove(sums[0])
    frame = union(term.axes for term in sums[0].terms)
    terms = []
    for term in sums[0].terms:
        missing = tuple(axis for axis in frame if axis not in term.axes)
        ones = [Constant(1.0, missing)] if missing else []
        terms.append(Contract((term, *ones, *rest), node.over))
    return Add(tuple(terms))


def _separated(node: Map) -> Node:
    """(I ‖x‖² − x xᵀ) / ‖x‖³, a function of numbers, columns and matrices, as a sum of products.

    It stays as it is where an argument has all axes, or a part is no product of functions of the
    same axes.
    """
    whole = set(node.axes)
    if any(set(arg.axes) == whole and not _is_pattern(arg) for arg in node.args):
        return node  # a function entry by entry, and no outer product
    terms = []
    for term in sp.Add.make_args(sp.expand(node.function.expr)):
        number, factors = term.as_coeff_mul()
        parts: dict[Axes, list[Any]] = {}
        for factor in factors:
            axes = {node.args[int(str(sym)[1:])].axes for sym in factor.free_symbols}
            if len(axes) != 1:
                return node
            parts.setdefault(axes.pop(), []).append(factor)
        nodes = [_of(sp.Mul(*several), node.args) for several in parts.values()]
        missing = tuple(a for a in node.axes if not any(a in each.axes for each in nodes))
        nodes += [Constant(float(number))] if number != 1 or not nodes else []
        nodes += [Constant(1.0, missing)] if missing else []
        terms.append(Contract(tuple(nodes), node.axes))
    return Add(tuple(terms)) if len(terms) > 1 else terms[0]


def _of(expr: Any, args: Sequence[Node]) -> Node:
    """A function of those arguments that it has; one of them alone is itself."""
    used = sorted(expr.free_symbols, key=lambda sym: int(str(sym)[1:]))
    inner = [args[int(str(sym)[1:])] for sym in used]
    if expr in used:
        return inner[0]
    return scalar_map(expr.xreplace({sym: symbol(at) for at, sym in enumerate(used)}), *inner)


def _is_pattern(node: Node) -> bool:
    inner = node.arg if isinstance(node, Rename) else node
    return isinstance(inner, Pattern)


def _has_identity(term: Node) -> bool:
    factors = term.factors if isinstance(term, Contract) else (term,)
    return any(
        isinstance(each, Pattern) and (part := each.slice) is not None and part.is_whole
        for each in factors
    )
