"""Does the bracket not matter? Every bracketing of a short chain, by brute force."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from pullback.errors import DataError, ShapeError
from pullback.laws.record import SMALLEST, Check, Mismatch, compare, summary


class BracketCheck(Check):
    """What ``bracket_check`` found; ``errors`` has one entry for each bracketing."""

    title = "Bracket check"


def bracket_check(
    factors: Sequence[Any],
    multiply: Callable[[Any, Any], Any] = operator.matmul,
    dense: Callable[[Any], Any] = np.asarray,
    *,
    tolerance: float = 1e-10,
) -> BracketCheck:
    """Does every bracketing of a chain of 2 to 8 factors give the product of the dense matrices?

    ``multiply`` makes one factor of two neighbours, ``dense`` the matrix of a factor. The number
    of bracketings is Catalan's: 1, 2, 5, 14, 42, 132, 429.
    Raises DataError for another length.

    >>> A, B, C = np.ones((2, 3)), np.eye(3), np.arange(6.0).reshape(3, 2)
    >>> print(bracket_check([A, B, C]))
    Bracket check (2 bracketings against the product of dense matrices)
      (0(12))  0.0e+00
      ((01)2)  0.0e+00
    right: no relative error above 1e-10
    >>> bracket_check([A, B, C], lambda a, b: a @ b * (1.001 if b is C else 1)).ok
    False
    """
    if not 2 <= len(factors) <= 8:
        raise DataError(
            f"there are {len(factors)} factors; expected 2 to 8 to try every bracketing"
        )
    matrices = [np.asarray(dense(factor), np.float64) for factor in factors]
    expected = np.linalg.multi_dot(matrices)
    # cancellation is judged against the product without signs
    size = np.linalg.multi_dot([np.abs(matrix) for matrix in matrices])
    compared: dict[str, list[Mismatch]] = {}
    for bracket, product in _bracketings(factors, multiply):
        found = np.asarray(dense(product), np.float64)
        if found.shape != expected.shape:
            raise ShapeError(f"{bracket} has shape {found.shape}; expected {expected.shape}")
        compared[bracket] = [
            compare(
                f"{bracket}, entry {list(place)}",
                float(found[place]),
                float(expected[place]),
                scale=SMALLEST * float(size[place]),
            )
            for place in np.ndindex(expected.shape)
        ]
    method = f"{len(compared)} bracketings against the product of dense matrices"
    return BracketCheck(method, tolerance, *summary(compared))


def _bracketings(
    factors: Sequence[Any], multiply: Callable[[Any, Any], Any]
) -> Iterator[tuple[str, Any]]:
    """Every bracketing of the chain as text, with its product."""

    def of(start: int, end: int) -> Iterator[tuple[str, Any]]:
        if end - start == 1:
            yield str(start), factors[start]
        for cut in range(start + 1, end):
            rights = list(of(cut, end))
            for left_text, left in of(start, cut):
                for right_text, right in rights:
                    yield f"({left_text}{right_text})", multiply(left, right)

    return of(0, len(factors))
