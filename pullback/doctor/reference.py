"""What can be learnt from the data at all: plain learners, cross-validated, and the data's limits.

A kernel machine, a linear one and the nearest sample are no networks; what they get right on
samples that they have not seen, a network that learns gets right too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.doctor.lesson import Array, Lesson

MOST = 500  # samples that are looked at
MOST_COLUMNS = 2000  # of targets
FOLDS = 4
FEW = 24  # samples: too few to hold some out
WIDTHS = (0.3, 1.0, 3.0)  # of the kernel, over the median distance
RIDGE = (1e-3, 0.1)
_DEVIATIONS = 3.0


@dataclass(frozen=True)
class Reference:
    """The best score of a plain learner on unseen samples, and of a linear one; and the ceiling.

    ``ceiling`` is the score of who knows every sample by heart: less than 1 where equal inputs
    have different targets. ``chance`` is what such a learner gets of targets that were shuffled,
    and three standard deviations more. All None where there are too few samples.
    """

    best: float | None
    linear: float | None
    chance: float | None
    ceiling: float
    twins: int

    @property
    def attainable(self) -> float:
        """A score that training has to come near: the ceiling, where nothing plain learns."""
        return min(self.best, self.ceiling) if self.best and self.signal else self.ceiling

    @property
    def signal(self) -> bool | None:
        """Is anything learnt on unseen samples? None where that is unknown."""
        if self.best is None or self.chance is None:
            return None
        return self.best > self.chance


def reference(X: Any, task: Lesson, seed: int = 0) -> Reference:
    """Measure on at most 500 samples of inputs (samples, …)."""
    features = featured(X)
    ceiling, twins = by_heart(features, task)
    n = len(features)
    if n < FEW or len(task.truth) != n or coded(task).shape[1] > MOST_COLUMNS:
        return Reference(None, None, None, ceiling, twins)
    rng = np.random.default_rng(seed)
    rows = rng.permutation(n)[:MOST]
    F, target = features[rows], coded(task)[rows]
    folds = np.arange(len(rows)) % FOLDS
    found = [
        task.score(decoded(task, guess), rows) for guess in guesses(F, target, folds, kernel=True)
    ]
    linear = max(
        task.score(decoded(task, guess), rows) for guess in guesses(F, target, folds, kernel=False)
    )
    mixed = rng.permutation(len(rows))
    luck = [
        task.score(decoded(task, guess), rows[mixed])
        for guess in guesses(F, target[mixed], folds, kernel=True)
    ]
    deviation = np.sqrt(task.trivial * (1 - task.trivial) / len(rows))
    room = 0.05 if task.kind == "values" else _DEVIATIONS * deviation
    chance = max(*luck, task.trivial) + room
    return Reference(max(*found, linear), linear, float(chance), ceiling, twins)


def featured(X: Any) -> Array:
    """Inputs as columns of mean 0 and deviation 1; whole numbers as what is there how often."""
    x = np.asarray(X)
    x = x.reshape(len(x), -1)
    if x.dtype.kind in "iub":
        values = np.unique(x)
        if len(values) * (1 + x.shape[1]) <= 2000:
            places = [(x == v) for v in values]
            counts = np.stack([p.sum(axis=1) for p in places], axis=1)
            x = np.concatenate([*places, counts], axis=1)
    x = np.nan_to_num(x.astype(np.float64), posinf=0, neginf=0)
    spread = x.std(axis=0)
    keep = spread > 1e-12 * np.maximum(np.abs(x).max(axis=0), 1e-300)
    return np.asarray((x[:, keep] - x[:, keep].mean(axis=0)) / spread[keep])


def coded(task: Lesson) -> Array:
    """The truth as numbers (samples, columns): a column for each class of each place."""
    if task.kind == "classes":
        return np.eye(task.classes)[task.truth].reshape(len(task.truth), -1)
    return task.truth.astype(np.float64)


def decoded(task: Lesson, guess: Array) -> Array:
    """Columns of numbers as the truth has them."""
    if task.kind == "classes":
        places = (len(guess), *task.truth.shape[1:], task.classes)
        return np.asarray(guess.reshape(places).argmax(axis=-1))
    return guess > 0.5 if task.kind == "flags" else guess


def guesses(F: Array, target: Array, folds: Array, *, kernel: bool) -> Iterator[Array]:
    """For each learner what it says of the samples of each fold, from those of the others."""
    grams = [F @ F.T / max(F.shape[1], 1) + 1]
    square = np.square(F).sum(axis=1)
    apart = np.maximum(square[:, None] + square - 2 * F @ F.T, 0)
    if kernel:
        scale = float(np.median(apart)) or 1.0
        grams = [np.exp(-apart / (scale * width**2)) for width in WIDTHS]
        yield nearest_says(apart, target, folds)
    for gram in grams:
        for ridge in RIDGE:
            out = np.zeros_like(target)
            for fold in range(FOLDS):
                seen, new = folds != fold, folds == fold
                mean = target[seen].mean(axis=0)
                within = gram[np.ix_(seen, seen)] + ridge * np.eye(int(seen.sum()))
                out[new] = gram[np.ix_(new, seen)] @ np.linalg.solve(within, target[seen] - mean)
                out[new] += mean
            yield out


def nearest_says(apart: Array, target: Array, folds: Array) -> Array:
    """The target of the nearest sample of another fold."""
    other = np.where(folds[:, None] == folds, np.inf, apart)
    return np.asarray(target[other.argmin(axis=1)])


def by_heart(features: Array, task: Lesson) -> tuple[float, int]:
    """The score of who knows all samples by heart, and how many have a twin that contradicts."""
    if len(task.truth) != len(features) or not features.size:
        return 1.0, 0
    _, group = np.unique(features, axis=0, return_inverse=True)
    group = group.ravel()
    target = coded(task)
    if target.shape[1] > MOST_COLUMNS:
        return 1.0, 0
    counts = np.bincount(group)
    means = np.stack([np.bincount(group, weights=c) / counts for c in target.T], axis=1)[group]
    score = task.score(decoded(task, means))
    apart = np.abs(target - means).max(axis=1) > 1e-9 * (1 + np.abs(target).max())
    return score, int(apart.sum())
