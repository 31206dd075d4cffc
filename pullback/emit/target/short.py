"""Along a short axis NumPy is fastest entry by entry: each is one pass over all the lines."""

from __future__ import annotations

from pullback.emit.target.views import along
from pullback.emit.values import Hits, Places, Reduction
from pullback.ir import Axis

_LONGEST = 16


def is_short(axis: Axis) -> bool:
    """Are there so few entries that a pass for each is worth it?"""
    return axis.size is not None and axis.size <= _LONGEST


def largest(step: Reduction, array: str, axis: Axis) -> list[str]:
    """The largest entry along an axis, written to an array that the step's name calls."""
    name, arg = step.out.name, step.arg
    lines = [] if array == name else [f"{name} = {array}"]
    lines.append(f"{name}[...] = {arg.name}[{along(arg.axes, axis, '0')}]")
    entry = f"{arg.name}[{along(arg.axes, axis, 'i0')}]"
    return [
        *lines,
        f"for i0 in range(1, {axis.size}):",
        f"    np.maximum({name}, {entry}, out={name})",
    ]


def first_places(step: Places) -> list[str]:
    """Where the first largest entry along an axis is."""
    name, arg, axis = step.out.name, step.arg, step.axis
    entry = f"{arg.name}[{along(arg.axes, axis, 'i0')}]"
    return [
        f"top = {arg.name}[{along(arg.axes, axis, '0')}].copy()",
        f"{name} = np.zeros(top.shape, np.intp)",
        f"for i0 in range(1, {axis.size}):",
        f"    np.copyto({name}, i0, where={entry} > top)",
        f"    np.maximum(top, {entry}, out=top)",
    ]


def hits(step: Hits, array: str) -> list[str]:
    """Whether each place is the index."""
    name = step.out.name
    lines = [] if array == name else [f"{name} = {array}"]
    equal = f"np.equal({step.index.name}, i0, out={name}[..., i0], casting='unsafe')"
    return [*lines, f"for i0 in range({step.axis.size}):", f"    {equal}"]
