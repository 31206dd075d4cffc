"""The local Jacobians of whole equations: one linear map from each thing that an equation reads.

Where ``linearise`` has a row for each node, this has one for each equation: it is cut off from
those before it, pushed forward, and written out along the axes that it mixes only. So the work does
not grow with what an equation reads, and equal ones are linearised once, whatever their names.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from pullback.calculus.backward import pushforward
from pullback.calculus.factor import Factor
from pullback.calculus.linearise import linearise
from pullback.calculus.written_out import written_out
from pullback.ir import (
    Axis,
    Constant,
    Contract,
    Input,
    Named,
    Node,
    Parameter,
    Rename,
    inside,
    simplify,
    walk,
)
from pullback.ir.lift import lifted
from pullback.ir.lookup import is_whole


@lru_cache(maxsize=4096)
def local_map(equation: Node, by: Node) -> Factor:
    """The map from a small change of what an equation reads, or holds, to its own.

    The last node of a graph may have no name. Raises KeyError for what it does not read.

    >>> from pullback.ir import Axis, fn, symbol
    >>> from pullback.ir.build import scalar_map
    >>> z = Named("z", Input("x", (Axis("tokens", 2), Axis("units", 3))), "z")
    >>> local_map(Named("a", scalar_map(fn("tanh")(symbol(0)), z), "a"), z).structure()
    {'tokens': 'diagonal', 'units': 'diagonal'}
    """
    right, leaves = alone(equation)
    found = _map(right, leaves[by])
    (tensor,) = lifted((found.tensor,), {leaf: node for node, leaf in leaves.items()})
    return replace(found, tensor=tensor)


@lru_cache(maxsize=4096)
def alone(equation: Node) -> tuple[Node, dict[Node, Node]]:
    """The right side of an equation over leaves of its own, and the leaf of each thing it reads."""
    right = equation.arg if isinstance(equation, Named) else equation
    read = [n for n in inside(Named("part", right)) if isinstance(n, (Named, Input, Parameter))]
    leaves: dict[Node, Node] = {node: _leaf(node, f"\0{at}") for at, node in enumerate(read)}
    return lifted((right,), leaves)[0], leaves


def _leaf(node: Node, name: str) -> Node:
    if isinstance(node, (Input, Parameter)):
        return replace(node, name=name)
    return Input(name, node.axes, is_whole(node))


@lru_cache(maxsize=1024)
def _map(right: Node, leaf: Node) -> Factor:
    became = _kept(right, leaf)
    tangent = Input("\0tangent", leaf.axes)
    change = pushforward(right, {leaf: tangent})
    whole, primed = written_out(change, tangent, tuple(became))
    # an axis that only the argument has needs no other name on the tensor
    own = tuple((prime, axis) for axis, prime in primed if axis not in right.axes)
    thin = _thin(*simplify(whole))
    (tensor,) = simplify(Rename(thin, tuple(pair for pair in own if pair[0] in thin.axes)))
    ties = tuple((axis, to) for axis, to in became.items() if axis != to)
    names = tuple((axis, prime) for axis, prime in primed if axis in right.axes)
    return Factor(tensor, leaf.axes, right.axes, ties, names)


def _kept(right: Node, leaf: Node) -> dict[Axis, Axis]:
    """The axes of a leaf along which entries at different places never meet, and what they become.

    All ways from the leaf have to agree.
    """
    found: dict[Node, dict[Axis, Axis]] = {leaf: {axis: axis for axis in leaf.axes}}
    for node in walk((right,), stop=(leaf,)):
        ways = [(found[arg], link.tied) for arg, link in linearise(node) if arg in found]
        if not ways or node is leaf:
            continue
        each = [{a: tied[to] for a, to in before.items() if to in tied} for before, tied in ways]
        found[node] = dict(set.intersection(*(set(way.items()) for way in each)))
    kept = found.get(right, {})
    return {axis: kept[axis] for axis in leaf.axes if axis in kept}


def _thin(tensor: Node) -> Node:
    """The tensor without the axes along which it is the same: there the map is an identity."""
    if isinstance(tensor, Constant):
        return Constant(tensor.value)
    if not isinstance(tensor, Contract):
        return tensor
    ones = [f for f in tensor.factors if isinstance(f, Constant) and f.over]
    rest = tuple(f for f in tensor.factors if f not in ones)
    numbers = tuple(Constant(one.value) for one in ones if one.value != 1)
    carried = {axis for factor in rest for axis in factor.axes}
    if any(axis not in carried and axis not in tensor.over for one in ones for axis in one.over):
        return tensor  # summed over
    over = tuple(axis for axis in tensor.over if axis in carried)
    factors = (*numbers, *rest)
    return Contract(factors, over) if len(factors) > 1 or rest[0].axes != over else rest[0]
