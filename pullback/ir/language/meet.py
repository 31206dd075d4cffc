"""Which tensors may stand side by side, entry by entry: one of them has the axes of all.

(n) + (n, d) broadcasts. (n) + (m) would set every entry of one against every entry of the other,
which is hardly ever meant; who means it writes ``outer`` or ``broadcast``.
"""

from __future__ import annotations

from collections.abc import Sequence

from pullback.ir.axis import Axes
from pullback.ir.node import Node


def apart(nodes: Sequence[Node]) -> tuple[int, int] | None:
    """Two of the nodes that each have an axis which the other lacks; None if one has all axes.

    >>> from pullback.ir import Axis, Input
    >>> x, y = Input("x", (Axis("n"),)), Input("y", (Axis("m"),))
    >>> apart([x, y]), apart([x, Input("X", (Axis("n"), Axis("m"))), y])
    ((0, 1), None)
    """
    every = {axis.name for node in nodes for axis in node.axes}
    if any(len(every) == len(node.axes) for node in nodes):
        return None
    for j, right in enumerate(nodes):
        for i, left in enumerate(nodes[:j]):
            if lonely(left, right) and lonely(right, left):
                return i, j
    return None


def lonely(node: Node, other: Node) -> Axes:
    """The axes of a node that another lacks; two sizes of one name are another matter."""
    names = {axis.name for axis in other.axes}
    return tuple(axis for axis in node.axes if axis.name not in names)
