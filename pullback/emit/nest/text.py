"""Units as lines that people read."""

from __future__ import annotations

from dataclasses import replace

from pullback.emit.expression.printer import printed
from pullback.emit.expression.quote import variable
from pullback.emit.expression.scalar import PYTHON, scalar
from pullback.emit.nest.language import Multiply, Repeat, Statement, Unit, Windowed
from pullback.ir import Axes
from pullback.machine.window.geometry import Kind as WindowKind
from pullback.vmath.functions import OWN

_NAMES: dict[WindowKind, str] = {
    "convolution": "convolve",
    "weights": "convolve",
    "max_pool": "largest of windows",
    "sum_pool": "sums of windows",
    "max_pool_back": "back to the largest of windows",
    "sum_pool_back": "back to all of windows",
}
_FORMULA = replace(PYTHON, own=frozenset(OWN))


def text(unit: Unit) -> str:
    """A unit in one line: what it makes, and over which axes; one that repeats others has more.

    >>> from pullback.emit.nest.language import Nest
    >>> from pullback.emit.nest.layout import Spot
    >>> from pullback.ir import Axis, symbol
    >>> u = Axis("units", 3)
    >>> z, b = Spot("z", ((u, 1),)), Spot("b", ((u, 1),))
    >>> reads = ((symbol(0), z), (symbol(1), b))
    >>> text(Nest((u,), (), [Statement("z", z, symbol(0) + symbol(1), reads)]))
    'for units: z = z + b'
    """
    if isinstance(unit, Repeat):
        order = "from the last on" if unit.backward else "one after the other"
        return "\n    ".join([f"for {unit.along.name}, {order}:", *map(text, unit.units)])
    if isinstance(unit, Windowed):
        given = " ".join(place.array for place in unit.reads)
        return f"{_NAMES[unit.kernel]}: {unit.name} = {given}"
    if isinstance(unit, Multiply):
        product = f"{unit.name} = {unit.left.array} {unit.right.array}, {_over(unit.summed)}"
        return "; ".join([f"multiply: {product}", *(_line(each, ()) for each in unit.then)])
    lines = "; ".join(_line(each, unit.summed) for each in unit.statements)
    return f"for {_names(unit.axes)}: {lines}" if unit.axes else lines


def _line(statement: Statement, summed: Axes) -> str:
    names = {sym: variable(place.array or "inside") for sym, place in statement.reads}
    right = printed(scalar(statement.expr, names, _FORMULA))
    if statement.kind == "each":
        return f"{statement.name} = {right}"
    if statement.kind == "add":
        return f"{statement.name} += {right}"
    return f"{statement.name} = {statement.kind} of {right}, {_over(summed)}"


def _over(axes: Axes) -> str:
    return f"over {_names(axes)}"


def _names(axes: Axes) -> str:
    return ", ".join(axis.name for axis in axes)
