"""Second moments over the turns of a loop, and how they are drawn for many units at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from pullback.calculus.quadrature import Array


@dataclass(frozen=True)
class OverTime:
    """One entry at every turn: its mean (turns,) and mean product at two (turns, turns)."""

    mean: Array
    product: Array

    @classmethod
    def alike(cls, turns: int, square: float, correlation: float = 0.0) -> OverTime:
        """Mean 0, one mean square at every turn, one correlation of two turns."""
        product = square * (correlation + (1 - correlation) * np.eye(turns))
        return cls(np.zeros(turns), product)

    @classmethod
    def last(cls, turns: int, square: float = 1.0) -> OverTime:
        """Nothing but at the last turn: the cotangent of a read-out of the last state."""
        product = np.zeros((turns, turns))
        product[-1, -1] = square
        return cls(np.zeros(turns), product)

    @classmethod
    def none(cls, turns: int) -> OverTime:
        """Zero at every turn."""
        return cls(np.zeros(turns), np.zeros((turns, turns)))

    @property
    def square(self) -> Array:
        """The mean square at every turn (turns,)."""
        return np.diag(self.product)

    @property
    def covariance(self) -> Array:
        """Around the mean (turns, turns)."""
        return np.asarray(self.product - np.outer(self.mean, self.mean))

    @classmethod
    def around(cls, mean: Array, covariance: Array) -> OverTime:
        """With this covariance around the mean."""
        return cls(mean, covariance + np.outer(mean, mean))

    def scaled(self, by: float) -> OverTime:
        """A number times it."""
        return OverTime(by * self.mean, by**2 * self.product)

    def plus(self, other: OverTime) -> OverTime:
        """The sum of the two, whose deviations from their means are independent."""
        return OverTime.around(self.mean + other.mean, self.covariance + other.covariance)

    def reversed(self) -> OverTime:
        """The last turn first."""
        return OverTime(self.mean[::-1], self.product[::-1, ::-1])


def mean_of(parts: tuple[tuple[int, OverTime], ...]) -> OverTime:
    """Of several stretches of units, each with how many they are."""
    total = sum(size for size, _ in parts)
    return OverTime(
        np.asarray(sum(size / total * each.mean for size, each in parts)),
        np.asarray(sum(size / total * each.product for size, each in parts)),
    )


def noise(rng: np.random.Generator, rows: int, units: int) -> Array:
    """Standard normals (rows, units), orthonormal over the units as far as there are enough.

    What is linear in them then has exactly the covariances that it is drawn for.
    """
    found: Array = rng.standard_normal((rows, units))
    if rows <= units // 4:
        root = np.linalg.cholesky(found @ found.T / units)
        found = solve_triangular(root, found, lower=True, overwrite_b=True, check_finite=False)
    return found


def mirrored(values: Array) -> Array:
    """The same units (…, units) once more with other signs: odd moments are exactly 0."""
    return np.concatenate([values, -values], axis=-1)


class Gaussian:
    """A Gaussian process of many units, drawn turn after turn as its covariances become known.

    ``noise`` is (turns, units), of half of the units; the others are their mirror image.
    """

    def __init__(self, noise: Array) -> None:
        self._noise = noise
        turns = len(noise)
        self._root, self._dead = np.eye(turns), np.zeros(turns, dtype=bool)
        self.turn = 0

    def draw(self, covariance: Array, mean: float = 0.0) -> Array:
        """The next turn's values (2 · units,), from its covariances with those before and itself.

        Extends the Cholesky factor by one row; where nothing new is left to draw, nothing is.
        """
        t = self.turn
        row = np.zeros(t + 1)
        if t:
            root = self._root[:t, :t]
            row[:t] = solve_triangular(root, covariance[:t], lower=True, check_finite=False)
            row[:t][self._dead[:t]] = 0.0
        left = covariance[t] - row[:t] @ row[:t]
        alive = left > 1e-13 * covariance[t] and left > 0
        row[t] = np.sqrt(left) if alive else 0.0
        self._root[t, : t + 1], self._dead[t] = row, not alive
        if not alive:
            self._root[t, t] = 1.0
        self.turn += 1
        return mean + mirrored(row @ self._noise[: t + 1])
