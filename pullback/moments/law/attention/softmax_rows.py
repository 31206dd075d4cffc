"""Moments of the rows of a softmax over independent Gaussian logits, by one quadrature each.

A weight is A_j = e^(x_j) / Σ e^x. With 1/Sᵏ = ∫ λ^(k−1) e^(−λS) dλ / (k−1)! a moment of a row is an
integral over λ of expectations over one logit, for example
E ΣA² = T ∫ λ E[e^(2x − λe^x)] (E e^(−λe^x))^(T−1) dλ.
It holds at any T and any variance, also where one weight takes nearly all (variance ≈ 2 ln T, the
condensation of the random energy model; Giorlandino and Goldt 2025), where e^variance / T is far
off.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pullback.calculus.quadrature import Array

_REACH = 10.0  # standard deviations of a logit
_STEP = 0.3  # of ln λ, and of a logit: e^(−e^x) falls within about 1
_GAUSSIAN_STEP = 0.7  # of a standard normal; the trapezoidal rule is exact to 1e-17 there
_CHUNK = 2**20  # entries of one table of integrands
_LARGEST = 16.0  # standard deviation that is integrated; 1 − ΣA² falls as 1/std from there
_ONE_HOT = np.array([[1.0], [0.0], [0.0]])  # squares, slopes and rest where one weight is 1
_WEAK = 1e-4  # covariance of two logits up to which the first order in it is right to 1e-8


@dataclass(frozen=True)
class RowMoments:
    """Of each row, (rows,): with B = diag A − A Aᵀ, the derivative of the row by its logits.

    ``squares`` is E ΣA², ``slopes`` E tr B² = E ΣA²(1 − 2A + ΣA²), ``rest`` E (tr B)² =
    E (1 − ΣA²)², and ``pull`` E (ΣA x)² for logits x taken in standard deviations.
    A row without keys has zeros.
    """

    squares: Array
    slopes: Array
    rest: Array
    pull: Array


def row_moments(variance: Array, keys: Array) -> RowMoments:
    """The moments of rows over so many keys (rows,), whose logits have these variances (rows,).

    >>> rows = row_moments(np.array([1.0, 0.0]), np.array([64, 64]))
    >>> (64 * rows.squares).round(3).tolist(), (64 * rows.slopes).round(3).tolist()
    ([2.483, 1.0], [2.181, 0.984])
    """
    variance, keys = np.broadcast_arrays(np.asarray(variance, float), np.asarray(keys, float))
    found = np.zeros((4, len(keys)))
    stds = np.array([float(f"{std:.10g}") for std in np.sqrt(variance)])  # equal but for rounding
    for std in np.unique(stds[keys > 0]):
        here = (stds == std) & (keys > 0)
        some, member = np.unique(keys[here], return_inverse=True)
        values = _moments(min(float(std), _LARGEST), tuple(some))
        if std > _LARGEST:
            rest = (values[:3] - _ONE_HOT) * _LARGEST / std
            values = np.concatenate([_ONE_HOT + rest, values[3:]])
        found[:, here] = values[:, member]
    return RowMoments(*found)


@lru_cache(maxsize=1024)
def _moments(std: float, several: tuple[float, ...]) -> Array:
    """The four moments (4, cases) for logits of one standard deviation."""
    keys = np.array(several)
    x, weight = _normal(std)
    logs = _log_lambda(std)
    table = np.empty((6, len(logs)))
    rows = max(1, _CHUNK // len(x))
    for start in range(0, len(logs), rows):
        a, fall = _exponentials(logs[start : start + rows, None] + std * x)
        table[:, start : start + rows] = (
            -np.expm1(-a) @ weight,
            *((a**k * fall) @ weight for k in (2, 3, 4)),
            (a * fall) @ (weight * x),
            (a * a * fall) @ (weight * x**2),
        )
    below, e2, e3, e4, x1, x2 = table
    one, two = ((_STEP * keys)[:, None] * _power(below, keys - less) for less in (1, 2))
    two = (keys - 1)[:, None] * two
    squares = one @ e2
    squared = one @ e4 / 6 + two @ e2**2 / 6  # E (ΣA²)²
    slopes = squares - one @ e3 + squared
    rest = 1 - 2 * squares + squared
    pull = one @ x2 + two @ x1**2
    alone = np.array([[1.0], [0.0], [0.0], [1.0]])
    return np.where(keys == 1, alone, [squares, slopes, rest, pull])


def shared(variance: float, correlation: float, keys: Array) -> Array:
    """E Σ_j A_j A'_j of two rows over the same keys, for each number of keys (cases,).

    The logits x_j, x'_j of one key have this correlation, those of different keys none. With many
    keys it is e^(correlation · variance) / keys.

    >>> [float(64 * shared(0.5, c, np.array([64]))[0]) for c in (0.0, 0.5)]
    [1.0, 1.271...]
    """
    keys, std = np.asarray(keys, float), min(float(np.sqrt(variance)), _LARGEST)
    own = row_moments(np.full(keys.shape, variance), keys).squares
    if correlation >= 1 - 1e-9:
        return own
    several = keys > 1
    found: Array = np.divide(1.0, keys, out=np.zeros(keys.shape), where=keys > 0)
    joint = std**2 * max(float(correlation), -1.0)
    if abs(joint) < _WEAK:
        found[several] += joint * (1 - own[several]) ** 2 / (keys[several] - 1)
    elif several.any():
        some, member = np.unique(keys[several], return_inverse=True)
        found[several] = np.array(_shared(std, joint, tuple(some)))[member]
    return found


@lru_cache(maxsize=256)
def _shared(std: float, covariance: float, keys: tuple[float, ...]) -> tuple[float, ...]:
    """E Σ A A' of two rows whose logits have this covariance at one key.

    x = c w + u and x' = ± c w + u' with u, u' of their own. The nodes of c w lie a whole part of a
    step of ln λ apart, so that what is averaged over u is one table over sums of the two.
    """
    spread = float(np.sqrt(abs(covariance)))
    parts = int(np.ceil(_STEP / (_GAUSSIAN_STEP * spread)))
    fine = _STEP / parts
    reach = int(np.ceil(_REACH * spread / fine))
    common = np.arange(-reach, reach + 1)
    weight = fine / spread * _density(fine / spread * common)
    logs = _log_lambda(std)
    at = np.arange(len(logs))[:, None] * parts + common + reach  # places in the table, (λ, w)
    own = float(np.sqrt(max(std**2 - spread**2, 0.0)))
    u, u_weight = _normal(own)
    a, fall = _exponentials((logs[0] + fine * (np.arange(at.max() + 1) - reach))[:, None] + own * u)
    below, hit = (-np.expm1(-a) @ u_weight)[at], ((a * fall) @ u_weight)[at]
    way = slice(None, None, -1 if covariance < 0 else 1)
    product = (hit * weight) @ hit[:, way].T
    once, twice = below @ weight, (below * weight) @ below[:, way].T
    falls = once[:, None] + once - twice  # 1 − E e^(−λe^x − λ'e^x')
    return tuple(float(n * _STEP**2 * (product * _power(falls, n - 1)).sum()) for n in keys)


def _normal(std: float) -> tuple[Array, Array]:
    """Nodes of a standard normal and their weights, fine enough for functions of std times it."""
    step = min(_GAUSSIAN_STEP, _STEP / std) if std > 0 else _GAUSSIAN_STEP
    half = np.arange(0, _REACH + step, step)
    x = np.concatenate([-half[:0:-1], half])
    return x, step * _density(x)


def _density(x: Array) -> Array:
    return np.asarray(np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi))


def _log_lambda(std: float) -> Array:
    """The ln λ where an integrand is not 0: −x for any logit x, and 20 below, 4 above."""
    return np.arange(-_REACH * std - 20, _REACH * std + 4, _STEP)


def _exponentials(logs: Array) -> tuple[Array, Array]:
    """a = λe^x and e^(−a)."""
    a = np.exp(np.minimum(logs, 50.0))
    return a, np.exp(-a)


def _power(below: Array, exponent: Array | float) -> Array:
    """(1 − below)^exponent for each exponent, on a new first axis if there are several."""
    logs = np.log1p(-np.minimum(below, 1 - 1e-16))
    return np.asarray(np.exp(np.multiply.outer(exponent, logs)))
