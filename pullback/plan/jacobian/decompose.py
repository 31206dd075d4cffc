"""Solves, singular values, determinants and diagonals of a product held as one part or as two.

The parts are arrays ([batch,] rows, cols), output side first. A product of two, A (m, k) times
B (k, n), is never multiplied: what is computed has the size of k.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pullback.errors import SingularError, shown
from pullback.plan.jacobian.operators import Array, matmul

Parts = tuple[Array, ...]


def turned(array: Array) -> Array:
    """The transpose of each matrix."""
    return np.swapaxes(array, -1, -2)


def solve(parts: Parts, r: Array, damping: float) -> Array:
    """(Jᵀ J + λ I)⁻¹ Jᵀ r for columns r ([batch,] m, c).

    Raises SingularError without damping where Jᵀ J has no inverse.
    """
    if len(parts) == 2:
        return _solve_pair(*parts, r, damping)
    (J,) = parts
    rows, cols = J.shape[-2:]
    if not damping:
        return _least_squares(J, r)
    if rows < cols:  # Jᵀ (J Jᵀ + λ I)⁻¹ r is the same, on the small side
        gram = matmul(J, turned(J))
        if safe(gram, damping):
            return turned(J) @ positive(gram, damping, r)
    else:
        gram = turned(J) @ J
        if safe(gram, damping):
            return positive(gram, damping, turned(J) @ r)
    return _by_svd(J, r, damping)


def _solve_pair(A: Array, B: Array, r: Array, damping: float) -> Array:
    """J = A B: x = Bᵀ y with (AᵀA BBᵀ + λ I) y = Aᵀ r, or through the QR of both parts."""
    if not damping:
        raise singular(A.shape[-2], B.shape[-1], A.shape[-1])
    S, T = turned(A) @ A, matmul(B, turned(B))
    if safe(S, damping, T):
        core = S @ T
        at = np.arange(core.shape[-1])
        core[..., at, at] += core.dtype.type(damping)
        return turned(B) @ np.linalg.solve(core, turned(A) @ r)
    left, R = np.linalg.qr(A)
    right, Q = np.linalg.qr(turned(B))
    return right @ _by_svd(R @ turned(Q), turned(left) @ r, damping)


def safe(gram: Array, damping: float, other: Array | None = None) -> bool:
    """Is the squared condition number, with damping, harmless? Then no QR is needed."""
    size = _norm(gram) if other is None else _norm(gram) * _norm(other)
    eps = float(np.finfo(gram.dtype).eps)
    return bool(size * eps <= damping * (1e-11 if eps < 1e-10 else 1e-3))


def _norm(matrix: Array) -> float:
    """The largest Frobenius norm of a stack."""
    if matrix.ndim == 2:
        return math.sqrt(np.vdot(matrix, matrix))
    return math.sqrt(np.einsum("...ij,...ij->...", matrix, matrix).max())


def positive(gram: Array, damping: float, r: Array) -> Array:
    """(G + λ I)⁻¹ r for a symmetric G, which is overwritten."""
    from scipy.linalg import cho_factor, cho_solve

    at = np.arange(gram.shape[-1])
    gram[..., at, at] += gram.dtype.type(damping)
    if gram.ndim == 2 and r.ndim == 2:
        factor = cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)
        return np.asarray(cho_solve(factor, r, check_finite=False))
    return np.asarray(np.linalg.solve(gram, r))


def _by_svd(J: Array, r: Array, damping: float) -> Array:
    U, s, Vt = np.linalg.svd(J, full_matrices=False)
    filtered = (s / (s * s + s.dtype.type(damping)))[..., None]
    return np.asarray(turned(Vt) @ (filtered * (turned(U) @ r)))


def _least_squares(J: Array, r: Array) -> Array:
    rows, cols = J.shape[-2:]
    if rows < cols:
        raise singular(rows, cols, rows)
    Q, R = np.linalg.qr(J)
    pivots = np.abs(np.diagonal(R, axis1=-2, axis2=-1))
    small = pivots <= rows * np.finfo(R.dtype).eps * pivots.max(axis=-1, keepdims=True)
    if small.any():
        raise singular(rows, cols, cols - int(small.sum(axis=-1).max()))
    return np.linalg.solve(R, turned(Q) @ r)


def singular(rows: int, cols: int, rank: int) -> SingularError:
    """The error of a solve that has no single answer."""
    return SingularError(
        f"Jᵀ J ({cols}, {cols}) is singular: J ({rows}, {cols}) has rank {rank} at most; "
        "give a damping above 0, as in solve(r, damping=1e-3)"
    )


def svd(parts: Parts) -> tuple[Array, Array, Array]:
    """U (m, k), the singular values (k), Vᵀ (k, n), k the least of m, n and the inner width."""
    if len(parts) == 1:
        U, s, Vt = np.linalg.svd(parts[0], full_matrices=False)
        return U, s, Vt
    A, B = parts
    left, R = np.linalg.qr(A)
    right, Q = np.linalg.qr(turned(B))
    U, s, Vt = np.linalg.svd(R @ turned(Q))
    return left @ U, s, Vt @ turned(right)


def log_volume(J: Array) -> Any:
    """log |det J| of a square J, else the sum of the logarithms of its singular values."""
    rows, cols = J.shape[-2:]
    if rows == cols:
        return np.linalg.slogdet(J)[1]
    R = np.linalg.qr(J if rows > cols else turned(J), mode="r")
    with np.errstate(divide="ignore"):
        return np.log(np.abs(np.diagonal(R, axis1=-2, axis2=-1))).sum(axis=-1)


def column_norms(parts: Parts) -> Array:
    """The diagonal of Jᵀ J ([batch,] n)."""
    if len(parts) == 1:
        return np.asarray(np.einsum("...ij,...ij->...j", parts[0], parts[0]))
    A, B = parts
    return np.asarray(np.einsum("...ij,...ij->...j", B, (turned(A) @ A) @ B))


def as_damping(damping: Any) -> float:
    """A damping as a number from 0; None is 0."""
    value = 0.0 if damping is None else float(damping)
    if not (value >= 0 and math.isfinite(value)):
        raise SingularError(f"damping is {shown(damping)}; expected a number from 0")
    return value
