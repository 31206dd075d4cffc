"""The real data as cases: what of each sample the recursions need, in groups if there are many.

The maps of a forecast are not linear, so they are averaged over the data, never taken at its mean.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np
from scipy.cluster.vq import kmeans2

from pullback.calculus.quadrature import Array
from pullback.errors import DataError

GROUPS = 16  # of samples with nearly the same ‖x‖²/n; the error is second order in their spread
CLUSTERS = 64  # the same where the mean of x and the targets matter as well


@dataclass(frozen=True)
class Cases:
    """Groups of samples: each array is (cases,), ``weight`` sums to 1.

    The last case has no weight: it is the data taken at their mean, for what needs one case only.

    ``mean`` and ``square`` are of the inputs x over features; ``target`` and ``target_square`` of
    the targets over outputs; ``overlap`` is the mean of x·x'/n over pairs of different samples.
    ``sums`` holds the mean over samples of (Σ_k y_k)².
    """

    weight: Array
    mean: Array
    square: Array
    target: Array
    target_square: Array
    sums: Array
    members: tuple[Array, ...]
    overlap: float

    def mean_case(self) -> Cases:
        """The data at their mean, as the only case."""
        last = {
            name: getattr(self, name)[-1:]
            for name in ("mean", "square", "target", "target_square", "sums", "members")
        }
        return Cases(weight=np.ones(1), overlap=self.overlap, **last)

    def minus(self, shift: float, outputs: int) -> Cases:
        """The same with a constant taken off every target: a bias of the read-out, seen as such."""
        if not shift:
            return self
        total = outputs * self.target  # Σ_k y_k
        return replace(
            self,
            target=self.target - shift,
            target_square=self.target_square - 2 * shift * self.target + shift**2,
            sums=self.sums - 2 * outputs * shift * total + (outputs * shift) ** 2,
        )

    def average(self, values: Array) -> float:
        """The mean over the data of one value a case."""
        return float(self.weight @ np.broadcast_to(values, self.weight.shape))


def cases(x: Array, target: Array, means_matter: bool) -> Cases:
    """The cases of X (batch, features) and targets (batch, outputs).

    Up to 16 samples each sample is a case of its own. ``means_matter`` if weights or targets make
    the mean of x or the targets enter nonlinearly: then there are up to 64.
    Raises DataError if X is zero everywhere.
    """
    if not x.any():
        raise DataError("X is zero everywhere: every z is a bias, whatever the weights; give data")
    x, target = x.astype(float), target.astype(float)
    with np.errstate(over="ignore", invalid="ignore"):  # the recursion says where it overflows
        return _cases(x, target, means_matter)


def _cases(x: Array, target: Array, means_matter: bool) -> Cases:
    mean, square = x.mean(axis=1), np.mean(x**2, axis=1)
    labels = _groups(square, mean, target.mean(axis=1), means_matter)
    members = tuple(np.flatnonzero(labels == g) for g in np.unique(labels))
    everyone = np.arange(len(x))

    def by_group(values: Array) -> Array:
        return np.array([values[m].mean() for m in (*members, everyone)])

    n = len(x)
    total = x.sum(axis=0)
    pairs = (total @ total - (x**2).sum()) / (n * (n - 1)) if n > 1 else float((x**2).sum())
    return Cases(
        weight=np.array([*(len(m) / n for m in members), 0.0]),
        mean=by_group(mean),
        square=by_group(square),
        target=by_group(target.mean(axis=1)),
        target_square=by_group(np.mean(target**2, axis=1)),
        sums=by_group(target.sum(axis=1) ** 2),
        members=(*members, everyone),
        overlap=float(pairs / x.shape[1]),
    )


def _groups(square: Array, mean: Array, target: Array, means_matter: bool) -> Array:
    """A label for each sample: its group."""
    n = len(square)
    if n <= (CLUSTERS if means_matter else GROUPS):
        return np.arange(n)
    if not means_matter:
        labels = np.empty(n, int)
        for group, held in enumerate(np.array_split(np.argsort(square, kind="stable"), GROUPS)):
            labels[held] = group
        return labels
    columns = [(c - c.mean()) / c.std() for c in (square, mean, target) if c.std() > 1e-12]
    if not columns:
        return np.zeros(n, int)
    points, label = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
    if len(points) > CLUSTERS:
        with warnings.catch_warnings():  # a cluster without samples is one case less
            warnings.filterwarnings("ignore", message="One of the clusters is empty")
            clusters = kmeans2(points[label.ravel()], CLUSTERS, minit="++", seed=0)[1]
        return np.asarray(clusters)
    return np.asarray(label.ravel())
