"""Jacobians and Hessians as nodes with the axes of both sides.

The pushforward is linear in its tangent. With an identity matrix as the tangent it is the whole
Jacobian: axes have names, so nothing else in the formula has to know.
"""

from __future__ import annotations

from pullback.calculus.backward import pushforward
from pullback.ir import Constant, Contract, Delta, Input, Node, simplify
from pullback.ir.build import spread
from pullback.ir.lift import lifted


def jacobian(root: Node, leaf: Node) -> Node:
    """∂root/∂leaf: the root's axes, then the leaf's, primed.

    >>> from pullback.ir import Axis
    >>> x = Input("x", (Axis("i", 2),))
    >>> jacobian(Contract((x, x), ()), x).axes
    (i′=2,)
    """
    # the tangent has primed axes of its own, which the identity ties to those of the leaf
    inner = tuple((axis, axis.primed) for axis in leaf.axes)
    tangent = Input("\0tangent", leaf.axes)
    change = pushforward(root, {leaf: tangent})
    primed = tuple(prime for _, prime in inner)
    identity: Node = Constant(1.0)
    if inner:
        identity = Contract(tuple(Delta(*pair) for pair in inner), leaf.axes + primed)
    (whole,) = lifted([change], {tangent: identity})
    return simplify(spread(whole, (*root.axes, *primed)))[0]
