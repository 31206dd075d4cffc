"""Renames at the leaves: below one, products and sums open into those around it, and terms meet.

X + Rename(Xᵀ-like) cannot be seen to be 2 X while the renaming stands outside of a sum or product.
"""

from __future__ import annotations

from collections.abc import Iterable

from pullback.ir.axis import Axes, Axis
from pullback.ir.build import with_axes
from pullback.ir.kinds import Add, Contract, Map, Rename
from pullback.ir.node import Node, uses, walk
from pullback.ir.normal.contraction import renaming

Names = dict[Axis, Axis]


def sunk(roots: tuple[Node, ...]) -> tuple[Node, ...]:
    """The roots with each renaming moved down through what is used only there.

    >>> from pullback.ir import Input
    >>> n, m = Axis("n"), Axis("m")
    >>> x, y = Input("x", (n,)), Input("y", (n,))
    >>> sunk((Rename(Add((x, y)), ((n, m),)),))[0].terms[0]
    Rename((m))
    """
    order = list(walk(roots))
    if not any(
        isinstance(node, Rename) and _opens(node.arg) and _keeps_sizes(node) for node in order
    ):
        return roots
    count = uses(roots)
    pending: dict[Node, Names] = {}
    below: dict[Node, Names] = {}  # what the axes of the arguments become
    for node in reversed(order):
        names = pending.get(node, {})
        if isinstance(node, Rename) and not _keeps_sizes(node):
            names = {}  # what it says of lengths has to be checked where it stands
        elif isinstance(node, Rename):
            after = {old: names.get(new, new) for old, new in node.names}
            names = {axis: to for axis in node.arg.axes if (to := after.get(axis, names.get(axis)))}
        elif isinstance(node, Contract):
            names |= dict(_apart(node, names))
        below[node] = names
        for arg in node.args if names else ():
            if count[arg] == 1 and (_opens(arg) or isinstance(arg, Rename)):
                pending[arg] = _of(names, arg.axes)
    built: dict[Node, Node] = {}
    for node in order:
        names = below[node]
        args = tuple(
            built[arg] if arg in pending else _renamed(built[arg], _of(names, arg.axes))
            for arg in node.args
        )
        if isinstance(node, Rename) and not _keeps_sizes(node):
            after = pending.get(node, {})
            own = {old: after.get(new, new) for old, new in node.names}
            built[node] = _renamed(args[0], _of(after, node.arg.axes) | own)
        else:
            built[node] = _rebuilt(node, args, names)
    return tuple(built[root] for root in roots)


def _keeps_sizes(node: Rename) -> bool:
    return all(old.size == new.size for old, new in node.names)


def _opens(node: Node) -> bool:
    return isinstance(node, (Contract, Add, Map))


def _of(names: Names, axes: Axes) -> Names:
    return {axis: names[axis] for axis in axes if axis in names}


def _apart(node: Contract, names: Names) -> Iterable[tuple[Axis, Axis]]:
    """New names for summed axes that would meet the names which others get."""
    taken = {*node.over, *node.summed, *names.values()}
    for axis in node.summed:
        if axis in names.values():
            new = axis.primed
            while new in taken:
                new = new.primed
            taken.add(new)
            yield axis, new


def _renamed(node: Node, names: Names) -> Node:
    return renaming(node, tuple(names.items())) if names else node


def _rebuilt(node: Node, args: tuple[Node, ...], names: Names) -> Node:
    if isinstance(node, Rename):
        return args[0]
    axes = tuple(names.get(axis, axis) for axis in node.axes)
    if isinstance(node, Contract):
        return Contract(args, axes)
    if args == node.args:
        return node
    # a sum's operands are sorted, so its axes may stand in another order than before
    return with_axes(node.rebuild(args), axes) if _opens(node) else node.rebuild(args)
