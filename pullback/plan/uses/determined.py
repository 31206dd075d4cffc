"""Which unknowns do the data determine, and how well? Read off R of J = Q R."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pullback.plan.jacobian.operators import Array

HOPELESS = 1e5  # an unknown is undetermined if its error is so many times its size


@dataclass(frozen=True)
class Determined:
    """What R says of each unknown.

    ``shape`` is (Jᵀ J)⁻¹ (p, p), infinite on the diagonal for an unknown that a direction without
    influence moves, and the pseudo-inverse among the others. ``dead`` are the unknowns that hardly
    change the model on their own, ``mixed`` those that others can make up for.
    """

    shape: Array
    rank: int
    dead: tuple[int, ...]
    mixed: tuple[int, ...]

    def among(self, free: Array) -> Determined:
        """The same, for all unknowns, where only some were free; those held have no error."""
        places = np.flatnonzero(free)
        shape = np.full((free.size, free.size), np.nan)
        shape[np.ix_(places, places)] = self.shape
        dead, mixed = (tuple(places[list(at)].tolist()) for at in (self.dead, self.mixed))
        return Determined(shape, self.rank, dead, mixed)


def determined(R: Array, deviation: float, sizes: Array, rounding: float = 0.0) -> Determined:
    """Which unknowns are determined, where residuals deviate by so much and unknowns are so large.

    What changes the model by no more than a few ``rounding`` has no influence, either.

    >>> found = determined(np.diag([2.0, 0.0]), 1.0, np.ones(2))
    >>> found.rank, found.dead, found.shape.tolist()
    (1, (1,), [[0.25, 0.0], [0.0, inf]])
    """
    lengths = np.linalg.norm(R, axis=0)
    dead = (lengths * HOPELESS * sizes <= deviation) | (lengths * sizes <= 16 * rounding)
    scale = np.where(dead, 1.0, lengths)
    _, s, Vt = np.linalg.svd(np.where(dead, 0.0, R) / scale)
    limit = s.max(initial=0.0) * max(R.shape) * float(np.finfo(R.dtype).eps)
    rank = int(np.sum(s > limit))
    root = (Vt[:rank].T / s[:rank]) / scale[:, None]
    without = Vt[rank:].T  # the directions that change nothing
    moved = without @ without.T
    free = np.diagonal(moved) > 1e-8
    shape = root @ root.T
    linked = np.abs(moved) > 1e-8
    shape = np.where(linked, np.copysign(np.inf, moved), shape)
    vague = deviation * np.sqrt(np.where(free, 0.0, np.diagonal(shape))) > HOPELESS * sizes
    mixed = ~dead & (free | vague)
    return Determined(
        shape,
        rank,
        tuple(np.flatnonzero(dead).tolist()),
        tuple(np.flatnonzero(mixed).tolist()),
    )


def listed(labels: Sequence[str], at: Sequence[int]) -> str:
    """A few names in a row.

    >>> listed(["a", "b", "c", "d", "e"], [0, 1, 2, 4])
    'a, b, c and 1 more'
    """
    names = [labels[each] for each in at]
    if len(names) > 3:
        return f"{', '.join(names[:3])} and {len(names) - 3} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
