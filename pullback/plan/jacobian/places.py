"""Operators that do not mix places: one small matrix, or one pattern, that goes to each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from pullback.plan.chain.cost import Link
from pullback.plan.jacobian.operators import Array, SweptOperator
from pullback.plan.jacobian.windows import WindowedMap


@dataclass(frozen=True, eq=False)
class PlacesOperator(SweptOperator):
    """Matrices ([batch,] groups, out, in) at places that do not mix: I ⊗ W, A ⊗ I, not written out.

    ``into`` and ``onto`` name the axes of an argument and of a result; an axis of both is a place.
    ``groups`` are the places that have a matrix of their own, as the heads of attention; at all
    other places it is the same.
    """

    each: Array
    into: tuple[int, ...]
    onto: tuple[int, ...]
    groups: tuple[int, ...]
    lengths: Mapping[int, int]

    @property
    def rows(self) -> int:  # type: ignore[override]
        return self._count(self.onto)

    @property
    def cols(self) -> int:  # type: ignore[override]
        return self._count(self.into)

    @property
    def T(self) -> PlacesOperator:
        turned = np.swapaxes(self.each, -1, -2)
        return PlacesOperator(turned, self.onto, self.into, self.groups, self.lengths)

    def apply(self, columns: Array) -> Array:
        *lead, _, count = columns.shape
        before = (*self.groups, *self._apart(self.into), *self._same)
        after = (*self.groups, *self._apart(self.onto), *self._same)
        apart = columns.reshape(*lead, *self._shape(self.into), count)
        laid = self._turned(apart, self.into, before)
        grouped = laid.reshape(*lead, *self.each.shape[-3:-2], self.each.shape[-1], -1)
        found: Array = self.each @ grouped
        lead = list(found.shape[:-3])
        whole = found.reshape(*lead, *self._shape(after), count)
        return self._turned(whole, after, self.onto).reshape(*lead, -1, count)

    def dense(self, by_rows: bool = False) -> Array:
        lead, start = self.each.shape[:-3], len(self.lengths)
        rows = dict(zip(self.onto, range(len(self.onto)), strict=True))
        names = {axis: rows.get(axis, start + axis) for axis in self.into}
        whole = np.zeros((*lead, *self._shape(self.onto), *self._shape(self.into)), self.each.dtype)
        same, into, onto = self._same, self._apart(self.into), self._apart(self.onto)
        order = [
            *(rows[axis] for axis in (*same, *self.groups, *onto)),
            *(names[axis] for axis in into),
        ]
        at = [*rows.values(), *(names[axis] for axis in self.into)]
        entries = np.einsum(whole, [..., *at], [..., *order])  # a view: of each place with itself
        entries[...] = self.each.reshape(
            *lead, *(1 for _ in same), *self._shape((*self.groups, *onto, *into))
        )
        return whole.reshape(*lead, self.rows, self.cols)

    def link(self, name: str) -> Link:
        batch = len(self.each) if self.each.ndim > 3 else 1
        work = self.each.size * self._count(self._same)
        return Link(self.rows, self.cols, "dense", batch, name, work, batch * self.rows * self.cols)

    @property
    def _same(self) -> tuple[int, ...]:
        """The places at which the matrix is the same."""
        return tuple(a for a in self.into if a in self.onto and a not in self.groups)

    def _apart(self, axes: tuple[int, ...]) -> tuple[int, ...]:
        """Those that only the argument has, or only the result."""
        return tuple(axis for axis in axes if axis not in self.into or axis not in self.onto)

    def _count(self, axes: tuple[int, ...]) -> int:
        return prod(self._shape(axes))

    def _shape(self, axes: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(self.lengths[axis] for axis in axes)

    @staticmethod
    def _turned(array: Array, have: tuple[int, ...], want: tuple[int, ...]) -> Array:
        """An array ([batch,] axes…, k) with its axes in another order."""
        first = array.ndim - len(have) - 1
        order = (first + have.index(axis) for axis in want)
        return array.transpose(*range(first), *order, array.ndim - 1)


@dataclass(frozen=True, eq=False)
class PatternOperator(SweptOperator):
    """A small weight and the pattern of its windows: applied as a convolution is."""

    windows: WindowedMap
    parameters: Mapping[str, Array]
    dtype: np.dtype[Any]
    turned: bool = False

    @property
    def rows(self) -> int:  # type: ignore[override]
        return self.windows.size[self.turned]

    @property
    def cols(self) -> int:  # type: ignore[override]
        return self.windows.size[not self.turned]

    @property
    def T(self) -> PatternOperator:
        return PatternOperator(self.windows, self.parameters, self.dtype, not self.turned)

    def apply(self, columns: Array) -> Array:
        vectors = np.swapaxes(columns, -1, -2)
        flat = vectors.reshape(prod(vectors.shape[:-1]), self.cols)
        found = self.windows(self.parameters, flat, self.turned)
        return np.swapaxes(found.reshape(*vectors.shape[:-1], self.rows), -1, -2)

    def dense(self, by_rows: bool = False) -> Array:
        if self.rows < self.cols:
            return np.swapaxes(self.T.apply(np.eye(self.rows, dtype=self.dtype)), -1, -2)
        return self.apply(np.eye(self.cols, dtype=self.dtype))

    def link(self, name: str) -> Link:
        return Link(self.rows, self.cols, "dense", 1, name, self.windows.work)
