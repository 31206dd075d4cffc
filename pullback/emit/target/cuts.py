"""What stands between the brackets of a NumPy index, as text."""

from __future__ import annotations

from pullback.ir import Axes, Axis


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
