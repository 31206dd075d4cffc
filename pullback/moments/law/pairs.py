"""Two inputs through one network: the covariance of a unit's z across them, at infinite width."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pullback.calculus.quadrature import hermite
from pullback.moments.law.activation import Moments
from pullback.moments.law.forward import Stage
from pullback.moments.law.layers import Branch, Layer
from pullback.moments.law.weights import Weights

_TERMS = 32


def covariances(
    steps: Sequence[Stage], overlap: float, weights: Sequence[Weights]
) -> dict[int, float]:
    """Cov(z, z') at each Linear for two inputs with E over features of x x' = overlap.

    Both inputs have the norm of the last case. An activation's Hermite coefficients c_n turn a
    correlation ρ into Σ c_n² ρⁿ (Mehler); 32 are used, the rest is put at the 32nd power.
    """
    found: dict[int, float] = {}
    _through(steps, overlap - float(steps[0].before.mean[-1]) ** 2, weights, found)
    return found


def _through(
    steps: Sequence[Stage], covariance: float, weights: Sequence[Weights], found: dict[int, float]
) -> float:
    for step in steps:
        if isinstance(step.op, Layer):
            law = weights[step.op.index]
            product = covariance + float(step.before.mean[-1]) ** 2
            covariance = step.op.n_in * law.variance * product + law.bias_variance
            found[step.op.index] = covariance
        elif isinstance(step.op, Branch):
            added = _through(step.inner, covariance, weights, found)
            covariance += step.op.scale**2 * added
        else:
            assert step.moments is not None
            mean = float(step.moments.m1[-1])
            covariance = correlated(step.moments, covariance) - mean**2
    return covariance


def correlated(at: Moments, covariance: float) -> float:
    """E[φ(z) φ(z')] for z, z' that each have the law of the last case, with this covariance.

    >>> from pullback.moments.law.activation import moments
    >>> from pullback.nn import ReLU
    >>> found = correlated(moments(ReLU().function, 0.0, 1.0), 0.5)
    >>> exact = (np.sqrt(0.75) + (np.pi - np.arccos(0.5)) * 0.5) / (2 * np.pi)
    >>> bool(abs(found - exact) < 1e-9)
    True
    """
    variance = float(at.variance[-1])
    weighted = at.grid.weight[-1] * at.f[-1]
    squares = (hermite(at.grid.x[-1], _TERMS) @ weighted) ** 2
    rho = min(max(covariance / variance, -1.0), 1.0) if variance > 0 else 0.0
    rest = max(float(at.m2[-1] - squares.sum()), 0.0) * abs(rho) ** _TERMS
    return float(squares @ rho ** np.arange(_TERMS)) + rest
