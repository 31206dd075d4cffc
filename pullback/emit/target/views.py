"""Parts and views of NumPy arrays, as source text."""

from __future__ import annotations

from pullback.emit.target.gemm import broadcast, turned
from pullback.emit.target.matrix import subscripts
from pullback.emit.values import Product, Value
from pullback.ir import Axes, Axis


def view(value: Value, axes: Axes) -> str:
    """The value turned and stretched so that NumPy broadcasts it along ``axes``."""
    have = tuple(axis for axis in axes if axis in value.axes)
    return turned(value.name, value.axes, have) + broadcast(axes, have)


def entries(step: Product) -> str:
    """A sum over products of entries: no axis is of one factor alone."""
    left, right, out = step.left, step.right, step.out
    if not out.axes:
        return f"np.vdot({left.name}, {view(right, left.axes)})"
    if left.axes == right.axes and out.axes == left.axes[:-1]:
        return f"np.vecdot({left.name}, {right.name}, out={{out}})"
    return f'np.einsum("{subscripts(step)}", {left.name}, {right.name}, out={{out}})'


def column(array: str, after: int) -> str:
    """An array with so many axes of length 1 behind its own."""
    return f"{array}[..., {', '.join(['None'] * after)}]" if after else array


def span(start: int | None, stop: int | None) -> str:
    """A slice of Python."""
    return ":".join("" if at is None else str(at) for at in (start, stop))


def entry(start: int | None) -> str:
    """The place of a slice of one entry."""
    return str(start or 0)


def along(axes: Axes, axis: Axis, cut: str) -> str:
    """The index that takes a cut along one axis."""
    return ", ".join(cut if each == axis else ":" for each in axes[: axes.index(axis) + 1])
