"""How long each axis is: what the arrays of the leaves say, and what follows for other axes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pullback.errors import ShapeError, UnknownNameError, nearest
from pullback.ir.axis import Axis, bind
from pullback.ir.kinds import Constant, Input, Parameter, Rename
from pullback.ir.node import Node
from pullback.ir.pattern import Pattern, Slice
from pullback.ir.stack import Stack

Shape = tuple[int, ...]


class Sizes(dict[Axis, int]):
    """The lengths of axes whose size is not their own; an axis n′ is as long as n."""

    def of(self, axis: Axis) -> int:
        """How long an axis is; raises ShapeError where nothing says it."""
        size = self.get(axis, self.get(axis.unprimed, axis.size))
        if size is None:
            raise ShapeError(f"the size of axis {axis.name!r} is not known: no input carries it")
        return size


def axis_sizes(nodes: Iterable[Node], shapes: Mapping[str, Shape]) -> Sizes:
    """The lengths of all axes of some nodes, arguments first, for leaves of these shapes.

    Raises UnknownNameError for a leaf without a shape, and ShapeError for one that does not fit its
    axes, for axes of two lengths that are one, and for slices that are empty or do not meet.

    >>> x = Input("x", (Axis("n"),))
    >>> axis_sizes([x, Rename(x, ((Axis("n"), Axis("m")),))], {"x": (3,)})
    {n: 3, m: 3}
    """
    sizes, order = Sizes(), tuple(nodes)
    for node in order:  # every leaf first: a constant may stand before the input that sizes it
        if isinstance(node, (Input, Parameter)):
            if node.name not in shapes:
                hint = nearest(node.name, shapes)
                raise UnknownNameError(f"no value is given for {node.name!r}: {hint}")
            bind(node.name, shapes[node.name], node.axes, sizes)
        elif isinstance(node, Rename):
            for old, new in node.names:
                if old in sizes:
                    sizes.setdefault(new, sizes[old])
    _learn(order, sizes)
    known, stacked = -1, any(isinstance(node, Stack) for node in order)
    while stacked and known < len(sizes):  # an axis that is made of axes that are made of others
        known = len(sizes)
        _learn(order, sizes)
    return sizes


def _learn(order: Iterable[Node], sizes: Sizes) -> None:
    for node in order:  # a slice of a slice stands behind it
        for part in (node, *node.args):
            if isinstance(part, Rename):
                _tie(part.names, sizes)
            elif isinstance(part, Pattern) and (rows := part.slice) is not None:
                _tie((rows.axes,), sizes) if rows.is_whole else _learn_slice(rows, sizes)
            elif isinstance(part, Stack):
                _learn_stack(part, sizes)


def measures(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """What some nodes say of lengths, as constants: slices, stacks, and axes that are as long.

    They stay true where the nodes are simplified or differentiated, and parts of them are gone.

    >>> x = Input("x", (Axis("n"),))
    >>> measures([Rename(x, ((Axis("n"), Axis("m")),))])
    (Rename((m)),)
    """
    found: dict[Node, None] = {}
    for node in nodes:
        if isinstance(node, Rename):
            pairs = [(old, new) for old, new in node.names if old.unprimed != new.unprimed]
            found |= {Rename(Constant(1.0, (old,)), ((old, new),)): None for old, new in pairs}
        elif isinstance(node, Stack) or (isinstance(node, Pattern) and node.slice is not None):
            found[node] = None
    return tuple(found)


def made_of(nodes: Iterable[Node], shapes: Mapping[str, Shape]) -> Sizes:
    """The lengths that follow from those of some leaves, where others are not known yet."""
    order = list(nodes)
    given = [n for n in order if not isinstance(n, (Input, Parameter)) or n.name in shapes]
    return axis_sizes(given, shapes)


def _learn_slice(node: Slice, sizes: Sizes) -> None:
    if node.column not in sizes:
        return
    length = len(node.picked(sizes.of(node.column)))
    expected = sizes.setdefault(node.row, node.row.size or length)
    if expected != length or length == 0:
        raise ShapeError(
            f"a slice of {node.column.name!r}={sizes.of(node.column)} has length {length}; "
            f"expected {expected or 'at least 1'}"
        )


def _learn_stack(node: Stack, sizes: Sizes) -> None:
    parts = [sizes.get(axis, sizes.get(axis.unprimed, axis.size)) for axis in node.parts]
    known = [size for size in parts if size is not None]
    if len(known) < len(parts):
        return
    length = node.length(known)
    if sizes.setdefault(node.whole, length) != length:
        raise ShapeError(
            f"axis {node.whole.name!r} has size {sizes[node.whole]}; what is stacked along it has "
            f"{' · '.join(map(str, known))} entries"
        )


def _tie(pairs: tuple[tuple[Axis, Axis], ...], sizes: Sizes) -> None:
    for old, new in pairs:
        size = sizes.get(old, sizes.get(old.unprimed, old.size))
        if size is not None and sizes.setdefault(new, size) != size:
            raise ShapeError(
                f"axes {old.name!r} and {new.name!r} have sizes {size} and {sizes[new]}; the "
                "expression needs them equal"
            )
