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
from pullback.plan.jacobian.operators import Array, Operator

_BATCH, _ROW, _COLUMN, _FIRST = range(4)  # indices of np.einsum; axes have the next ones
_BY_BLAS = 2**14  # so many products are worth a call of the matrix product


@dataclass(frozen=True, eq=False)
class Use:
    """∂z/∂p of one use of one parameter at a node z; ``inner`` leads from p to what z reads."""

    node: Node
    start: int  # where the parameter stands in the vector of all
    size: int
    inner: tuple[Operator, ...]
    local: Array  # over ``along``
    along: tuple[int, ...]
    z: tuple[int, ...]  # the indices of the axes of z
    w: tuple[int, ...]  # and of what it reads
    z_shape: tuple[int, ...]
    w_shape: tuple[int, ...]

    @classmethod
    def of(
        cls,
        numbers: Numbers,
        node: Node,
        leaf: Parameter,
        arg: Node,
        link: LinearMap,
        start: int,
    ) -> Use:
        """Read the tensor of a local Jacobian; axes of z and of p that are tied are one index."""
        value, axes = numbers.tensor(link)
        over = numbers.features(node)
        index = {axis: _FIRST + at for at, axis in enumerate(over)}
        z = tuple(index.values())
        index |= {axis: index[out] for axis, out in link.ties}
        for axis in arg.axes:
            index.setdefault(axis, _FIRST + len(index))
        w = tuple(index[axis] for axis in arg.axes)
        held = [_BATCH if axis == numbers.batch else index[axis] for axis in axes]
        # what only z or only p has, and the tensor has not, is the same all along that axis
        same = [i for i in dict.fromkeys(z + w) if (i in z) != (i in w) and i not in held]
        z_shape, w_shape = (
            tuple(numbers.size((axis,)) for axis in every) for every in (over, arg.axes)
        )
        sizes = dict(zip(z + w, z_shape + w_shape, strict=True))
        along = [*held, *same]
        thin = value.reshape(value.shape + (1,) * len(same))
        local = np.broadcast_to(thin, value.shape + tuple(sizes[i] for i in same))
        local = local.transpose(np.argsort(along)) if along else local
        inner = () if arg is leaf else numbers.chain(numbers.local.chain(leaf, arg))
        size = numbers.size(leaf.axes)
        return cls(node, start, size, inner, local, tuple(sorted(along)), z, w, z_shape, w_shape)

    @property
    def columns(self) -> slice:
        """The columns of the Jacobian that are this parameter's."""
        return slice(self.start, self.start + self.size)

    @property
    def is_apart(self) -> bool:
        """Is the block Σ over places of G ⊗ a, an identity along what z and p have in common?"""
        return not self.inner and not set(self.z) & set(self.w) & set(self.along)

    @cached_property
    def sizes(self) -> tuple[int, int, int]:
        """How many places of z are summed over, and how many entries of G and of a each has."""
        places = prod(n for i, n in zip(self.z, self.z_shape, strict=True) if i not in self.w)
        out = prod(self.z_shape) // places
        return places, out, self.size // out

    @property
    def a(self) -> Array:
        """Of a block that is apart: a (batch, places, in), or (1, …) where samples share it."""
        lead = len(self.local) if _BATCH in self.along else 1
        return self.local.reshape(lead, self.sizes[0], -1)

    def by_place(self, G: Array) -> Array:
        """G (batch, outputs, places, out), or (1, …) where it is the same for all samples."""
        part = G.reshape(*G.shape[-3:-2] or (1,), G.shape[-2], *self.z_shape)
        order = sorted(range(len(self.z)), key=lambda at: self.z[at] in self.w)
        turned = part.transpose(0, 1, *(2 + at for at in order))
        return turned.reshape(*part.shape[:2], *self.sizes[:2])

    def push(self, V: Array) -> Array:
        """The change of z ([batch,] z, k) for changes of all parameters (all, k)."""
        part = V[self.columns]
        for operator in self.inner:
            part = operator.apply(part)
        part = part.reshape(*self.w_shape, V.shape[1])
        batch = (_BATCH,) if _BATCH in self.along else ()
        out = _einsum(self.local, self.along, part, (*self.w, _COLUMN), (*batch, *self.z, _COLUMN))
        return out.reshape(len(out) if batch else 1, prod(self.z_shape), V.shape[1])

    def pull(self, delta: Array, into: Array) -> None:
        """Add what cotangents δ of z (batch, z, k) are for this parameter to (all, k)."""
        columns = delta.shape[-1]
        part = delta.reshape(len(delta), *self.z_shape, columns)
        out = _einsum(
            part, (_BATCH, *self.z, _COLUMN), self.local, self.along, (*self.w, _COLUMN)
        ).reshape(-1, columns)
        for operator in reversed(self.inner):
            out = operator.T.apply(out)
        into[self.columns] += out

    def fill(self, G: Array, into: Array) -> None:
        """Add the block, written out, to this parameter's columns (batch, outputs, size)."""
        lead = (_BATCH,) if G.ndim == 3 else ()
        part = G.reshape(*G.shape[:-1], *self.z_shape)
        batch = (_BATCH,) if lead or _BATCH in self.along else ()
        out = _einsum(part, (*lead, _ROW, *self.z), self.local, self.along, (*batch, _ROW, *self.w))
        out = out.reshape(*out.shape[: len(batch) + 1], -1)
        for operator in reversed(self.inner):
            out = np.swapaxes(operator.T.apply(np.swapaxes(out, -1, -2)), -1, -2)
        into += out

    def norms(self, G: Array, into: Array) -> None:
        """Add Σ over samples and outputs of (G ⊗ a)² to a vector (all), for an outer block."""
        part = np.square(G).sum(axis=1).reshape(len(G), *self.z_shape)
        squares = _einsum(part, (_BATCH, *self.z), np.square(self.local), self.along, self.w)
        into[self.columns] += squares.ravel()


def _einsum(one: Array, along: Any, other: Array, by: Any, out: Any) -> Array:
    work = max(one.size, other.size) * min(one.size, other.size)
    found = np.einsum(one, list(along), other, list(by), list(out), optimize=work > _BY_BLAS)
    return np.asarray(found)
