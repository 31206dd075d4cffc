"""The law of an activation, unit by unit: a = φ(z) forward, φ′(z) δ backward.

Forward E φ and E φ² of a Gaussian, and E φ(z)φ(z′) for pairs of places; backward E φ′². A unit that
is not Gaussian, as behind a skip around a ReLU, is taken as one with its mean and variance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pullback.calculus.quadrature import Array, hermite
from pullback.ir import Scalar
from pullback.moments.law.activation import Moments, moments
from pullback.moments.law.lines import homogeneous, of_lines, pairs_of_lines
from pullback.moments.law.units import Activated, Placed, Units, outer

_TERMS = 32  # of a series in the correlation; the rest is put at the 32nd power
_MANY = 64, 1e-4  # laws, from which on those that differ by this share are taken as one
_TOO_MANY = 512, 2e-3


@dataclass(frozen=True)
class Bend:
    """E φ′ and E φ′² at each place, and E φ′(z)φ′(z′) at pairs where those are followed."""

    mean: Array
    second: Array
    pairs: Array | None

    @property
    def bends(self) -> bool:
        """Is the slope not the same everywhere?"""
        return bool((self.second > (1 + 1e-9) * self.mean**2).any())

    def backward(self, error: Placed) -> Placed:
        """The error in front of the activation."""
        pairs = None
        if error.pairs is not None and self.pairs is not None:
            pairs = error.pairs * self.pairs
        return Placed(error.kept, error.mean * self.mean, error.second * self.second, pairs)


def pointwise(function: Scalar, units: Units) -> tuple[Units, Bend]:
    """The law of φ(u), and of its slope."""
    law = units.law
    at = _by_case(function, law.mean.ravel(), law.variance.ravel())
    mean, second, slope, slope_square = (v.reshape(law.mean.shape) for v in at[:4])
    pairs = slopes = None
    if law.pairs is not None:
        pairs, slopes = _pairs(function, law, at)
    found = Placed(law.kept, mean, second, pairs)
    source = Activated(function, units)
    return units.with_law(found, False, source), Bend(slope, slope_square, slopes)


def _by_case(function: Scalar, mean: Array, variance: Array) -> tuple[Array, ...]:
    """E φ, E φ², E φ′, E φ′² and the Hermite coefficients of φ and φ′ for each law."""
    if (lines := homogeneous(function)) is not None:
        return of_lines(*lines, mean, variance, _TERMS)
    laws = np.stack([mean, variance], axis=1)
    some, back = np.unique(laws, axis=0, return_inverse=True)
    for many, step in (_MANY, _TOO_MANY):
        if len(some) > many:
            some, back = np.unique(_rounded(laws, step), axis=0, return_inverse=True)
    back = back.ravel()
    chunks = np.array_split(some, -(-len(some) // 64))
    found = [_moments(moments(function, *part.T)) for part in chunks]
    return tuple(np.concatenate(each)[back] for each in zip(*found, strict=True))


def _rounded(laws: Array, step: float) -> Array:
    """Laws (mean, variance) that differ by less than a share of them made the same."""
    size = np.sqrt(laws[:, 1].max(initial=1e-300))
    with np.errstate(divide="ignore"):
        variance = np.exp(step * np.round(np.log(laws[:, 1]) / step))
    return np.stack([size * step * np.round(laws[:, 0] / size / step), variance], axis=1)


def _moments(at: Moments) -> tuple[Array, ...]:
    basis = hermite(at.grid.x, _TERMS)
    series, slopes = (
        np.einsum("tgn,gn,gn->gt", basis, at.grid.weight, v) for v in (at.f, at.slope)
    )
    return at.m1, at.m2, at.s1, at.s2, series, slopes


def _pairs(function: Scalar, law: Placed, at: tuple[Array, ...]) -> tuple[Array, Array]:
    """E φ(u)φ(u′) and E φ′(u)φ′(u′) at all pairs of places."""
    assert law.pairs is not None
    std = np.sqrt(law.variance)
    size = outer(std, std)
    spread = law.pairs - outer(law.mean, law.mean)
    rho = np.divide(spread, size, out=np.zeros_like(spread), where=size > 0)
    np.clip(rho, -1.0, 1.0, out=rho)
    lines = homogeneous(function)
    if lines is not None and not law.mean.any():
        return pairs_of_lines(*lines, rho, size)
    return _series(at[1], at[4], rho, law), _series(at[3], at[5], rho, law)


def _series(square: Array, terms: Array, rho: Array, law: Placed) -> Array:
    """Σ c_n c′_n ρⁿ; what is left of E φ² stands at the last power (Mehler's formula)."""
    shape = law.mean.shape
    rest = np.sqrt(np.maximum(square - (terms**2).sum(axis=1), 0.0)).reshape(shape)
    found = outer(rest, rest) * np.abs(rho) ** _TERMS
    power = np.ones_like(rho)
    for n in range(_TERMS):
        c = terms[:, n].reshape(shape)
        if np.abs(c).max() > 1e-14:
            found = found + outer(c, c) * power
        power = power * rho
    return np.asarray(found)
