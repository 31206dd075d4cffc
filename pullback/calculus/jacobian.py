"""Jacobians and Hessians as nodes with the axes of both sides.

The pushforward is linear in its tangent. With an identity matrix as the tangent it is the whole
Jacobian: axes have names, so nothing else in the formula has to know.
"""

from __future__ import annotations

from pullback.calculus.backward import pushforward
from pullback.ir import Axes, Axis, Constant, Contract, Input, Node, identity, simplify, walk
from pullback.ir.build import spread
from pullback.ir.lift import lifted


def jacobian(root: Node, leaf: Node, each: Axes = ()) -> Node:
    """∂root/∂leaf: the root's axes, then the leaf's, primed.

    Along the axes of ``each``, the samples' for one, an entry of the root depends on those of the
    leaf at its own place only; they are there once.

    >>> from pullback.ir import Axis
    >>> x = Input("x", (Axis("i", 2),))
    >>> jacobian(Contract((x, x), ()), x).axes
    (i′=2,)
    """
    tangent = Input("\0tangent", leaf.axes)
    change = pushforward(root, {leaf: tangent})
    # axes of its own, primed, which the identity ties to those of the leaf
    taken = {axis for node in walk((root, change)) for axis in node.axes}
    inner = tuple((axis, _free(axis, taken)) for axis in leaf.axes if axis not in each)
    shared = tuple(axis for axis in leaf.axes if axis in each)
    primed = tuple(prime for _, prime in inner)
    tangents: Node = Constant(1.0, shared)
    if inner:
        ones = (Constant(1.0, shared),) if shared else ()
        tangents = Contract((*(identity(*pair) for pair in inner), *ones), leaf.axes + primed)
    (whole,) = lifted([change], {tangent: tangents}, last=True)
    return simplify(spread(whole, (*root.axes, *primed)))[0]


def _free(axis: Axis, taken: set[Axis]) -> Axis:
    """The axis, primed until nothing has it; it is taken from then on."""
    primed = axis.primed
    while primed in taken:
        primed = primed.primed
    taken.add(primed)
    return primed
