"""Building nodes the way formulas are written: sums, differences, means, scalar functions.

Broadcasting is by axis name. The axes of a result stand in the order of reading: those of the
operand with the most axes first, of equals the left one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pullback import ir
from pullback.errors import AxisError
from pullback.ir.axis import Axes, Axis, show, union
from pullback.ir.kinds import Add, Constant, Contract, Input, Map
from pullback.ir.node import Node
from pullback.ir.reduction import LogSumExp


def scalar_map(expr: Any, *args: Node) -> Map:
    """The SymPy expression over x0, x1, … at every place of the arguments.

    >>> scalar_map(ir.symbol(0) ** 2, ir.Input("z", (Axis("units"),))).axes
    (units,)
    """
    return Map(ir.Scalar.of(expr, len(args)), args)


def pointwise(function: Callable[..., Any], *args: Node) -> Node:
    """A function of SymPy's expressions at every place of the arguments.

    In an outline nobody asks it, so that SymPy need not be there: what stands for the result has
    its axes.

    >>> pointwise(lambda x, y: x * y**2, ir.Input("a", ()), ir.Input("b", ())).function
    x0*x1**2
    >>> x = ir.Input("x", (Axis("units"),), outline=True)
    >>> pointwise(lambda x: 1 / 0, x).axes
    (units,)
    """
    if any(arg.outlined for arg in args):
        return Input("outline", union(arg.axes for arg in args), outline=True)
    return scalar_map(function(*map(ir.symbol, range(len(args)))), *args)


def add(*terms: Node) -> Node:
    """The sum of the terms, with broadcasting."""
    return with_axes(Add(terms), union(term.axes for term in terms))


def subtract(a: Node, b: Node) -> Node:
    """a − b, with broadcasting."""
    return add(a, scale(-1.0, b))


def multiply(*factors: Node) -> Node:
    """The elementwise product, with broadcasting: nothing is summed."""
    return Contract(factors, union(factor.axes for factor in factors))


def scale(c: float, node: Node) -> Node:
    """The node times a number."""
    return Contract((Constant(c), node), node.axes)


def shares(node: Node, total: Node, where: Node | None = None) -> Node:
    """exp(node − total), and 0 where ``where`` is 0, whatever stands there."""
    if where is None:
        return pointwise(lambda x, top: ir.fn("exp")(x - top), node, total)
    return pointwise(
        lambda x, top, held: ir.Piecewise((ir.fn("exp")(x - top), held > 0), (0, True)),
        node, total, where,
    )  # fmt: skip


def softmax(node: Node, axis: Axis, where: Node | None = None) -> Node:
    """exp / Σ exp along one axis over the entries where ``where`` is not 0; where none is left, 0.

    >>> from pullback.ir import Input
    >>> from pullback.ir.evaluate import evaluate
    >>> i = Axis("i", 3)
    >>> s, w = Input("s", (i,)), Input("w", (i,))
    >>> evaluate(softmax(s, i, w), {"s": [1.0, 1e300, 1.0], "w": [1, 0, 1]})
    array([0.5, 0. , 0.5])
    """
    return shares(node, LogSumExp(node, axis, where), where)


def transpose(node: Node) -> Node:
    """The node with its two axes swapped; one with fewer axes is its own transpose."""
    if len(node.axes) > 2:
        raise AxisError(f"a transpose is of two axes, found {show(node.axes)}")
    return with_axes(node, node.axes[::-1])


def with_axes(node: Node, axes: Axes) -> Node:
    """The same tensor with its axes in this order."""
    return node if node.axes == axes else Contract((node,), axes)


def spread(node: Node, axes: Axes) -> Node:
    """The tensor with these axes in this order, the same along those that it lacks.

    >>> spread(ir.Input("b", (Axis("out"),)), (Axis("batch"), Axis("out"))).axes
    (batch, out)
    """
    missing = tuple(axis for axis in axes if axis not in node.axes)
    return Contract((node, Constant(1.0, missing)), axes) if missing else with_axes(node, axes)


def sum_over(node: Node, axes: Iterable[Axis]) -> Node:
    """The sum over some axes of the node."""
    return Contract((node,), without(node.axes, axes))


def mean_over(node: Node, axes: Iterable[Axis]) -> Node:
    """The mean over some axes of the node.

    >>> from pullback.ir import Input
    >>> from pullback.ir.evaluate import evaluate
    >>> n, d = Axis("n"), Axis("d", 2)
    >>> float(evaluate(mean_over(Input("X", (n, d)), (n, d)), {"X": [[1, 2], [3, 4], [5, 6]]}))
    3.5
    """
    over = tuple(axes)
    if node.outlined:
        return sum_over(node, over)
    shares = (scalar_map(1 / ir.symbol(0), size_of(axis)) for axis in over)
    return Contract((node, *shares), without(node.axes, over))


def size_of(axis: Axis) -> Node:
    """The length of an axis: a number, or Σ 1 where only the data will tell."""
    if axis.size is not None:
        return Constant(float(axis.size))
    return Contract((Constant(1.0, (axis,)),), ())


def without(axes: Axes, gone: Iterable[Axis]) -> Axes:
    """The axes that stay, in their order.

    >>> without((Axis("n"), Axis("d")), (Axis("n"),))
    (d,)
    """
    dropped = set(gone)
    return tuple(axis for axis in axes if axis not in dropped)
