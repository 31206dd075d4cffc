"""Matrices, one for each structure that decides how a power is taken."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def _drawn(n: int, seed: int) -> Array:
    W: Array = np.random.default_rng(seed).normal(size=(n, n)) / np.sqrt(n)
    return W


def _orthogonal(n: int) -> Array:
    Q: Array = np.linalg.qr(_drawn(n, 1))[0]
    return Q


def _jordan(n: int, value: float) -> Array:
    return value * np.eye(n) + np.eye(n, k=1)


_SYMMETRIC = _drawn(5, 0) + _drawn(5, 0).T
_NORMAL = _orthogonal(5)
_SINGULAR = _drawn(5, 2) @ np.diag([1.0, 1, 1, 0, 0])
_BLOCKS = np.zeros((4, 4))
_BLOCKS[:2, :2], _BLOCKS[2:, 2:] = _jordan(2, 0.9), [[0, 1], [-1, 0]]

# name: the matrix, and how its powers are to be taken
MATRICES: dict[str, tuple[Array, str]] = {
    "diagonal": (np.diag([0.5, -1.1, 0.0]), "diagonal"),
    "one number": (np.array([[-0.9]]), "diagonal"),
    "nothing": (np.zeros((3, 3)), "diagonal"),
    "symmetric": (_SYMMETRIC / 3, "orthogonal"),
    "symmetric, singular": (np.ones((3, 3)) / 3, "orthogonal"),
    "rotation": (np.array([[0.6, -0.8], [0.8, 0.6]]), "orthogonal"),
    "orthogonal": (_NORMAL, "orthogonal"),
    "skew": (_drawn(4, 3) - _drawn(4, 3).T, "orthogonal"),
    "Fibonacci": (np.array([[1.0, 1.0], [1.0, 0.0]]), "orthogonal"),
    "triangular": (np.array([[0.9, 1.0], [0.0, 0.5]]), "eigen"),
    "complex eigenvalues": (_drawn(6, 4), "eigen"),
    "singular": (_SINGULAR, "eigen"),
    "larger": (_drawn(40, 5), "eigen"),
    "Jordan": (_jordan(3, 0.9), "squaring"),
    "Jordan of 1": (_jordan(2, 1.0), "squaring"),
    "nilpotent": (_jordan(4, 0.0), "squaring"),
    "blocks": (_BLOCKS, "squaring"),
    "nearly defective": (np.array([[1.0, 1.0], [1e-14, 1.0]]), "squaring"),
}
