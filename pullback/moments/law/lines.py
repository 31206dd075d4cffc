"""Gaussian moments of functions that are a line on either side of 0, as ReLU: closed forms."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import ndtr

from pullback.calculus.quadrature import Array
from pullback.ir import Scalar
from pullback.moments.law.activation import evaluator


@lru_cache(maxsize=256)
def homogeneous(function: Scalar) -> tuple[float, float] | None:
    """The slopes above and below 0 of a function that is a line on either side of it.

    >>> from pullback.nn import LeakyReLU, Tanh
    >>> homogeneous(LeakyReLU(0.2).function), homogeneous(Tanh().function)
    ((1.0, 0.2), None)
    """
    at = np.array([1e-3, 0.7, 1.0, 3.0, 40.0, 1e4])
    with np.errstate(all="ignore"):
        above, below = evaluator(function)(at)[0], evaluator(function)(-at)[0]
    up, down = float(above[2]), float(-below[2])
    lines = np.concatenate([up * at, -down * at])
    same = np.allclose(np.concatenate([above, below]), lines, rtol=1e-12, atol=0)
    return (up, down) if same else None


def of_lines(up: float, down: float, mean: Array, variance: Array, terms: int) -> tuple[Array, ...]:
    """E φ, E φ², E φ′, E φ′² and the Hermite coefficients (laws, terms) of φ and of φ′.

    >>> float(of_lines(1.0, 0.0, np.array([0.0]), np.array([2.0]), 3)[1][0])
    1.0
    """
    std = np.sqrt(variance)
    a = np.divide(-mean, std, out=np.where(mean > 0, -40.0, np.where(mean < 0, 40.0, 0.0)),
                  where=std > 0)  # fmt: skip
    density, above = np.exp(-(a**2) / 2) / np.sqrt(2 * np.pi), ndtr(-a)
    first, second = (
        mean * above + std * density,
        (mean**2 + variance) * above + mean * std * density,
    )
    rise = up - down
    m1 = down * mean + rise * first
    m2 = down**2 * (mean**2 + variance) + (up**2 - down**2) * second
    s1, s2 = down + rise * above, down**2 + (up**2 - down**2) * above
    # φ″ = rise · δ(z), so that c_n = std · rise · He_(n−2)(a) density(a)/√n!
    series, slopes = np.zeros((len(mean), terms + 1)), np.zeros((len(mean), terms))
    series[:, 0], series[:, 1] = m1, std * s1
    slopes[:, 0] = s1
    last, here = np.zeros_like(a), np.ones_like(a) / np.sqrt(2)  # He_k/√(k + 2)!
    for n in range(2, terms + 1):
        series[:, n] = std * rise * density * here
        slopes[:, n - 1] = np.sqrt(n) * rise * density * here
        k = n - 2
        last, here = here, (a * here - k / np.sqrt(n) * last) / np.sqrt(n + 1)
    return m1, m2, s1, s2, series[:, :terms], slopes


def pairs_of_lines(up: float, down: float, rho: Array, size: Array) -> tuple[Array, Array]:
    """E φ(u)φ(u′) and E φ′(u)φ′(u′) at correlation ρ and product of deviations, of mean 0.

    The arc-cosine kernels: Cho and Saul 2009, section 2.

    >>> both = pairs_of_lines(1.0, 0.0, np.array([0.0, 1.0]), np.array([1.0, 1.0]))
    >>> [v.round(4).tolist() for v in both]
    [[0.1592, 0.5], [0.25, 0.5]]
    """
    even, odd = (up - down) / 2, (up + down) / 2
    angle = np.arcsin(rho)
    both = 2 / np.pi * size * (np.sqrt(1 - rho**2) + rho * angle)
    return odd**2 * rho * size + even**2 * both, odd**2 + even**2 * 2 / np.pi * angle
