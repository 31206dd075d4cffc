"""Slices by named axis: x[1:] is a product with some rows of an identity matrix.

So a slice needs no rule of its own: its pullback is the product with the same matrix. The axis of
a slice is named by what is missing of it, so that x[1:] and x[:-1] stand on one axis.
"""

from __future__ import annotations

from pullback.errors import AxisError
from pullback.ir.axis import Axes, Axis
from pullback.ir.node import Contract, Node, Selection


def pick(node: Node, axis: Axis, start: int | None, stop: int | None) -> Node:
    """The entries ``start:stop`` along one axis.

    >>> from pullback.ir import Input
    >>> x = Input("x", (Axis("n"),))
    >>> pick(x, x.axes[0], 1, None).axes == pick(x, x.axes[0], None, -1).axes
    True
    """
    row = _axis_of_slice(axis, start or 0, stop)
    if row == axis:
        return node
    over = tuple(row if each == axis else each for each in node.axes)
    return Contract((node, Selection(row, axis, start, stop)), over)


def entry(node: Node, axis: Axis, at: int) -> Node:
    """One entry along an axis, which is then gone."""
    stop = at + 1 if at != -1 else None
    row = Axis(f"{axis.name}[{at}]", 1)
    over: Axes = tuple(each for each in node.axes if each != axis)
    return Contract((node, Selection(row, axis, at, stop)), over)


def _axis_of_slice(axis: Axis, start: int, stop: int | None) -> Axis:
    if axis.size is not None:
        length = len(range(axis.size)[start:stop])
        if not length:
            raise AxisError(
                f"nothing of {axis} is left by [{start}:{'' if stop is None else stop}]"
            )
        return axis if length == axis.size else Axis(f"{axis.name}:{length}", length)
    if stop is None and start < 0:
        return Axis(f"{axis.name}:{-start}", -start)
    if stop is None or stop < 0 <= start:
        missing = start - (stop or 0)
        return Axis(f"{axis.name}-{missing}") if missing else axis
    if (start < 0) == (stop < 0):
        if stop <= start:
            raise AxisError(f"nothing of {axis} is left by [{start}:{stop}]")
        return Axis(f"{axis.name}:{stop - start}", stop - start)
    raise AxisError(f"the length of [{start}:{stop}] depends on that of {axis.name!r}")
