"""Inverses and determinants by LAPACK, where a singular matrix is an error that names it."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.errors import SingularError

Array = np.ndarray[Any, np.dtype[Any]]


def inverse(matrix: Array, called: str) -> Array:
    """The inverse of a matrix (n, n), real or complex.

    Raises SingularError, with what the matrix is called, where it has none to working precision.

    >>> inverse(np.array([[2.0, 0.0], [0.0, 4.0]]), "X").tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """
    try:
        found = np.linalg.inv(matrix)
    except np.linalg.LinAlgError:
        raise _singular(called, matrix) from None
    # the condition number in the 1-norm, free once the inverse is there
    condition = np.linalg.norm(matrix, 1) * np.linalg.norm(found, 1)
    if not condition * np.finfo(matrix.dtype).eps < 1 and np.isfinite(matrix).all():
        raise _singular(called, matrix)
    return found


def log_determinant(matrix: Array, called: str) -> Any:
    """log |det| of a matrix (n, n).

    Raises SingularError, with what the matrix is called, where the determinant is 0.
    """
    sign, found = np.linalg.slogdet(matrix)
    if sign == 0:
        raise _singular(called, matrix)
    # of a complex step the sign carries the imaginary part of the logarithm
    return found + np.log(sign / np.sign(np.real(sign))) if np.iscomplexobj(matrix) else found


def _singular(called: str, matrix: Array) -> SingularError:
    n = len(matrix)
    return SingularError(
        f"{called} is singular, a matrix ({n}, {n}) whose columns depend on one another: it has no "
        "inverse; a small multiple of the identity, added to it, gives it one"
    )
