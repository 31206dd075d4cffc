"""Lifting: the same expression over leaves that have more axes, which everything above keeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pullback.ir.node import Node, walk


def lifted(
    roots: Iterable[Node], instead: Mapping[Node, Node], *, last: bool = False
) -> tuple[Node, ...]:
    """The roots with some nodes replaced by others, which may have more axes.

    Nothing is summed over a new axis: whatever carries one keeps it, in front of its own axes, or
    ``last`` of them.

    >>> from pullback.ir import Axis, Contract, Input, Parameter
    >>> i, o, draw = Axis("in", 3), Axis("out", 2), Axis("draw")
    >>> x, W = Input("x", (i,)), Parameter("W", (o, i))
    >>> (z,) = lifted([Contract((x, W), (o,))], {W: Parameter("W", (draw, o, i))})
    >>> z.axes
    (draw, out=2)
    """
    kept = list(roots)
    done = dict(instead)
    more = tuple(dict.fromkeys(axis for old, new in done.items() for axis in new.axes
                               if axis not in old.axes))  # fmt: skip
    for node in walk(kept, stop=instead):
        if node not in done:
            done[node] = node.lift(tuple(done[arg] for arg in node.args), more, last)
    return tuple(done[root] for root in kept)
