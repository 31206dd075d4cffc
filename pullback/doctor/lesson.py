"""What is to be learnt, and how much of it an output has got right."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Kind = Literal["classes", "flags", "values"]

MOST_CLASSES = 50  # whole numbers of more values than these are values
CHANCES = ("cross_entropy", "nll_loss")
YES_NO = ("binary_cross_entropy", "binary_cross_entropy_with_logits")


@dataclass(frozen=True)
class Lesson:
    """Classes (one of several a sample), flags (yes or no in each column) or values.

    ``truth`` are class numbers (samples, …), flags (samples, columns) or values
    (samples, columns); ``names`` are the labels as the data have them.
    """

    kind: Kind
    truth: Array
    names: tuple[float, ...] = ()

    @classmethod
    def of(cls, Y: Array, loss: str) -> Lesson:
        """The task that targets and a loss, by its name in torch, come to."""
        if Y.dtype.kind in "biu" and loss not in YES_NO:
            return cls._classes(Y.reshape(len(Y), -1) if loss not in CHANCES else Y)
        Y = Y.astype(np.float64)
        columns = Y.reshape(len(Y), -1)
        found = np.unique(columns) if columns.size else columns
        whole = bool(np.isin(columns, (0, 1)).all())
        if columns.shape[1] == 1:
            coded = loss in (*YES_NO, *CHANCES) and len(found) <= MOST_CLASSES
            if (whole or coded) and np.equal(found, np.round(found)).all():
                return cls._classes(columns)
        elif whole and (columns.sum(axis=1) == 1).all():
            return cls("classes", columns.argmax(axis=1), tuple(range(columns.shape[1])))
        elif whole:
            return cls("flags", columns)
        elif loss == "cross_entropy" and np.allclose(columns.sum(axis=1), 1, atol=1e-3):
            return cls("classes", columns.argmax(axis=1), tuple(range(columns.shape[1])))
        return cls("values", columns)

    @classmethod
    def _classes(cls, Y: Array) -> Lesson:
        if Y.ndim == 2 and Y.shape[1] == 1:
            Y = Y[:, 0]
        names, numbers = np.unique(Y, return_inverse=True)
        return cls("classes", numbers.reshape(Y.shape), tuple(float(each) for each in names))

    @property
    def classes(self) -> int:
        """How many classes there are among the targets."""
        return len(self.names)

    def numbered(self, labels: Array) -> Array:
        """Labels as the data have them by their place in ``names``; −1 for those of no sample."""
        names = np.asarray(self.names)
        at = np.searchsorted(names, labels).clip(max=len(names) - 1)
        return np.where(names[at] == labels, at, -1)

    def from_zero(self) -> Lesson:
        """The same for labels 0, 1, … in the order of ``names``."""
        return replace(self, names=tuple(float(each) for each in range(self.classes)))

    @property
    def counts(self) -> Array | None:
        """How many samples there are of each class; None unless they are numbered from 0."""
        numbered = self.kind == "classes" and self.truth.ndim == 1 and self.classes > 1
        if not numbered or self.names != tuple(range(self.classes)):
            return None
        return np.bincount(self.truth)

    @property
    def measure(self) -> str:
        """What ``score`` is called."""
        return "R²" if self.kind == "values" else "accuracy"

    @property
    def trivial(self) -> float:
        """The score of one answer for every sample: the commonest class, or the mean.

        0 for a single sample, which the network is to memorise.
        """
        if self.kind == "values" or len(self.truth) == 1:
            return 0.0
        if self.kind == "flags":
            share = self.truth.mean(axis=0)
            return float(np.maximum(share, 1 - share).mean())
        return float(np.bincount(self.truth.ravel()).max() / self.truth.size)

    def score(self, guess: Array, rows: Any = slice(None)) -> float:
        """Accuracy, or R² over all columns; -inf for what is not finite."""
        truth = self.truth[rows]
        if self.kind != "values":
            return float(np.mean(guess == truth))
        if not np.isfinite(guess).all():
            return -np.inf
        spread = float(np.square(truth - truth.mean(axis=0)).sum())
        if not spread:  # one sample, or one value: against its size
            spread = max(float(np.square(truth).sum()), 1.0)
        left = float(np.square(np.clip(guess, -1e150, 1e150) - truth).sum())
        return 1 - left / spread

    def share(self, score: float, best: float = 1.0) -> float:
        """How much of what can be learnt a score is: 0 for one answer to all, 1 for the best.

        For values it is a correlation, √R²: then 0.8 means as much as it does for classes.
        """
        room = best - self.trivial
        part = (max(score, -1.0) - self.trivial) / room if room > 1e-9 else 1.0
        return float(np.sqrt(max(part, 0.0))) if self.kind == "values" else part
