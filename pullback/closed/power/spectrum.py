"""How a power of one matrix is taken: its structure decides, and the deciding number is kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from pullback.closed.power.scaled import ScaledArray, divided_differences, powers

Array = np.ndarray[Any, np.dtype[Any]]

WORST = 1e6  # cond(P): beyond it an eigendecomposition loses more than six of sixteen digits
EXACT = 8 * np.finfo(np.float64).eps  # times n: what rounding makes of an equality


class Powers(Protocol):
    """What takes powers of one matrix A (n, n) or of a diagonal (n,)."""

    def apply(self, rows: Array, times: int) -> ScaledArray:
        """rows · A^times, rows (…, n)."""

    def fma(self, times: int) -> tuple[int, int]:
        """The fma of one row, and those of the preparation."""


@dataclass(frozen=True, eq=False)
class Spectral:
    """A = P diag(λ) P⁻¹; with no P the matrix is diagonal."""

    values: Array
    P: Array | None = None
    inverse: Array | None = None

    def apply(self, rows: Array, times: int) -> ScaledArray:
        mantissa, exponent = powers(self.values, times)
        if self.P is None or self.inverse is None:
            return ScaledArray.gather(rows * mantissa, np.broadcast_to(exponent, rows.shape))
        inside = (rows @ self.P) * mantissa
        gathered = ScaledArray.gather(inside, np.broadcast_to(exponent, inside.shape))
        return (gathered @ ScaledArray.of(self.inverse)).real

    def sum_of_products(self, delta: Array, state: Array, times: int) -> ScaledArray:
        """Σ_k (Aᵀ)^k δ hᵀ (Aᵀ)^(times−1−k), by divided differences (Daleckii and Krein 1965)."""
        mantissa, exponent = divided_differences(self.values, times)
        if self.P is None or self.inverse is None:
            return ScaledArray.gather(np.outer(delta, state) * mantissa, exponent)
        inside = np.outer(delta @ self.P, self.inverse @ state) * mantissa
        gathered = ScaledArray.gather(inside, exponent)
        return (ScaledArray.of(self.inverse.T) @ gathered @ ScaledArray.of(self.P.T)).real

    def fma(self, times: int) -> tuple[int, int]:
        n = len(self.values)
        if self.P is None:
            return n, 0
        # one complex multiplication is four real ones
        return (2 * n * n + n) * (4 if np.iscomplexobj(self.P) else 1), 25 * n**3


@dataclass(frozen=True, eq=False)
class Ladder:
    """A, A², A⁴, … each by squaring the one before, kept for the next δ."""

    matrix: Array
    rungs: list[ScaledArray] = field(default_factory=list)

    def apply(self, rows: Array, times: int) -> ScaledArray:
        found = ScaledArray.of(rows)
        for at in range(times.bit_length()):
            if times >> at & 1:
                found = found @ self.rung(at)
        return found

    def rung(self, at: int) -> ScaledArray:
        """A^(2^at)."""
        if not self.rungs:
            self.rungs.append(ScaledArray.of(self.matrix))
        while len(self.rungs) <= at:
            self.rungs.append(self.rungs[-1] @ self.rungs[-1])
        return self.rungs[at]

    def fma(self, times: int) -> tuple[int, int]:
        n = len(self.matrix)
        return times.bit_count() * n * n, max(times.bit_length() - 1, 0) * n**3


@dataclass(frozen=True, eq=False)
class Spectrum:
    """A square matrix (n, n), or a diagonal (n,), and the way in which its powers are taken.

    >>> Spectrum(np.array([[0.0, 1.0], [1.0, 0.0]])).method
    'orthogonal'
    >>> Spectrum(np.array([[2.0, 1.0], [0.0, 3.0]])).method
    'eigen'
    >>> Spectrum(np.array([[2.0, 1.0], [0.0, 2.0]])).method
    'squaring'
    """

    matrix: Array

    @cached_property
    def is_diagonal(self) -> bool:
        A = self.matrix
        return A.ndim == 1 or bool(np.count_nonzero(A) == np.count_nonzero(np.diagonal(A)))

    @cached_property
    def departure(self) -> float:
        """‖AᵀA − AAᵀ‖ / ‖A‖² in Frobenius' norm: 0 for a normal matrix, at most √2."""
        if self.is_diagonal:
            return 0.0
        A = self.matrix / np.max(np.abs(self.matrix))
        return float(np.linalg.norm(A.T @ A - A @ A.T) / np.linalg.norm(A) ** 2)

    @cached_property
    def asymmetry(self) -> float:
        """‖A − Aᵀ‖ / ‖A‖."""
        if self.is_diagonal:
            return 0.0
        A = self.matrix / np.max(np.abs(self.matrix))
        return float(np.linalg.norm(A - A.T) / np.linalg.norm(A))

    @property
    def is_normal(self) -> bool:
        return bool(self.departure <= EXACT * len(self.matrix))

    @property
    def is_symmetric(self) -> bool:
        return bool(self.asymmetry <= EXACT)

    @cached_property
    def _eigen(self) -> tuple[Array, Array]:
        values, P = np.linalg.eig(self.matrix)
        return values, P

    @cached_property
    def condition(self) -> float:
        """cond(P) of the eigenvectors in the 2-norm; 1 where they are orthonormal."""
        if self.is_diagonal or self.is_normal:
            return 1.0
        return float(np.linalg.cond(self._eigen[1]))

    @cached_property
    def method(self) -> str:
        """diagonal, orthogonal, eigen or squaring."""
        if self.is_diagonal:
            return "diagonal"
        if self.is_normal:
            return "orthogonal"
        return "eigen" if self.condition <= WORST else "squaring"

    @cached_property
    def values(self) -> Array:
        """The eigenvalues; those of a normal matrix from its Schur form."""
        return self.spectral.values if self.method != "squaring" else self._eigen[0]

    @cached_property
    def spectral(self) -> Spectral:
        """The eigendecomposition, orthonormal where there is such a one."""
        A = self.matrix
        if self.is_diagonal:
            return Spectral(A if A.ndim == 1 else np.diagonal(A).copy())
        if self.is_normal and self.is_symmetric:
            values, Q = np.linalg.eigh((A + A.T) / 2)
            return Spectral(values, Q, Q.T)
        if self.is_normal:
            from scipy.linalg import schur

            T, Q = schur(A, output="complex")
            return Spectral(np.diagonal(T).copy(), Q, Q.conj().T)
        values, P = self._eigen
        return Spectral(values, P, np.linalg.inv(P))

    @cached_property
    def ladder(self) -> Ladder:
        """The repeated squares."""
        return Ladder(self.matrix)

    @property
    def powers(self) -> Powers:
        """What takes the powers."""
        return self.ladder if self.method == "squaring" else self.spectral
