"""A program that jax's devices run together: each has its part of one axis."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from pullback.interop.extras import library
from pullback.ir import Axes, Axis, Input, Node, Parameter, walk
from pullback.net.program import Array, Arrays
from pullback.train.jax.gradient import emitted
from pullback.train.jax.hosts import meeting
from pullback.train.jax.placement import Placement


class DeviceProgram:
    """Roots computed on several devices, cut up along an axis that each root keeps.

    The leaves named in ``whole`` are not cut up, but lie on each device as they are.
    It is called as a program of NumPy is, and gives whole arrays of NumPy. What does not go evenly
    is filled up with the last entry, which is then left out. Of several processes all make the same
    calls with the same arrays.
    """

    def __init__(
        self,
        roots: Mapping[str, Node],
        leaves: Sequence[Input | Parameter],
        axis: Axis,
        placement: Placement,
        whole: Collection[str] = (),
    ) -> None:
        self._placement, self._axis, self._uncut = placement, axis, whole
        self._roots = {key: root.axes for key, root in roots.items()}
        nodes = [*leaves, *walk(roots.values())]
        held = {n.name: n for n in nodes if isinstance(n, (Input, Parameter))}
        self._leaves: dict[str, Axes] = {name: leaf.axes for name, leaf in held.items()}
        _, run = emitted("part", roots, leaves)
        self._run = library("jax", "jax").jit(run)

    def __call__(self, parameters: Arrays, inputs: Arrays) -> dict[str, Array]:
        """The roots by key."""
        given = {name: np.asarray({**parameters, **inputs}[name]) for name in self._leaves}
        along = {name: axes.index(self._axis) for name, axes in self._leaves.items()
                 if self._axis in axes}  # fmt: skip
        (count,) = {given[name].shape[at] for name, at in along.items()}
        more = -count % self._placement.size
        for name, at in along.items():
            spare = [(0, more if place == at else 0) for place in range(given[name].ndim)]
            given[name] = np.pad(given[name], spare, "edge")
        real = np.result_type(*(each for each in given.values() if each.dtype.kind == "f"))
        wide = library("jax", "jax").enable_x64(True) if real == np.float64 else nullcontext()
        with wide, meeting(self._placement.member):
            placed = {name: self._put(name, each) for name, each in given.items()}
            found = self._run(placed, placed)
            whole = {key: self._placement.get(each) for key, each in found.items()}
        return {key: self._cut(whole[key], axes, count) for key, axes in self._roots.items()}

    def release(self) -> None:
        """Nothing is kept between runs."""

    def _put(self, name: str, value: Array) -> Any:
        place = self._placement
        cut = place.along(self._leaves[name], self._axis)
        return place.put(value, place.whole if name in self._uncut else cut)

    def _cut(self, value: Array, axes: Axes, count: int) -> Array:
        return value.take(np.arange(count), axes.index(self._axis)) if self._axis in axes else value
