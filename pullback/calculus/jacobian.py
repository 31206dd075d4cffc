"""Jacobians and Hessians as nodes with the axes of both sides.

The pushforward is linear in its tangent. With an identity matrix as the tangent it is the whole
Jacobian: axes have names, so nothing else in the formula has to know.
"""

from __future__ import annotations

from pullback.calculus.backward import pushforward
from pullback.calculus.written_out import written_out
from pullback.ir import Input, Node, simplify
from pullback.ir.build import spread


def jacobian(root: Node, leaf: Node) -> Node:
    """∂root/∂leaf: the root's axes, then the leaf's, primed.

    >>> from pullback.ir import Axis, Contract
    >>> x = Input("x", (Axis("i", 2),))
    >>> jacobian(Contract((x, x), ()), x).axes
    (i′=2,)
    """
    tangent = Input("\0tangent", leaf.axes)
    change = pushforward(root, {leaf: tangent})
    whole, inner = written_out(change, tangent)
    return simplify(spread(whole, (*root.axes, *(prime for _, prime in inner))))[0]
