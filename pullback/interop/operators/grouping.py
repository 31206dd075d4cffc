"""Axes put together and apart: the same numbers in the same order under another shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import gcd, prod
from typing import Any

from pullback.errors import ConversionError, ShapeError
from pullback.interop.builder import Builder
from pullback.interop.rows import BATCH_SIZE, Batch
from pullback.interop.values import Dim, PlacedNode, axes_of, place_of
from pullback.ir import Axis, Contract, layout
from pullback.ir.axis import Axes


def reshaped(b: Builder, input: Any, *sizes: Any) -> PlacedNode:
    """The same numbers in the same order under another shape."""
    x = b.tensor(input)
    sizes = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple) else sizes
    return regrouped(b, x, _complete(b, x, list(sizes)))


def reshaped_as(b: Builder, input: Any, other: Any) -> PlacedNode:
    """The same numbers in the shape of another value."""
    return regrouped(b, b.tensor(input), b.shape_of(b.tensor(other)))


def flattened(b: Builder, input: Any, start_dim: int = 0, end_dim: int = -1) -> PlacedNode:
    """Some axes as one."""
    x = b.tensor(input)
    rank = len(x.dims)
    start, end = place_of(start_dim, rank), place_of(end_dim, rank)
    if end <= start:
        return x
    shape = b.shape_of(x)
    inside = prod(map(b.known, axes_of(x.dims[start : end + 1]))) if start else -1
    return reshaped(b, x, *shape[:start], inside, *shape[end + 1 :])


def unflattened(b: Builder, input: Any, dim: int, sizes: Any) -> PlacedNode:
    """One axis as several."""
    x = b.tensor(input)
    at = place_of(dim, len(x.dims))
    shape = b.shape_of(x)
    return reshaped(b, x, *shape[:at], *sizes, *shape[at + 1 :])


def _complete(b: Builder, x: PlacedNode, sizes: list[Any]) -> list[Any]:
    """The shape with what -1 stands for."""
    if not all(isinstance(size, (int, Batch)) or size is None for size in sizes):
        raise ConversionError("the shape that it makes is not known")
    old = list(b.shape_of(x))
    open_ = [at for at, size in enumerate(sizes) if size == -1]
    if len(old) == len(sizes) == 2 and sizes[0] in (BATCH_SIZE, -1) and old[0] == BATCH_SIZE:
        if old[1] is None and sizes[1] != -1:
            b.meet(axes_of(x.dims[1:])[0], sizes[1])
        if sizes[1] in (-1, old[1], None) or old[1] is None:
            return old
    if not open_:
        return sizes
    if len(open_) > 1:
        raise ConversionError("two lengths of its shape are open")
    has = any(isinstance(size, Batch) for size in old)
    asked = any(isinstance(size, Batch) for size in sizes)
    n = prod(b.known(axis) for axis in axes_of(x.dims) if axis != b.batch)
    m = prod(each.times if isinstance(each, Batch) else each for each in sizes if each != -1)
    if not m or n % m:
        raise ShapeError(f"{b.row.place} takes {m} features, but {n} come in")
    sizes[open_[0]] = Batch(n // m) if has and not asked else n // m
    return sizes


def regrouped(b: Builder, x: PlacedNode, sizes: Sequence[Any]) -> PlacedNode:
    """Axes put together and apart until they are as long as asked, in order.

    The batch and others in one place stay several axes: they are only counted as one.
    Raises ConversionError where the numbers are not as many, or samples would be cut.
    """
    shapes = f"it makes the shape {shown(sizes)} of {shown(b.shape_of(x))}"
    reading = _Regrouping(b, _without_ones(b, x), shapes)
    dims = tuple(reading.next(size) for size in sizes)
    if reading.left:
        raise ConversionError(shapes)
    return replace(reading.x, dims=dims)


def _without_ones(b: Builder, x: PlacedNode) -> PlacedNode:
    """The value without lengths of one."""
    ones = {axis for axis in axes_of(x.dims) if axis != b.batch and b.size(axis) == 1}
    axes = tuple(axis for axis in axes_of(x.dims) if axis not in ones)
    node = x.node
    if ones:
        node = Contract((node,), tuple(axis for axis in node.axes if axis not in ones))
    return replace(x, node=node, dims=axes)


class _Regrouping:
    """The axes that are left, from which one length after the other is made."""

    def __init__(self, b: Builder, x: PlacedNode, shapes: str) -> None:
        self.b, self.x, self.shapes = b, x, shapes
        self.left: list[Axis] = list(axes_of(x.dims))

    def next(self, size: Any) -> Dim:
        """The next place, as long as asked."""
        if size == 1:
            return None
        if self.left and self.b.length(self.left[0]) == size:  # an open length too
            return self.left.pop(0)
        if size is None:
            raise ConversionError(f"{self.shapes}, of which one is not known")
        wants = isinstance(size, Batch)
        times = size.times if isinstance(size, Batch) else size
        taken: list[Axis] = []
        while times > 1 or wants:
            if not self.left:
                raise ConversionError(self.shapes)
            axis = self.left.pop(0)
            if axis == self.b.batch:
                if not wants:
                    raise ConversionError(f"{self.shapes}, and mixes samples with others")
                wants = False
            else:
                axis = self._cut(axis, times)
                times //= self.b.known(axis)
            taken.append(axis)
        return self._together(taken)

    def _cut(self, axis: Axis, times: int) -> Axis:
        """An axis whose length divides so many, or what of it does."""
        n = self.b.known(axis)
        if times % n == 0:
            return axis
        if ((first := gcd(n, times)) > 1 and n % times == 0) or first == times:
            outer, inner = self.b.fresh("outer", times), self.b.fresh("inner", n // times)
            self.x = replace(self.x, node=layout.split(self.x.node, axis, (outer, inner)))
            self.left.insert(0, inner)
            return outer
        if not self.left or self.left[0] == self.b.batch:
            raise ConversionError(self.shapes)
        both = self._merged((axis, self.left.pop(0)))
        return self._cut(both, times)

    def _together(self, taken: list[Axis]) -> Dim:
        if len(taken) == 1:
            return taken[0]
        return tuple(taken) if self.b.batch in taken else self._merged(tuple(taken))

    def _merged(self, axes: Axes) -> Axis:
        both = self.b.fresh("merged", prod(map(self.b.known, axes)))
        self.x = replace(self.x, node=layout.merged(self.x.node, axes, both))
        return both


def shown(shape: Sequence[Any]) -> str:
    """A shape in words."""
    words = ("batch" if size == BATCH_SIZE else str(size) for size in shape)
    return f"({', '.join(words)})"


def repeated(b: Builder, input: Any, *times: Any) -> PlacedNode:
    """The numbers again and again along each axis, as tiles."""
    x = b.tensor(input)
    times = times[0] if len(times) == 1 and isinstance(times[0], tuple) else times
    x = x.seen((*(None,) * (len(times) - len(x.dims)), *x.dims))
    times = (*(1,) * (len(x.dims) - len(times)), *times)
    for at, count in enumerate(times):
        x = again(b, x, at, count, inside=False)
    return x


def repeated_each(b: Builder, input: Any, repeats: Any, dim: Any = None) -> PlacedNode:
    """Each entry along an axis so many times."""
    if dim is None or not isinstance(repeats, int):
        raise ConversionError("it repeats entries a different number of times, or all as one axis")
    x = b.tensor(input)
    return again(b, x, place_of(dim, len(x.dims)), repeats, inside=True)


def again(b: Builder, x: PlacedNode, at: int, count: Any, inside: bool) -> PlacedNode:
    """An axis so many times as long: all of it again, or each entry ``inside`` it."""
    if count == 1:
        return x
    if count == BATCH_SIZE and b.size(x.dims[at]) == 1 and b.batch not in axes_of(x.dims):
        return b.spread(x, at, b.batch)
    if not isinstance(count, int) or count < 1:
        raise ConversionError(f"it repeats an axis {count} times")
    if b.has_batch(x.dims[at]):
        raise ConversionError("it repeats samples")
    new = b.fresh("repeated", count)
    if b.size(x.dims[at]) == 1:
        return b.spread(x, at, new)
    x, axis = b.along(x, at)
    wide = b.spread(x.seen((*x.dims, None)), len(x.dims), new)
    both = b.fresh("merged", count * b.known(axis))
    axes = (axis, new) if inside else (new, axis)
    node = layout.merged(wide.node, axes, both)
    return replace(x, node=node, dims=(*x.dims[:at], both, *x.dims[at + 1 :]))
