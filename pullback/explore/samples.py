"""The data sets of the page: small ones, made anew from a seed, and the digits."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from pullback.data import Dataset, load
from pullback.data.dataset import Array
from pullback.errors import unknown

SAMPLES = 400
_SEED = 1  # the same points on every page


def _moons() -> tuple[Array, Array]:
    from sklearn.datasets import make_moons

    points, classes = make_moons(SAMPLES, noise=0.16, random_state=_SEED)
    return points - (0.5, 0.25), classes


def _circles() -> tuple[Array, Array]:
    from sklearn.datasets import make_circles

    points, classes = make_circles(SAMPLES, noise=0.09, factor=0.45, random_state=_SEED)
    return 1.4 * points, classes


def _blobs() -> tuple[Array, Array]:
    from sklearn.datasets import make_blobs

    centres = np.array([(-1.1, -0.7), (1.1, -0.7), (0.0, 0.9)])
    points, classes = make_blobs(SAMPLES, centers=centres, cluster_std=0.36, random_state=_SEED)
    return points, classes


def _spirals() -> tuple[Array, Array]:
    """Three arms that wind around each other."""
    rng = np.random.default_rng(_SEED)
    classes = np.arange(SAMPLES) % 3
    radius = np.sqrt(rng.uniform(0.02, 1, SAMPLES))
    angle = 4.2 * radius + 2 * np.pi * classes / 3 + 0.12 * rng.standard_normal(SAMPLES)
    return 1.7 * radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)]), classes


_MADE: dict[str, Callable[[], tuple[Array, Array]]] = {
    "moons": _moons,
    "circles": _circles,
    "blobs": _blobs,
    "spirals": _spirals,
}
LABELS = {
    "moons": "two moons",
    "circles": "two circles",
    "blobs": "three clouds",
    "spirals": "three spirals",
    "digits": "handwritten digits",
}


@lru_cache
def samples(name: str) -> Dataset:
    """The data set of that name: moons, circles, blobs, spirals (2-D) or digits (8 × 8 pixels).

    Raises UnknownNameError for another name.

    >>> samples("spirals").X.shape, samples("spirals").outputs
    ((400, 2), 3)
    """
    if name == "digits":
        return load("digits")
    if name not in _MADE:
        raise unknown("data set", name, LABELS)
    points, classes = _MADE[name]()
    names = tuple("ABC"[: int(classes.max()) + 1])
    return Dataset(name, points.astype(np.float32), classes, ("x1", "x2"), "class", names)
