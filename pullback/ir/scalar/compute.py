"""The scalar functions at arrays: stable, and right for complex steps as well."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def sign(x: Array) -> Array:
    return np.asarray(np.sign(np.real(x))).astype(x.dtype)


def step(x: Array) -> Array:
    return np.asarray(np.heaviside(np.real(x), 0.0), x.dtype)  # NaN stays NaN


def relu(x: Array) -> Array:
    return np.where(np.real(x) <= 0, 0, x)  # so does it here, as in every target


def shrinking(x: Array) -> Array:
    """exp(−|x|), which never overflows."""
    return np.asarray(np.exp(np.where(np.real(x) > 0, -x, x)))


def sigmoid(x: Array) -> Array:
    small = shrinking(x)
    return np.asarray(np.where(np.real(x) > 0, 1 / (1 + small), small / (1 + small)))


def sigmoid_slope(x: Array) -> Array:
    small = shrinking(x)
    return np.asarray(small / (1 + small) ** 2)


def softplus(x: Array) -> Array:
    return relu(x) + np.log1p(shrinking(x))


def log_cosh(x: Array) -> Array:
    near, size = np.abs(np.real(x)) < 1, np.where(np.real(x) > 0, x, -x)
    half = np.sinh(np.where(near, x, 0) / 2)
    far = size - math.log(2) + np.log1p(shrinking(2 * x))
    return np.asarray(np.where(near, np.log1p(2 * half**2), far))


def normal_cdf(x: Array) -> Array:
    from scipy.special import erfc, ndtr  # takes as long to load as all the rest of ir

    return np.asarray(0.5 * erfc(-x / np.sqrt(2)) if np.iscomplexobj(x) else ndtr(x))


def erf(x: Array) -> Array:
    from scipy.special import erf

    return np.asarray(erf(x))


def elu(x: Array) -> Array:
    return np.where(np.real(x) > 0, x, np.expm1(-relu(-x)))
