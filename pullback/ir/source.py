"""What an equation reads: nodes with a value of their own, at most with new names for some axes."""

from __future__ import annotations

from pullback.ir.kinds import Input, Named, Rename, inside
from pullback.ir.node import Node


def is_source(node: Node) -> bool:
    """Is it an equation or an input, which has a value of its own?"""
    return isinstance(node, (Named, Input))


def bare(node: Node) -> Node:
    """The node without renamings around it."""
    while isinstance(node, Rename):
        node = node.arg
    return node


def is_read(node: Node) -> bool:
    """Is it an equation or an input, at most with new names for some axes?

    Where axes take one another's names, as in a transpose, it is something else.
    """
    held = bare(node)
    pairs = zip(held.axes, node.axes, strict=True)
    return is_source(held) and all(old == new or new not in held.axes for old, new in pairs)


def sources(node: Node | None) -> tuple[Node, ...]:
    """The equations and inputs that a part of an equation reads."""
    if node is None or is_source(node):
        return () if node is None else (node,)
    return tuple(each for each in inside(Named("part", node)) if is_source(each))
