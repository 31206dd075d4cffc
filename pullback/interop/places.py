"""Places along axes as arrays of whole numbers, counted in advance."""

from __future__ import annotations

from math import prod

import numpy as np

from pullback.interop.backend import Array
from pullback.ir import Axes, Axis, Index, Pattern


def counted(index: Index, grid: Axes) -> Array:
    """The number that an index is, for every place on the axes of a grid.

    >>> o, t = Axis("out", 2), Axis("tap", 3)
    >>> counted(2 * Index.on(o) + Index.on(t) - 1, (o, t)).tolist()
    [[-1, 0, 1], [1, 2, 3]]
    """
    found = np.full([axis.size or 0 for axis in grid], index.offset, np.int64)
    for axis, factor in index.terms:
        behind = len(grid) - 1 - grid.index(axis)
        found += factor * np.arange(axis.size or 0).reshape(-1, *[1] * behind)
    return found


def flat(index: Index, axis: Axis, beside: Axes) -> tuple[Index, int]:
    """The place in one row that some axes and another at the index are together; its length."""
    size = axis.size or 0
    for each in reversed(beside):
        index, size = index + size * Index.on(each), size * (each.size or 0)
    return index, size


def mask(pattern: Pattern) -> Array:
    """Where a pattern is 1."""
    grid = pattern.axes
    there = np.ones([axis.size or 0 for axis in grid], bool)
    for equation in pattern.equations:
        there &= counted(equation, grid) == 0
    for each in pattern.ranges:
        at = counted(each.index, grid)
        there &= (each.low is None or at >= each.low) & (each.high is None or at <= each.high)
    return there


def inverse(at: Array, length: int) -> Array | None:
    """For each place, which entry is put there; the number of entries where none is.

    None where two entries meet.
    """
    entries = at.ravel()
    if len(np.unique(entries)) < len(entries):
        return None
    found = np.full(length, entries.size, np.int64)
    found[entries] = np.arange(entries.size)
    return found


def run(at: Array) -> slice | None:
    """The slice that some places are, one behind the other, if they are one.

    >>> run(np.array([[5, 3], [1, -1]])), run(np.array([2, 4, 6])), run(np.array([2, 4, 5]))
    (None, slice(2, 7, 2), None)
    """
    places = at.ravel()
    step = int(places[1] - places[0]) if places.size > 1 else 1
    if not step or (places < 0).any() or (np.diff(places) != step).any():
        return None
    stop = int(places[-1]) + (1 if step > 0 else -1)
    return slice(int(places[0]), None if stop < 0 else stop, step)


def is_in_order(at: Array, length: int) -> bool:
    """Is every place there once, in order?"""
    return prod(at.shape) == length and bool((at.ravel() == np.arange(length)).all())
