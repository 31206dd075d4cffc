"""Curvature as a linear map of a structure: products, solves, determinants and draws.

With T the map for which Tᵀ T = (G + λ I)⁻¹, a solve is Tᵀ T r and a draw Tᵀ ε.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from pullback.errors import SingularError
from pullback.plan.jacobian.operators import Array


class StructuredMap(ABC):
    """A symmetric matrix G, positive semidefinite, in some structure; columns are (size, k)."""

    size: int

    @abstractmethod
    def times(self, columns: Array) -> Array:
        """G V."""

    @abstractmethod
    def whiten(self, columns: Array, damping: float) -> Array:
        """T V with Tᵀ T = (G + λ I)⁻¹."""

    @abstractmethod
    def colour(self, columns: Array, damping: float) -> Array:
        """Tᵀ V."""

    @abstractmethod
    def logdet(self, damping: float) -> float:
        """log det (G + λ I)."""

    @abstractmethod
    def diagonal(self) -> Array:
        """The diagonal of G."""

    def check(self, damping: float) -> None:
        """Raises SingularError where G + λ I has no inverse."""
        least, most = self.extremes
        if least + damping <= 0 or least + damping < self.size * np.finfo(float).eps * most:
            raise SingularError(
                f"the curvature ({self.size}, {self.size}) is singular: the smallest eigenvalue is "
                f"{least:.3g}; give a damping above 0, as in solve(r, damping=1e-3)"
            )

    @property
    @abstractmethod
    def extremes(self) -> tuple[float, float]:
        """The smallest and the largest eigenvalue."""


@dataclass(frozen=True, eq=False)
class DenseMap(StructuredMap):
    """The matrix itself."""

    matrix: Array
    _factors: dict[float, Array] = field(default_factory=dict)

    @property
    def size(self) -> int:  # type: ignore[override]
        return len(self.matrix)

    def times(self, columns: Array) -> Array:
        return np.asarray(self.matrix @ columns)

    def whiten(self, columns: Array, damping: float) -> Array:
        return np.asarray(solve_triangular(self._factor(damping), columns, lower=True))

    def colour(self, columns: Array, damping: float) -> Array:
        return np.asarray(solve_triangular(self._factor(damping), columns, lower=True, trans="T"))

    def logdet(self, damping: float) -> float:
        return float(2 * np.log(np.diagonal(self._factor(damping))).sum())

    def diagonal(self) -> Array:
        return np.diagonal(self.matrix).copy()

    def check(self, damping: float) -> None:
        if not damping:
            super().check(damping)
        try:
            self._factor(damping)
        except np.linalg.LinAlgError:
            super().check(0.0)

    def _factor(self, damping: float) -> Array:
        """The lower Cholesky factor of G + λ I; the last one is kept."""
        if damping not in self._factors:
            moved = self.matrix.copy()
            moved[np.diag_indices(self.size)] += damping
            self._factors.clear()
            self._factors[damping] = np.asarray(cholesky(moved, lower=True))
        return self._factors[damping]

    @cached_property
    def extremes(self) -> tuple[float, float]:
        values = np.linalg.eigvalsh(self.matrix)
        return float(values[0]), float(values[-1])


@dataclass(frozen=True, eq=False)
class DiagonalMap(StructuredMap):
    """A diagonal."""

    values: Array

    @property
    def size(self) -> int:  # type: ignore[override]
        return len(self.values)

    def times(self, columns: Array) -> Array:
        return np.asarray(self.values[:, None] * columns)

    def whiten(self, columns: Array, damping: float) -> Array:
        return np.asarray(columns / np.sqrt(self.values + damping)[:, None])

    colour = whiten

    def logdet(self, damping: float) -> float:
        return float(np.log(self.values + damping).sum())

    def diagonal(self) -> Array:
        return self.values

    @property
    def extremes(self) -> tuple[float, float]:
        return float(self.values.min()), float(self.values.max())


@dataclass(frozen=True, eq=False)
class LowRankMap(StructuredMap):
    """U diag(s) Uᵀ, with orthonormal columns U (size, rank) and s ≥ 0."""

    U: Array
    s: Array

    @property
    def size(self) -> int:  # type: ignore[override]
        return len(self.U)

    def times(self, columns: Array) -> Array:
        return np.asarray(self.U @ (self.s[:, None] * (self.U.T @ columns)))

    def whiten(self, columns: Array, damping: float) -> Array:
        inside = 1 / np.sqrt(self.s + damping)
        if len(self.s) == self.size:
            return np.asarray(self.U @ (inside[:, None] * (self.U.T @ columns)))
        beside = 1 / np.sqrt(damping)
        turned = (inside - beside)[:, None] * (self.U.T @ columns)
        return np.asarray(beside * columns + self.U @ turned)

    colour = whiten

    def logdet(self, damping: float) -> float:
        beside = (self.size - len(self.s)) * np.log(damping) if len(self.s) < self.size else 0.0
        return float(beside + np.log(self.s + damping).sum())

    def diagonal(self) -> Array:
        return np.asarray((self.U**2) @ self.s)

    @property
    def extremes(self) -> tuple[float, float]:
        least = float(self.s.min(initial=np.inf)) if len(self.s) == self.size else 0.0
        return least, float(self.s.max(initial=0.0))


@dataclass(frozen=True, eq=False)
class KroneckerMap(StructuredMap):
    """B ⊗ A: on a weight V (out, in) it is B V A. A vector for A is a diagonal."""

    B: Array
    A: Array

    @cached_property
    def _sides(self) -> tuple[tuple[Array, Array | None], ...]:
        """The eigenvalues and the eigenvectors of B and of A; a diagonal needs none."""
        return tuple((m, None) if m.ndim == 1 else _eigen(m) for m in (self.B, self.A))

    @property
    def size(self) -> int:  # type: ignore[override]
        return len(self.B) * len(self.A)

    @cached_property
    def values(self) -> Array:
        """The eigenvalues (out, in)."""
        (one, _), (other, _) = self._sides
        return np.multiply.outer(one, other)

    def times(self, columns: Array) -> Array:
        V = columns.reshape(len(self.B), len(self.A), -1)
        moved = self.A[:, None] * V if self.A.ndim == 1 else np.einsum("ij,ojk->oik", self.A, V)
        return np.asarray(np.tensordot(self.B, moved, (1, 0)).reshape(columns.shape))

    def whiten(self, columns: Array, damping: float) -> Array:
        V = self._turned(columns.reshape(len(self.B), len(self.A), -1), inverse=True)
        scale = np.sqrt(self.values + damping)[..., None]
        return np.asarray((V / scale).reshape(columns.shape))

    def colour(self, columns: Array, damping: float) -> Array:
        V = columns.reshape(len(self.B), len(self.A), -1)
        scaled = V / np.sqrt(self.values + damping)[..., None]
        return np.asarray(self._turned(scaled, inverse=False).reshape(columns.shape))

    def _turned(self, V: Array, inverse: bool) -> Array:
        for axis, (_, Q) in enumerate(self._sides):
            if Q is not None:
                moved = np.tensordot(Q, V, (0 if inverse else 1, axis))
                V = np.moveaxis(moved, 0, axis)
        return V

    def logdet(self, damping: float) -> float:
        return float(np.log(self.values + damping).sum())

    def diagonal(self) -> Array:
        a = self.A if self.A.ndim == 1 else np.diagonal(self.A)
        return np.asarray(np.multiply.outer(np.diagonal(self.B), a).ravel())

    @property
    def extremes(self) -> tuple[float, float]:
        return float(self.values.min()), float(self.values.max())


def _eigen(matrix: Array) -> tuple[Array, Array]:
    values, Q = np.linalg.eigh(matrix)
    return np.maximum(values, 0), Q


@dataclass(frozen=True, eq=False)
class BlockMap(StructuredMap):
    """One map for each parameter, and the places of its entries in the vector of all."""

    blocks: tuple[StructuredMap, ...]
    places: tuple[Array, ...]

    @property
    def size(self) -> int:  # type: ignore[override]
        return sum(block.size for block in self.blocks)

    def times(self, columns: Array) -> Array:
        return self._each(columns, lambda block, part: block.times(part))

    def whiten(self, columns: Array, damping: float) -> Array:
        return self._each(columns, lambda block, part: block.whiten(part, damping))

    def colour(self, columns: Array, damping: float) -> Array:
        return self._each(columns, lambda block, part: block.colour(part, damping))

    def _each(self, columns: Array, apply: Any) -> Array:
        out = np.empty(columns.shape, np.result_type(columns, float))
        for block, places in zip(self.blocks, self.places, strict=True):
            out[places] = apply(block, columns[places])
        return out

    def logdet(self, damping: float) -> float:
        return sum(block.logdet(damping) for block in self.blocks)

    def diagonal(self) -> Array:
        out = np.empty(self.size)
        for block, places in zip(self.blocks, self.places, strict=True):
            out[places] = block.diagonal()
        return out

    @property
    def extremes(self) -> tuple[float, float]:
        every = [block.extremes for block in self.blocks]
        return min(least for least, _ in every), max(most for _, most in every)
