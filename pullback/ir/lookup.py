"""Looking up by whole numbers, and a value that no slope passes."""

from __future__ import annotations

from dataclasses import dataclass

from pullback.ir.axis import Axes, Axis, distinct
from pullback.ir.kinds import Contract, Input, Named, Rename
from pullback.ir.node import Node, walk
from pullback.ir.pattern import Pattern
from pullback.ir.reduction import ArgMax


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class OneHot(Node):
    """1 where the place along an axis is the index, else 0; it has no slope.

    A product with it that is summed over ``axis`` looks up, ``table[index]``; one that keeps the
    axis and sums over those of the index adds up what belongs to each place.
    """

    index: Node
    axis: Axis

    @property
    def args(self) -> tuple[Node, ...]:
        return (self.index,)

    @property
    def moved_by(self) -> tuple[Node, ...]:
        return ()

    def result_axes(self) -> Axes:
        return (*self.index.axes, self.axis)

    def rebuild(self, args: tuple[Node, ...]) -> Node:
        return OneHot(args[0], self.axis)

    def fault(self) -> str | None:
        if not is_whole(self.index):
            return (
                "the index is not of whole numbers; expected an input such as 'tokens:index', or "
                "an ArgMax"
            )
        return distinct(self.result_axes())


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Detach(Node):
    """The same value, through which no cotangent and no tangent passes."""

    arg: Node

    @property
    def args(self) -> tuple[Node, ...]:
        return (self.arg,)

    @property
    def moved_by(self) -> tuple[Node, ...]:
        return ()

    def result_axes(self) -> Axes:
        return self.arg.axes

    def rebuild(self, args: tuple[Node, ...]) -> Node:
        return Detach(args[0])


def origin(node: Node) -> Node:
    """The node without names and renamings around it."""
    while isinstance(node, (Named, Rename)):
        node = node.arg
    return node


def is_whole(node: Node) -> bool:
    """Does it hold whole numbers by its kind: an input of them, or places?"""
    held = origin(node)
    return isinstance(held, ArgMax) or (isinstance(held, Input) and held.whole)


def index_sizes(*roots: Node) -> dict[str, int]:
    """For each input that looks something up, by name, how many places there are to look at."""
    sizes: dict[str, int] = {}
    for node in walk(roots):
        if isinstance(node, OneHot) and node.axis.size is not None:
            index = origin(node.index)
            if isinstance(index, Input):
                sizes[index.name] = min(node.axis.size, sizes.get(index.name, node.axis.size))
    return sizes


def index_limits(*roots: Node) -> list[tuple[str, Axis, tuple[int, ...]]]:
    """Where each column of an input looks up rows of its own: the column axis, and its limits.

    A pattern moves the places of a column along the rows of a table; from its limit on there is
    no row.
    """
    found = []
    for node in walk(roots):
        if not isinstance(node, Contract):
            continue
        hots = [each for each in node.factors if isinstance(each, OneHot)]
        moves = [each for each in node.factors if isinstance(each, Pattern)]
        for hot, move in ((h, m) for h in hots for m in moves if h.axis in m.axes):
            columns = [axis for axis in move.axes if axis in hot.index.axes]
            rows = [axis for axis in move.axes if axis not in (hot.axis, *columns)]
            step = move.solved(rows[0]) if len(rows) == len(columns) == 1 else None
            if step is None or not isinstance(hot.index, Input) or step.of(hot.axis) != 1:
                continue
            starts = (step.offset + step.of(columns[0]) * at for at in range(columns[0].size or 0))
            limits = tuple((rows[0].size or 0) - start for start in starts)
            found.append((hot.index.name, columns[0], limits))
    return found
