"""A linear sweep as one tensor: its tangent is an identity, so the result is the whole matrix."""

from __future__ import annotations

from pullback.ir import Axes, Axis, Constant, Contract, Input, Node, identity, walk
from pullback.ir.lift import lifted

Pairs = tuple[tuple[Axis, Axis], ...]


def written_out(change: Node, tangent: Input, each: Axes = ()) -> tuple[Node, Pairs]:
    """What a change is of its tangent, entry by entry, and the new name of each tangent's axis.

    Along the axes of ``each`` an entry depends on those at its own place only; they are there once.
    """
    # axes of its own, primed, which the identity ties to those of the tangent
    taken = {axis for node in walk((change,)) for axis in node.axes}
    inner = tuple((axis, free_name(axis, taken)) for axis in tangent.axes if axis not in each)
    shared = tuple(axis for axis in tangent.axes if axis in each)
    tangents: Node = Constant(1.0, shared)
    if inner:
        ones = (Constant(1.0, shared),) if shared else ()
        over = (*tangent.axes, *(prime for _, prime in inner))
        tangents = Contract((*(identity(*pair) for pair in inner), *ones), over)
    (whole,) = lifted([change], {tangent: tangents}, last=True)
    return whole, inner


def free_name(axis: Axis, taken: set[Axis]) -> Axis:
    """The axis, primed until nothing has it; it is taken from then on."""
    primed = axis.primed
    while primed in taken:
        primed = primed.primed
    taken.add(primed)
    return primed
