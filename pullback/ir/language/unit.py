"""A vector divided by its own length, ``x/norm(x)``: 0 where x is 0, and so is its slope.

x/‖x‖ goes on from 0 in every direction at once, and its slope grows without bound. 0 is the value
that is in the middle of them, the subgradient of ‖x‖ there; with it a row of zeros passes through.
"""

from __future__ import annotations

from collections.abc import Iterator

import sympy as sp

from pullback.ir.build import scalar_map, scale
from pullback.ir.kinds import Add, Constant, Contract, Map, Rename
from pullback.ir.node import Node, walk
from pullback.ir.normal.contraction import is_positive_number
from pullback.ir.normal.simplify import simplify
from pullback.ir.scalar.cases import zero_where_zero
from pullback.ir.scalar.function import symbol
from pullback.ir.scalar.primitives import fn

_S = symbol(0)
_HALF = sp.Rational(1, 2)


def unit_at_zero(root: Node) -> Node:
    """The node, with 0 for 0/0 wherever what is 0 with v is divided by ‖v‖.

    A quotient that grows without bound near 0, as 1/‖v‖ or v/‖v‖², stays as it is.

    >>> from pullback.ir.axis import Axis
    >>> from pullback.ir.evaluate import evaluate
    >>> from pullback.ir.kinds import Input
    >>> x = Input("x", (Axis("n", 2),))
    >>> length = scalar_map(1 / sp.sqrt(_S), Contract((x, x), ()))
    >>> evaluate(unit_at_zero(Contract((x, length), x.axes)), {"x": [0.0, 0.0]})
    array([0., 0.])
    """
    lengths = [found for node in walk((root,)) for found in _lengths_below(node)]
    vanishing = {of: _vanishing(root, of) for _, of in lengths}
    done: dict[Node, Node] = {}
    for node in walk((root,)) if lengths else ():
        done[node] = node.rebuild(tuple(done[arg] for arg in node.args))
        if not isinstance(node, Contract):
            continue
        factors = list(_factors(node))
        new, found = [], False
        for factor in factors:
            below = _length_below(factor)
            if below and any(f in vanishing[below[1]] for f in factors):
                new.append(_inverse_length(done[below[0]]))
                found = True
            else:
                new.append(factor.rebuild(tuple(done[arg] for arg in factor.args)))
        if found:
            done[node] = Contract(tuple(new), node.axes)
    return done.get(root, root)


def _inverse_length(square: Node) -> Node:
    """1/√s, and 0 where s is 0."""
    return scalar_map(zero_where_zero(_S, lambda s: s**-_HALF), square)


def _factors(product: Contract) -> Iterator[Node]:
    """The factors of a product and of the products without a sum inside it."""
    waiting = list(reversed(product.factors))
    while waiting:
        factor = waiting.pop()
        if isinstance(factor, Contract) and not factor.summed:
            waiting += reversed(factor.factors)
        elif below := _divisors(factor):
            waiting += [scalar_map(1 / _S, f) for f in reversed(below)]
        else:
            yield factor


def _divisors(node: Node) -> tuple[Node, ...]:
    """a and b of 1/(a b)."""
    inside = node.args[0] if _is_map(node, 1 / _S) else None
    return inside.factors if isinstance(inside, Contract) and not inside.summed else ()


def _is_map(node: Node, expr: object) -> bool:
    return isinstance(node, Map) and node.function.expr == expr


def _length_below(node: Node) -> tuple[Node, Node] | None:
    """Σ v² and v of 1/‖v‖."""
    if _is_map(node, 1 / _S) and _is_map(node.args[0], sp.sqrt(_S)):
        square = node.args[0].args[0]
    elif _is_map(node, _S**-_HALF):
        square = node.args[0]
    else:
        return None
    of = _squared(square)
    return None if of is None else (square, of)


def _lengths_below(node: Node) -> Iterator[tuple[Node, Node]]:
    """Σ v² and v of each of 1/(‖v‖ ‖w‖)."""
    for each in (node, *(scalar_map(1 / _S, f) for f in _divisors(node))):
        if found := _length_below(each):
            yield found


def _squared(node: Node) -> Node | None:
    """v of a Σ v²."""
    factors: tuple[Node, ...] = (node,)
    if isinstance(node, Contract):
        factors = tuple(f for f in node.factors if not is_positive_number(f))
    if len(factors) == 1 and _is_map(factors[0], _S**2):
        return _bare(factors[0].args[0])
    if len(factors) != 2:
        return None
    one, other = simplify(*factors)
    return _bare(factors[0]) if one == other else None


def _bare(node: Node) -> Node:
    """The node without a number in front."""
    while isinstance(node, Contract) and not node.summed:
        rest = [f for f in node.factors if not isinstance(f, Constant)]
        if len(rest) != 1 or rest[0].axes != node.axes:
            break
        (node,) = rest
    return node


def _vanishing(root: Node, of: Node) -> set[Node]:
    """What is 0 where this is 0, at least as fast: itself, and sums and multiples of it."""
    same = {of, *simplify(of), *simplify(scale(-1.0, of))}
    found: set[Node] = set()
    for node in walk((root,)):
        linear = isinstance(node, Add | Rename) and all(arg in found for arg in node.args)
        product = isinstance(node, Contract) and any(arg in found for arg in node.args)
        power = isinstance(node, Map) and found.issuperset(node.args) and _at_least_linear(node)
        turned = isinstance(of, Add) and isinstance(node, Add) and same & set(simplify(node))
        if node in same or linear or product or power or turned:
            found.add(node)
    return found


def _at_least_linear(node: Map) -> bool:
    """Is it |x|, or a power from the first on?"""
    expr = node.function.expr
    return bool(expr == fn("abs")(_S) or (expr.is_Pow and expr.base == _S and expr.exp >= 1))
