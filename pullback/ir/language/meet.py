"""Which tensors may stand side by side, entry by entry: one of them has the axes of all.

(n) + (n, d) broadcasts. (n) + (m) would set every entry of one against every entry of the other,
which is hardly ever meant; who means it writes ``outer`` or ``broadcast``.
"""

from __future__ import annotations

from collections.abc import Sequence

from pullback.ir.axis import Axes, show
from pullback.ir.node import Node
from pullback.ir.pick import Slices


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


def unmet(texts: tuple[str, str], a: Node, sign: str, b: Node, slices: Slices) -> str:
    """What is wrong between two operands, by their texts, that do not meet; and how to go on."""
    mine, theirs = lonely(a, b), lonely(b, a)
    between = f" {sign} " if sign in ("+", "-", "*", "/", "**") else " and "
    rename = _renaming(texts[1], theirs, mine, slices) or _renaming(texts[0], mine, theirs, slices)
    names = " ".join(axis.name for axis in mine)
    pairs = f"broadcast({texts[1]}, {names!r})"
    if sign == "*" and not set(a.axes) & set(b.axes):
        pairs = f"outer({texts[0]}, {texts[1]})"
    elif sign == "*" and a.axes[-1] == b.axes[-2:][0]:
        pairs += "; a matrix product is written @"
    does = "does" if len(mine) == 1 else "do"
    return (
        f"{show(a.axes)}{between}{show(b.axes)}: {_extents(mine, slices)} {does} not meet "
        f"{_extents(theirs, slices)}. If they are one axis, give them one name{rename}; for every "
        f"entry of one with every entry of the other, an outer operation, write {pairs}"
    )


def _extents(axes: Axes, slices: Slices) -> str:
    return " and ".join(
        repr(axis.name) if slices.of(axis).base == axis else str(slices.of(axis)) for axis in axes
    )


def _renaming(text: str, old: Axes, new: Axes, slices: Slices) -> str:
    """How to rename a text's axis, where there is one on each side and the new one is whole."""
    if len(old) == len(new) == 1 and new[0].name.isidentifier():
        return f", as rename({text}, {slices.of(old[0]).base.name}={new[0].name!r}) does"
    return ""
