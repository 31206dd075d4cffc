"""Padding that is no zeros: stretches of what is there, placed around it."""

from __future__ import annotations

from collections.abc import Sequence

from pullback.errors import ShapeError
from pullback.ir import Axis, Constant, Contract, Named, Node
from pullback.ir.layout import joined, taken
from pullback.nn.block import Block
from pullback.nn.scope import Scope
from pullback.nn.sliding import new_axis

MODES = ("zeros", "circular", "reflect", "replicate")


def padded(block: Block, x: Node, around: Sequence[tuple[int, int]], mode: str, at: Scope) -> Named:
    """x (batch, channels, …) with so many entries before and after along each later axis.

    Raises ShapeError where an axis is too short for them.
    """
    for axis, (before, after) in zip(x.axes[2:], around, strict=True):
        length, most = axis.size or 0, max(before, after)
        longest = {"circular": length, "reflect": length - 1}.get(mode, most)
        if most > longest:
            raise ShapeError(
                f"{block!r}: padding of {most} along {axis!r}; {mode} padding has at most {longest}"
            )
        if before or after:
            x = _along(x, axis, before, after, mode, at)
    return at.a(x, "padded")


def _along(x: Node, axis: Axis, before: int, after: int, mode: str, at: Scope) -> Node:
    length = axis.size or 0
    parts = [(x, axis)]
    if before:
        first = Axis(f"{axis.name} before", before)
        parts.insert(0, (_stretch(x, axis, first, mode, length, ahead=True), first))
    if after:
        last = Axis(f"{axis.name} after", after)
        parts.append((_stretch(x, axis, last, mode, length, ahead=False), last))
    wide = new_axis(at, f"padded {axis.name}", length + before + after, x.axes)
    return joined(parts, wide)


def _stretch(x: Node, axis: Axis, into: Axis, mode: str, length: int, ahead: bool) -> Node:
    size = into.size or 0
    if mode == "circular":
        return taken(x, axis, into, length - size if ahead else 0)
    if mode == "reflect":  # without the edge itself
        return taken(x, axis, into, size if ahead else length - 2, step=-1)
    edge = Axis(f"{axis.name} edge", 1)
    one = taken(x, axis, edge, 0 if ahead else length - 1)
    over = tuple(into if each == axis else each for each in x.axes)
    return Contract((one, Constant(1.0, (into,))), over)
