"""What each parameter does where it is used: δ ⊗ a, and what follows from it.

A use is an equation z (batch, …) that reads a parameter, or something made of parameters alone: a
renaming, a slice. ∂z/∂p is held as its tensor, a for z = W a, and never along the axes that z and
p have in common. With G (outputs, z), the Jacobian of the output with respect to z, the block of
the parameter is G times that tensor, summed over the axes of z that p has not: G ⊗ a for a weight
over (batch, in), its sum over the tokens for one over (batch, tokens, in), G for a bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from pullback.calculus import LinearMap
from pullback.ir import Node, Parameter
from pullback.plan.jacobian.bind import Numbers
from pullback.plan.jacobian.local import Stage
from pullback.plan.jacobian.operators import Array, Operator

_BATCH, _ROW, _COLUMN, _FIRST = range(4)  # indices of np.einsum; axes have the next ones
_BY_BLAS = 2**14  # so many products are worth a call of the matrix product


@dataclass(frozen=True, eq=False)
class Reading:
    """How an equation z reads a parameter p: what is known of a use before there are numbers.

    ``inner`` leads from p to w, which z reads; axes of z and of w that are tied are one index.
    """

    node: Node
    link: LinearMap
    inner: tuple[Stage, ...]
    columns: slice  # of the parameter in the vector of all
    z: tuple[int, ...]  # the indices of the axes of z
    w: tuple[int, ...]
    lengths: dict[int, int]
    turn: tuple[int, ...]  # the axes of the tensor, then what it is the same along, in order
    along: tuple[int, ...]
    repeated: tuple[int, ...]

    @classmethod
    def of(
        cls, numbers: Numbers, node: Node, leaf: Parameter, arg: Node, link: LinearMap, start: int
    ) -> Reading:
        """Read off the axes of a local Jacobian."""
        over, size = numbers.features(node), numbers.size(leaf.axes)
        index = {axis: _FIRST + at for at, axis in enumerate(over)}
        z = tuple(index.values())
        index |= {axis: index[out] for axis, out in link.ties}
        called = dict(link.names)
        inner_axes = tuple(called.get(axis, axis) for axis in arg.axes)
        for axis in inner_axes:
            index.setdefault(axis, _FIRST + len(index))
        w = tuple(index[axis] for axis in inner_axes)
        _, axes = numbers.tensor(link)
        held = [_BATCH if axis == numbers.batch else index[axis] for axis in axes]
        # what only z or only p has, and the tensor has not, is the same all along that axis
        same = [i for i in dict.fromkeys(z + w) if (i in z) != (i in w) and i not in held]
        lengths = {index[axis]: numbers.size((axis,)) for axis in (*over, *inner_axes)}
        along = [*held, *same]
        turn = tuple(sorted(range(len(along)), key=along.__getitem__))
        inner = () if arg is leaf else numbers.local.chain(leaf, arg)
        repeated = tuple(lengths[i] for i in same)
        columns, order = slice(start, start + size), tuple(sorted(along))
        return cls(node, link, inner, columns, z, w, lengths, turn, order, repeated)

    def at(self, numbers: Numbers) -> Use:
        """The use with its numbers."""
        value, _ = numbers.tensor(self.link)
        if self.repeated:
            thin = value.reshape(value.shape + (1,) * len(self.repeated))
            value = np.broadcast_to(thin, value.shape + self.repeated)
        return Use(self, value.transpose(self.turn), numbers.chain(self.inner))

    @cached_property
    def is_plain(self) -> bool:
        """Is the block Σ over places of G ⊗ a, with z (places, out) and p (out, in)?"""
        out = tuple(i for i in self.z if i in self.w)
        places = tuple(i for i in self.z if i not in self.w)
        return (
            not self.inner
            and (self.z, self.w[: len(out)]) == (places + out, out)
            and not set(out) & set(self.along)
        )

    @cached_property
    def sizes(self) -> tuple[int, int, int]:
        """How many places of z are summed over, and how many entries of G and of a each has."""
        places = prod(self.lengths[i] for i in self.z if i not in self.w)
        out = prod(self.lengths[i] for i in self.z if i in self.w)
        return places, out, (self.columns.stop - self.columns.start) // out

    @cached_property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Those of z without the batch, and of w."""
        z, w = (tuple(self.lengths[i] for i in axes) for axes in (self.z, self.w))
        return z, w


@dataclass(frozen=True, eq=False)
class Use:
    """∂z/∂p of one use of one parameter at a batch; ``local`` lies over the reading's ``along``."""

    reading: Reading
    local: Array
    inner: tuple[Operator, ...]

    @property
    def a(self) -> Array:
        """Of a plain one a (batch, places, in), or (1, …) where samples share it."""
        lead = len(self.local) if _BATCH in self.reading.along else 1
        return self.local.reshape(lead, self.reading.sizes[0], -1)

    def by_place(self, G: Array) -> Array:
        """G (batch, outputs, places, out), or (1, …) where it is the same for all samples."""
        return G.reshape(*G.shape[-3:-2] or (1,), G.shape[-2], *self.reading.sizes[:2])

    def push(self, V: Array) -> Array:
        """The change of z ([batch,] z, k) for changes of all parameters (all, k)."""
        part, reading = V[self.reading.columns], self.reading
        columns = V.shape[1]
        if reading.is_plain:
            places, out, n_in = reading.sizes
            moved = np.tensordot(self.a, part.reshape(out, n_in, columns), (2, 1))
            return moved.reshape(-1, places * out, columns)
        for operator in self.inner:
            part = operator.apply(part)
        z, w = reading.shapes
        batch = (_BATCH,) if _BATCH in reading.along else ()
        moved = self._einsum(
            part.reshape(*w, columns), (*reading.w, _COLUMN), (*batch, *reading.z, _COLUMN)
        )
        return moved.reshape(-1, prod(z), columns)

    def pull(self, delta: Array, into: Array) -> None:
        """Add what cotangents δ of z (batch, z, k) are for this parameter to (all, k)."""
        columns, reading = delta.shape[-1], self.reading
        if reading.is_plain:
            places, out, _ = reading.sizes
            a, part = self.a, delta.reshape(-1, places, out, columns)
            if len(a) == 1:
                part = part.sum(axis=0, keepdims=True)
            found = np.tensordot(part, a, ((0, 1), (0, 1))).swapaxes(1, 2).reshape(-1, columns)
        else:
            z, _ = reading.shapes
            part = delta.reshape(len(delta), *z, columns)
            found = self._einsum(part, (_BATCH, *reading.z, _COLUMN), (*reading.w, _COLUMN))
            found = found.reshape(-1, columns)
            for operator in reversed(self.inner):
                found = operator.T.apply(found)
        into[reading.columns] += found

    def fill(self, G: Array, into: Array) -> None:
        """Add the block, written out, to this parameter's columns (batch, outputs, size)."""
        reading, outputs = self.reading, G.shape[-2]
        if reading.is_plain:
            part, a = self.by_place(G), self.a
            if reading.sizes[0] == 1:
                block = part[:, :, 0, :, None] * a[:, :, None, :]
            else:
                rows = part.swapaxes(2, 3).reshape(len(part), -1, reading.sizes[0])
                block = rows @ a
            into += block.reshape(-1, outputs, into.shape[-1])
            return
        z, _ = reading.shapes
        lead = (_BATCH,) if G.ndim == 3 else ()
        batch = (_BATCH,) if lead or _BATCH in reading.along else ()
        part = G.reshape(*G.shape[:-1], *z)
        block = self._einsum(part, (*lead, _ROW, *reading.z), (*batch, _ROW, *reading.w))
        block = block.reshape(*block.shape[: len(batch)], outputs, -1)
        for operator in reversed(self.inner):
            block = np.swapaxes(operator.T.apply(np.swapaxes(block, -1, -2)), -1, -2)
        into += block

    def norms(self, G: Array, into: Array) -> None:
        """Add Σ over samples and outputs of (G ⊗ a)² to a vector (all), for a plain one."""
        squares, a = np.square(G).sum(axis=1), np.square(self.a[:, 0])
        if len(a) == 1:
            squares = squares.sum(axis=0, keepdims=True)
        into[self.reading.columns] += (squares.T @ a).ravel()

    def _einsum(self, other: Array, by: tuple[int, ...], out: tuple[int, ...]) -> Array:
        """Its tensor times another, summed over the indices that are not wanted."""
        one, along = self.local, self.reading.along
        operands: tuple[Any, ...] = (one, list(along), other, list(by), list(out))
        return np.asarray(np.einsum(*operands, optimize=one.size * other.size > _BY_BLAS))
