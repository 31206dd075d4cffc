"""Where numbers stand, as products with patterns: windows, parts, axes put together and apart."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from pullback.errors import AxisError
from pullback.ir.axis import Axes, Axis, show
from pullback.ir.build import add
from pullback.ir.kinds import Contract
from pullback.ir.node import Node
from pullback.ir.pattern import Index, Pattern, Range


def window(
    axis: Axis, out: Axis, tap: Axis, stride: int = 1, dilation: int = 1, padding: int = 0
) -> Pattern:
    """The windows along an axis: index = stride · out + dilation · tap − padding.

    An index outside the axis is no entry, so zeros around it need not be there.

    >>> from pullback.ir import Input, Parameter
    >>> h, o, t = Axis("height", 5), Axis("out", 5), Axis("tap", 3)
    >>> x, W = Input("x", (h,)), Parameter("W", (t,))
    >>> Contract((x, window(h, o, t, padding=1), W), (o,)).axes
    (out=5,)
    """
    place = stride * Index.on(out) + dilation * Index.on(tap) - padding
    return Pattern((axis, out, tap), (Index.on(axis) - place,))


def merged(node: Node, axes: Axes, into: Axis) -> Node:
    """Some axes as one, the last of them the fastest: it stands where the first of them stood.

    Raises AxisError where the lengths do not fit.

    >>> from pullback.ir import Input
    >>> n, c, h = Axis("batch"), Axis("channels", 2), Axis("height", 3)
    >>> merged(Input("x", (n, c, h)), (c, h), Axis("features", 6)).axes
    (batch, features=6)
    """
    place = _digits(axes, into)
    over = [into if axis == axes[0] else axis for axis in node.axes]
    kept = tuple(axis for axis in over if axis not in axes)
    return Contract((node, Pattern((into, *axes), (Index.on(into) - place,))), kept)


def split(node: Node, axis: Axis, into: Axes) -> Node:
    """One axis as several, the last of them the fastest, in its place.

    Raises AxisError where the lengths do not fit.
    """
    place, at = _digits(into, axis), node.axes.index(axis)
    over = (*node.axes[:at], *into, *node.axes[at + 1 :])
    return Contract((node, Pattern((axis, *into), (Index.on(axis) - place,))), over)


def _digits(axes: Axes, one: Axis) -> Index:
    """The index on the one axis that some axes are together."""
    sizes = [axis.size for axis in axes]
    if one.size is None or None in sizes or prod(size or 0 for size in sizes) != one.size:
        raise AxisError(f"{show(axes)} together are not as long as {one!r}")
    place = Index()
    for axis in axes:
        place = (axis.size or 0) * place + Index.on(axis)
    return place


def taken(node: Node, axis: Axis, into: Axis, start: int = 0, step: int = 1) -> Node:
    """The entries start, start + step, … along an axis, as many as the new axis is long.

    Raises AxisError where there are not as many. A step of −1 turns the axis round.

    >>> from pullback.ir import Input
    >>> taken(Input("x", (Axis("h", 5),)), Axis("h", 5), Axis("even", 3), step=2).axes
    (even=3,)
    """
    place = step * Index.on(into) + start
    least, largest = place.bounds()
    if axis.size is not None and (least < 0 or largest >= axis.size):
        raise AxisError(f"{into!r} reaches from {least} to {largest} on {axis!r}")
    over = tuple(into if each == axis else each for each in node.axes)
    return Contract((node, Pattern((axis, into), (Index.on(axis) - place,))), over)


def placed(node: Node, axis: Axis, into: Axis, start: int = 0, step: int = 1) -> Node:
    """The tensor among zeros: its entries along an axis at start, start + step, … of another.

    Entries that would stand outside are dropped.
    """
    place = step * Index.on(axis) + start
    over = tuple(into if each == axis else each for each in node.axes)
    return Contract((node, Pattern((axis, into), (Index.on(into) - place,))), over)


def joined(parts: Sequence[tuple[Node, Axis]], into: Axis) -> Node:
    """Tensors one behind the other: each with its own axis, which is a stretch of the new one.

    Raises AxisError where their lengths together are not the new one's.

    >>> from pullback.ir import Input
    >>> a, b = Axis("a", 2), Axis("b", 3)
    >>> joined([(Input("x", (a,)), a), (Input("y", (b,)), b)], Axis("both", 5)).axes
    (both=5,)
    """
    starts = [sum(axis.size or 0 for _, axis in parts[:at]) for at in range(len(parts) + 1)]
    if starts[-1] != into.size:
        raise AxisError(f"the parts of {into!r} have {starts[-1]} entries together")
    terms = (placed(node, axis, into, at) for (node, axis), at in zip(parts, starts, strict=False))
    return add(*terms)


def earlier(key: Axis, query: Axis, most: int | None = None) -> Pattern:
    """1 where a key does not stand behind the query, and at most so many places before it."""
    return Pattern((query, key), (), (Range(Index.on(query) - Index.on(key), 0, most),))
