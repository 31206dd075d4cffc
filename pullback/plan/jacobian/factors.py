"""The block of one parameter at a batch: δ and a, or written out, and products of two of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from pullback.plan.jacobian.blocks import Pairs
from pullback.plan.jacobian.operators import Array

KEPT = 2**23  # numbers of the largest array that a product of kept factors makes


class ParameterBlock(ABC):
    """∂output/∂p (outputs, batch, size), however it is held."""

    turn: tuple[int, ...] = ()  # from the held axes of the parameter to its own
    shape: tuple[int, ...]  # of the parameter as it is held

    @property
    @abstractmethod
    def size(self) -> int:
        """How many numbers the parameter has."""

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """How many bytes are held."""

    @property
    @abstractmethod
    def held(self) -> Array:
        """The block written out (outputs, batch, size), the parameter's axes as they are held."""

    @abstractmethod
    def pull(self) -> Array:
        """The sum over the samples (outputs, size), the parameter's axes as they are held."""

    def own(self, found: Array) -> Array:
        """(…, size), the parameter's axes in their own order."""
        if self.turn == tuple(range(len(self.turn))):
            return found
        lead = found.shape[:-1]
        apart = found.reshape(*lead, *self.shape)
        order = (*range(len(lead)), *(len(lead) + at for at in self.turn))
        return apart.transpose(order).reshape(*lead, -1)


@dataclass(frozen=True, eq=False)
class WrittenBlock(ParameterBlock):
    """A block that is written out in any case: a bias, a norm's gain."""

    values: Array  # (outputs, batch, size)

    @property
    def size(self) -> int:
        return int(self.values.shape[2])

    @property
    def nbytes(self) -> int:
        return self.values.nbytes

    @property
    def held(self) -> Array:
        return self.values

    def pull(self) -> Array:
        return np.asarray(self.values.sum(axis=1))


@dataclass(frozen=True, eq=False)
class RowLookup:
    """Rows of zeros with a one: an ``index`` (batch, places) below ``size``."""

    index: Array
    size: int

    def dense(self, dtype: Any) -> Array:
        """(batch, places, size)."""
        return np.asarray(self.index[..., None] == np.arange(self.size), dtype)


@dataclass(frozen=True, eq=False)
class FactoredBlock(ParameterBlock):
    """Σ over places of δ ⊗ a, with δ (outputs, batch, places, out) and a (batch, places, in)."""

    delta: Array
    held_a: Array | RowLookup
    shape: tuple[int, ...]
    turn: tuple[int, ...]

    @cached_property
    def a(self) -> Array:
        """(batch, places, in)."""
        if isinstance(self.held_a, RowLookup):
            return self.held_a.dense(self.delta.dtype)
        return self.held_a

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        a = self.held_a.index if isinstance(self.held_a, RowLookup) else self.held_a
        return self.delta.nbytes + a.nbytes

    @property
    def looks_up(self) -> bool:
        """Are the a rows of zeros with a one?"""
        return isinstance(self.held_a, RowLookup)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """How many places there are, and how many entries of δ and of a each has."""
        inner = self.held_a.size if isinstance(self.held_a, RowLookup) else self.a.shape[2]
        return self.delta.shape[2], self.delta.shape[3], inner

    @property
    def held(self) -> Array:
        places, out, _ = self.sizes
        outputs, samples = self.delta.shape[:2]
        if places == 1:
            block = self.delta[:, :, 0, :, None] * self.a[:, 0, None, :]
            return block.reshape(outputs, samples, -1)
        rows = self.delta.transpose(1, 0, 3, 2).reshape(samples, outputs * out, places)
        block = (rows @ self.a).reshape(samples, outputs, -1)
        return block.swapaxes(0, 1)

    def some(self, part: slice) -> FactoredBlock:
        """Those of a slice of the samples."""
        a = self.held_a
        few = RowLookup(a.index[part], a.size) if isinstance(a, RowLookup) else a[part]
        return FactoredBlock(self.delta[:, part], few, self.shape, self.turn)

    def pull(self) -> Array:
        outputs, _, _, out = self.delta.shape
        rows = self.delta.reshape(outputs, -1, out)
        if isinstance(self.held_a, RowLookup):
            found = np.zeros((outputs, self.held_a.size, out), self.delta.dtype)
            for total, each in zip(found, rows, strict=True):
                np.add.at(total, self.held_a.index.ravel(), each)
            return np.asarray(found.swapaxes(1, 2).reshape(outputs, -1))
        flat = self.a.reshape(rows.shape[1], -1)
        return np.asarray(rows.swapaxes(1, 2) @ flat).reshape(outputs, -1)

    def within(self) -> Array:
        """a aᵀ of each sample (batch, places, places)."""
        if isinstance(self.held_a, RowLookup):
            index = self.held_a.index
            return np.asarray(index[:, :, None] == index[:, None], self.delta.dtype)
        return np.asarray(self.a @ self.a.swapaxes(1, 2))

    def between(self, other: FactoredBlock) -> Array:
        """a₁ a₂ᵀ (batch₁, places₁, batch₂, places₂)."""
        if isinstance(self.held_a, RowLookup) and isinstance(other.held_a, RowLookup):
            one, two = self.held_a.index, other.held_a.index
            return np.asarray(one[:, :, None, None] == two, self.delta.dtype)
        return np.tensordot(self.a, other.a, (2, 2))


def product(one: ParameterBlock, other: ParameterBlock, pairs: Pairs) -> Array:
    """J₁ J₂ᵀ of two blocks that are written out, shaped as ``kept_product`` shapes it."""
    J = one.held
    K = J if other is one else other.held
    if pairs == "each":
        return J @ K.swapaxes(1, 2)
    if pairs == "sum":
        return np.tensordot(J, K, ((0, 2), (0, 2)))
    rows = J.swapaxes(0, 1).reshape(-1, J.shape[2])
    columns = rows if other is one else K.swapaxes(0, 1).reshape(-1, K.shape[2])
    return (rows @ columns.T).reshape(J.shape[1], J.shape[0], K.shape[1], K.shape[0])


def kept_product(one: FactoredBlock, other: FactoredBlock, pairs: Pairs) -> Array:
    """J₁ J₂ᵀ from δ and a: Σ over places of both samples of (δ₁ δ₂ᵀ) (a₁ a₂ᵀ).

    For all pairs of outputs it is (batch₁, outputs, batch₂, outputs), else as
    ``ParameterBlocks.kernel`` has it.
    """
    if one.sizes[0] == other.sizes[0] == 1:
        return _at_one_place(one, other, pairs)
    outputs, samples, _, out = one.delta.shape
    _, others, places, _ = other.delta.shape
    shape = {"all": (samples, outputs, others, outputs), "each": (outputs, samples, others)}
    total = np.empty(shape.get(pairs, (samples, others)), one.delta.dtype)
    step = max(1, KEPT // (outputs * places * out))
    for start in range(0, others, step):
        part = slice(start, start + step)
        few = other.some(part)
        right = few.delta.reshape(outputs, -1, places * out)
        count = right.shape[1]
        for at in range(samples):
            here = one.some(slice(at, at + 1))
            inner = here.between(few).reshape(-1, count * places).T
            met = (inner @ here.delta[:, 0]).reshape(outputs, count, places * out)
            if pairs == "all":
                blocks = met.swapaxes(0, 1) @ right.transpose(1, 2, 0)
                total[at, :, part] = blocks.swapaxes(0, 1)
            elif pairs == "each":
                total[:, at, part] = np.einsum("mck,mck->mc", met, right)
            else:
                total[at, part] = np.einsum("mck,mck->c", met, right)
    return total


def _at_one_place(one: FactoredBlock, other: FactoredBlock, pairs: Pairs) -> Array:
    inner = one.between(other)[:, 0, :, 0]
    left, right = one.delta[:, :, 0], other.delta[:, :, 0]
    if pairs == "each":
        return (left @ right.swapaxes(1, 2)) * inner
    if pairs == "sum":
        return np.tensordot(left, right, ((0, 2), (0, 2))) * inner
    rows, columns = (each.swapaxes(0, 1).reshape(-1, each.shape[2]) for each in (left, right))
    found = (rows @ columns.T).reshape(len(inner), len(left), inner.shape[1], len(left))
    return found * inner[:, None, :, None]
