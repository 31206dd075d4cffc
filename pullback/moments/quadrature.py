"""Gaussian integrals by composite Gauss–Legendre quadrature, split where the integrand has kinks.

Gauss–Hermite fails without a word when the integrand is narrower than the Gaussian: 50 nodes give
E tanh'(z)² = 0.0008 at variance 100, where 0.0531 is right. Here panels grow geometrically away
from each centre (0 and every kink), so that what happens there on a scale of its own is resolved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

REACH = 12.0  # standard deviations; beyond is 4e-33 of the mass
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_GAUSSIAN_EDGES = np.array([-REACH, -8, -6, -4, -2, 0, 2, 4, 6, 8, REACH])
_SMALLEST_PANEL = 1.5  # beside a centre, in units of z, before any refinement


@dataclass(frozen=True)
class Grid:
    """Nodes z = mean + std · x with weights of the Gaussian; arrays are (cases, nodes)."""

    z: Array
    x: Array
    weight: Array

    def expect(self, values: Array) -> Array:
        """E over z of values at the nodes, one number a case."""
        return np.einsum("gn,gn->g", self.weight, values)


def grid(mean: Any, variance: Any, centres: Sequence[float] = (0.0,), level: int = 0) -> Grid:
    """Nodes for z ~ Normal(mean, variance) of every case (cases,).

    ``centres`` are kinks and other places to be careful at; each ``level`` halves all panels.

    >>> each = grid([0.0], [100.0])
    >>> float(each.expect(np.cosh(each.z) ** -4.0)[0].round(5))
    0.05312
    """
    mean, std = np.broadcast_arrays(np.asarray(mean, float), np.sqrt(np.asarray(variance, float)))
    far = REACH * std.max(initial=0.0)
    steps = [np.zeros(1)]
    smallest = _SMALLEST_PANEL / 2**level
    if far > smallest:
        outward = smallest * 2.0 ** np.arange(np.ceil(np.log2(far / smallest)) + 1)
        steps += [outward, -outward]
    around = np.concatenate([c + np.concatenate(steps) for c in centres])
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = (around - mean[:, None]) / std[:, None]
    inside = np.clip(np.nan_to_num(inside, nan=0.0), -REACH, REACH)
    base = np.broadcast_to(_GAUSSIAN_EDGES, (len(mean), len(_GAUSSIAN_EDGES)))
    edges = np.sort(np.concatenate([base, inside], axis=1), axis=1)
    for _ in range(level):
        middle = (edges[:, :-1] + edges[:, 1:]) / 2
        edges = np.sort(np.concatenate([edges, middle], axis=1), axis=1)
    width = np.diff(edges, axis=1)
    panels = width.max(axis=0) > 0  # edges may coincide, at ±REACH above all
    lower, half = edges[:, :-1][:, panels, None], width[:, panels, None] / 2
    x = (lower + half * (1 + _POINTS)).reshape(len(mean), -1)
    weight = (half * _WEIGHTS).reshape(len(mean), -1) * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    return Grid(mean[:, None] + std[:, None] * x, x, weight)


def hermite(x: Array, terms: int) -> Array:
    """The orthonormal Hermite polynomials he_0 … he_(terms-1) at x, on a new first axis.

    >>> hermite(np.array([2.0]), 3)[:, 0].round(4).tolist()
    [1.0, 2.0, 2.1213]
    """
    rows = [np.ones_like(x), x]
    for n in range(1, terms - 1):
        rows.append((x * rows[n] - np.sqrt(n) * rows[n - 1]) / np.sqrt(n + 1))
    return np.stack(rows[:terms])
