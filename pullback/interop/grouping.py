"""Axes put together and apart, read from nodes."""

from __future__ import annotations

from dataclasses import dataclass

from pullback.ir import Axes, Axis, Contract, Index, Node, Pattern


@dataclass(frozen=True)
class Grouping:
    """A tensor in which ``one`` axis stands for ``many``, or the other way round."""

    arg: Node
    one: Axis
    many: Axes

    @property
    def merges(self) -> bool:
        """Are several axes put together?"""
        return self.one not in self.arg.axes

    @property
    def order(self) -> Axes:
        """The axes that come in; those that are put together stand side by side."""
        if not self.merges:
            return self.arg.axes
        at = self.arg.axes.index(self.many[0])
        rest = [axis for axis in self.arg.axes if axis not in self.many]
        return (*rest[:at], *self.many, *rest[at:])

    @property
    def at(self) -> int:
        """Where they stand."""
        return self.order.index(self.many[0] if self.merges else self.one)

    @property
    def out(self) -> Axes:
        """The axes that go out."""
        old, new = (self.many, (self.one,)) if self.merges else ((self.one,), self.many)
        return (*self.order[: self.at], *new, *self.order[self.at + len(old) :])


def grouping(node: Node) -> Grouping | None:
    """What a node puts together or apart, if that is all it does."""
    if not isinstance(node, Contract) or len(node.factors) != 2:
        return None
    patterns = [factor for factor in node.factors if isinstance(factor, Pattern)]
    args = [factor for factor in node.factors if not isinstance(factor, Pattern)]
    if len(patterns) != 1 or patterns[0].ranges or len(patterns[0].over) < 3:
        return None
    one, *many = patterns[0].over
    together, size = Index(), 1
    for axis in many:
        together, size = (axis.size or 0) * together + Index.on(axis), size * (axis.size or 0)
    if one.size != size or patterns[0].solved(one) != together:
        return None
    here, there = {*args[0].axes}, {*node.over}
    if (here - there, there - here) not in (({one}, {*many}), ({*many}, {one})):
        return None
    return Grouping(args[0], one, tuple(many))
