"""Jacobians and Hessians as nodes with the axes of both sides.

The pushforward is linear in its tangent. With an identity matrix as the tangent it is the whole
Jacobian: axes have names, so nothing else in the formula has to know.
"""

from __future__ import annotations

from pullback.calculus.backward import pushforward
from pullback.ir import Axes, Axis, Constant, Contract, Delta, Input, Node, simplify, walk


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
    over = (*root.axes, *primed)
    if not inner:
        return simplify(_replaced(change, tangent, Constant(1.0, shared), ()))[0]
    identity: Node = Delta(*inner[0])
    if len(leaf.axes) > 1:
        ones = (Constant(1.0, shared),) if shared else ()
        identity = Contract((*(Delta(*pair) for pair in inner), *ones), leaf.axes + primed)
    whole = _replaced(change, tangent, identity, primed)
    missing = tuple(axis for axis in primed if axis not in whole.axes)
    factors = (whole, Constant(1.0, missing)) if missing else (whole,)
    return simplify(Contract(factors, over))[0]


def _free(axis: Axis, taken: set[Axis]) -> Axis:
    """The axis, primed until nothing has it; it is taken from then on."""
    primed = axis.primed
    while primed in taken:
        primed = primed.primed
    taken.add(primed)
    return primed


def _replaced(root: Node, old: Node, new: Node, more: Axes) -> Node:
    """The root with a node replaced by one that has more axes, which everything above keeps."""
    done: dict[Node, Node] = {old: new}
    for node in walk((root,)):
        if node in done:
            continue
        args = tuple(done[arg] for arg in node.args)
        if isinstance(node, Contract):
            carried = {axis for arg in args for axis in arg.axes}
            done[node] = Contract(args, (*node.over, *(a for a in more if a in carried)))
        else:
            done[node] = node.rebuild(args)
    return done[root]
