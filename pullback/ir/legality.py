"""What a legal node is, as one table that is looked at whenever a node is built."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from pullback.errors import AxisError
from pullback.ir.axis import Axes, show

if TYPE_CHECKING:
    from collections.abc import Callable

    from pullback.ir.node import Node


def _distinct(axes: Axes) -> str | None:
    names = Counter(axis.name for axis in axes)
    twice = [name for name, count in names.items() if count > 1]
    if not twice:
        return None
    same = sorted({axis for axis in axes if axis.name == twice[0]}, key=repr)
    if len(same) > 1:
        return f"axis {twice[0]!r} has two sizes: {show(tuple(same))}"
    return f"axis {twice[0]!r} is used twice in {show(axes)}: rename one of them"


def _together(nodes: tuple[Node, ...]) -> str | None:
    """Axes of one name must be of one size across all the operands."""
    return _distinct(tuple({axis for node in nodes for axis in node.axes}))


def _leaf(node: Any) -> str | None:
    return _distinct(node.over) if node.name else "a leaf needs a name"


def _constant(node: Any) -> str | None:
    if math.isnan(node.value):
        return "a constant cannot be NaN"
    return _distinct(node.over)


def _delta(node: Any) -> str | None:
    if node.row.size != node.column.size:
        return f"{node.row} and {node.column} differ in size"
    return _distinct((node.row, node.column))


def _selection(node: Any) -> str | None:
    if node.column.size is not None and not len(node.picked(node.column.size)):
        return f"nothing of {show((node.column,))} is picked"
    return _distinct((node.row, node.column))


def _contract(node: Any) -> str | None:
    if not node.factors:
        return "a product needs at least one factor"
    have = {axis for factor in node.factors for axis in factor.axes}
    missing = tuple(axis for axis in node.over if axis not in have)
    if missing:
        return f"no factor carries the result's axes {show(missing)}"
    return _distinct(node.over) or _together(node.factors)


def _map(node: Any) -> str | None:
    if node.function.arity != len(node.args):
        return f"{node.function} takes {node.function.arity} arguments, found {len(node.args)}"
    return _together(node.args)


def _add(node: Any) -> str | None:
    return _together(node.terms) if node.terms else "a sum needs at least one term"


def _rename(node: Any) -> str | None:
    for old, new in node.names:
        if old not in node.arg.axes:
            return f"there is no axis {old} in {show(node.arg.axes)}"
        if old.size != new.size and None not in (old.size, new.size):
            return f"{old} and {new} differ in size"
    return _distinct(node.result_axes())


def _reduction(node: Any) -> str | None:
    if node.axis not in node.arg.axes:
        return f"there is no axis {node.axis} in {show(node.arg.axes)}"
    return None


def _named(node: Any) -> str | None:
    return None if node.name else "a name is empty"


TABLE: dict[str, Callable[[Any], str | None]] = {
    "Input": _leaf,
    "Parameter": _leaf,
    "Constant": _constant,
    "Delta": _delta,
    "Selection": _selection,
    "Contract": _contract,
    "Map": _map,
    "Add": _add,
    "Rename": _rename,
    "LogSumExp": _reduction,
    "Max": _reduction,
    "Named": _named,
}


def check(node: Node) -> None:
    """Raise AxisError, naming the node's kind and its axes, unless the node is legal."""
    kind = type(node).__name__
    fault = TABLE[kind](node)
    if fault:
        operands = ", ".join(show(arg.axes) for arg in node.args)
        raise AxisError(f"{kind}({operands}): {fault}" if operands else f"{kind}: {fault}")
