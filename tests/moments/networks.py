"""Networks and plain NumPy draws that the tests of the forecast share."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

import pullback as pb

Array = np.ndarray[Any, np.dtype[Any]]


def chain(widths: list[int], activation: Any, last: Any = None) -> Any:
    """Linear blocks of these widths with the activation between them."""
    blocks: list[Any] = []
    for n_in, n_out in pairwise(widths):
        blocks += [pb.Linear(n_in, n_out), activation]
    return pb.Sequential(*blocks[:-1], *([last] if last is not None else []))


def inputs(samples: int, features: int, seed: int = 0) -> Array:
    return np.random.default_rng([seed, 3]).normal(size=(samples, features))


def values(samples: int, outputs: int, seed: int = 0) -> Array:
    return np.random.default_rng([seed, 4]).normal(size=(samples, outputs))


def labels(samples: int, classes: int) -> Array:
    return np.arange(samples) % classes


def z_score(found: float, drawn: Array) -> float:
    """How many standard errors a number lies from the mean of draws (draws,)."""
    return float((found - drawn.mean()) / (drawn.std(ddof=1) / np.sqrt(len(drawn))))


def deltas(net: Any, scheme: Any, X: Array, Y: Array, draws: int, layer: str, seed: int = 0) -> Any:
    """δ of one sample at a layer, by ``Network.trace``, for many draws: (draws, batch, units).

    The slow way, which shares nothing with the Monte Carlo that is under test.
    """
    found = []
    for at in range(draws):
        params = net.init(seed=seed + at, scheme=scheme)
        delta = net.trace(params, X, Y).delta[layer]
        found.append(delta * (len(X) if net.criterion.reduction == "mean" else 1))
    return np.stack(found)
