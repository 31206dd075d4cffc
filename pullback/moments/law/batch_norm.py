"""An activation behind batch norm in training: the law over a batch of B samples, exact in B.

Normalised units of one channel are √B times a uniform direction among those that sum to 0. So one
of them is √(B − 1) t with the density (1 − t²)^((B − 4)/2), two have the correlation −1/(B − 1).
The errors in front sum to 0, so what is left of a cotangent is one number a layer (Yang et al.
2019). Samples are taken as alike, with one covariance for all pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pullback.calculus.quadrature import Array
from pullback.errors import NotApplicableError
from pullback.ir import Scalar
from pullback.moments.law.activation import evaluator
from pullback.moments.law.units import Placed

_REACH = 9.0  # standard deviations
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(32)


@dataclass(frozen=True)
class BatchMoments:
    """E φ, E φ², E φφ′ of two samples, E φ′; and what the errors in front have of those behind.

    ``own`` is the share of an error's square, ``two`` that of its product with another sample's.
    """

    mean: float
    second: float
    product: float
    slope: float
    own: float
    two: float


@lru_cache(maxsize=64)
def batch_moments(function: Scalar, samples: int) -> BatchMoments:
    """The moments of φ of normalised units over so many samples.

    Raises NotApplicableError for fewer than 4, where E 1/σ² is infinite.

    >>> from pullback.nn import Identity
    >>> found = batch_moments(Identity().function, 8)
    >>> round(found.second, 9), round(found.product, 9)
    (1.0, -0.142857143)
    """
    if samples < 4:
        raise NotApplicableError("E 1/σ² of batch norm is infinite for fewer than 4 samples")
    b = float(samples)
    (angle, weight), root = _halves(b - 3, np.zeros(1)), np.sqrt(b - 1)
    angle, weight = angle[0], weight[0] / weight.sum()
    t = np.sin(angle)
    one = root * t
    cross = 1 / (b - 1)
    across = np.sqrt(1 - cross**2) * np.cos(angle)
    split = np.arcsin(np.clip(cross * t / np.maximum(across, 1e-300), -1, 1))
    turn, share = _halves(b - 4, split)
    share = share / share.sum(axis=1, keepdims=True)
    two = root * (-cross * t[:, None] + across[:, None] * np.sin(turn))
    with np.errstate(all="ignore"):
        f, slope = evaluator(function)(one)
        g, steep = evaluator(function)(two)
    both = weight[:, None] * share
    inside = -1 / b - one[:, None] * two / b  # P between two samples, P = I − 11ᵀ/B − x̂x̂ᵀ/B
    spread = (b - 1) / (b - 3)  # E 1/σ² · E σ²
    return BatchMoments(
        mean=float(weight @ f),
        second=float(weight @ f**2),
        product=float((both * f[:, None] * g).sum()),
        slope=float(weight @ slope),
        own=spread * float(weight @ (slope**2 * (1 - 1 / b - one**2 / b))),
        two=spread * (b - 1) * float((both * slope[:, None] * steep * inside).sum()),
    )


def _halves(power: float, split: Array) -> tuple[Array, Array]:
    """Angles and their weights cos^power on either side of each split, (splits, nodes)."""
    end = min(np.pi / 2, _REACH / np.sqrt(max(power, 1.0)))
    middle = np.clip(split, -end, end)[:, None]
    nodes, weights = [], []
    for low, high in ((np.full_like(middle, -end), middle), (middle, np.full_like(middle, end))):
        half = (high - low) / 2
        at = low + half * (1 + _POINTS)
        nodes.append(at)
        weights.append(half * _WEIGHTS * np.maximum(np.cos(at), 1e-300) ** power)
    return np.concatenate(nodes, axis=1), np.concatenate(weights, axis=1)


@dataclass(frozen=True)
class BatchBend:
    """The slope of an activation behind batch norm, for a cotangent over the whole batch."""

    moments: BatchMoments
    samples: int

    @property
    def bends(self) -> bool:
        """Its units have a law of their own."""
        return False

    def backward(self, error: Placed) -> Placed:
        """What goes on, before the norm divides it by its σ: it sums to 0 over the batch."""
        m, n = self.moments, self.samples
        usual = (n - 2) / (n - 3)  # what the norm makes of it
        pairs = error.pairs
        product = error.mean**2 if pairs is None else pairs[-1].reshape(error.mean.shape)
        second = (m.own * error.second + m.two * product) / usual
        if pairs is not None:
            both = second.reshape(pairs.shape[1:])
            pairs = np.stack([both, -both / (n - 1)])
        return Placed(error.kept, m.slope * error.mean, second, pairs)
