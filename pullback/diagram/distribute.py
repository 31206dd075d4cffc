"""Products with I − s 𝟏ᵀ as two products: an identity is an edge, and needs no name."""

from __future__ import annotations

from collections.abc import Container

from pullback.ir import Add, Constant, Contract, Named, Node, Pattern, walk
from pullback.ir.axis import union
from pullback.ir.build import with_axes


def distributed(root: Node, known: Container[Node]) -> Node:
    """The node with every such product multiplied out; what is known by a name stays as it is."""
    done: dict[Node, Node] = {}
    for node in walk((root,), stop=known):
        if node in known or isinstance(node, Named):
            done[node] = node
            continue
        made = node.rebuild(tuple(done[arg] for arg in node.args))
        made = _opened(made) if isinstance(made, Contract) else made
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


def _has_identity(term: Node) -> bool:
    factors = term.factors if isinstance(term, Contract) else (term,)
    return any(
        isinstance(each, Pattern) and (part := each.slice) is not None and part.is_whole
        for each in factors
    )
