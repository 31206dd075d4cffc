"""Samples with their targets, what they are called, and how they are split."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from pullback.data.preprocessing import Preprocessing
from pullback.data.table import Table
from pullback.data.target import TargetColumn
from pullback.errors import ConfigError, DataError, whole

Array = np.ndarray[Any, np.dtype[Any]]
Target = Literal["values", "classes", "signs", "probabilities"]
_LARGEST_SEED = 2**32 - 1  # of NumPy's RandomState, which splits


@dataclass(frozen=True)
class Dataset:
    """Features ``X`` (samples, features) and one target ``Y`` a sample, with all their digits.

    Both are in float64 where the file does not say float32: scale them before they are rounded to
    float32 for training. Where ``classes`` names the classes, ``Y`` (samples,) numbers them from 0;
    where it is empty, ``Y`` (samples,) or (samples, outputs) holds values. ``image_shape`` is
    (height, width) if a sample is a picture. ``notes`` say what was guessed about a file, and what
    was left out. ``preprocessing`` is how a file became X and Y; where that was a ``table``, it is
    ``fitted`` on all its rows, and ``split`` fits it on the training rows alone.
    Raises DataError for data that nothing can be learnt from.

    >>> data = Dataset("coins", np.eye(2, dtype=np.float32), np.array([0, 1]), ("a", "b"),
    ...                classes=("heads", "tails"))
    >>> data.outputs, len(data)
    (2, 2)
    """

    name: str
    X: Array
    Y: Array
    features: tuple[str, ...]
    target: str = "Y"
    classes: tuple[str, ...] = ()
    image_shape: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()
    fitted: Preprocessing | None = field(default=None, repr=False)
    table: Table | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if len(self.X) == 0:
            raise DataError(f"{self.name} is empty: it has no samples")
        if self.X.shape[1] == 0:
            raise DataError(f"{self.name} has no features beside its target {self.target!r}")
        if len(self.X) != len(self.Y):
            raise DataError(f"{self.name}: X has {len(self.X)} samples, Y has {len(self.Y)}")
        if len(self.classes) == 1:
            raise DataError(
                f"{self.name}: every target is {self.classes[0]!r}; there is nothing to learn"
            )

    def __len__(self) -> int:
        return len(self.X)

    @property
    def preprocessing(self) -> Preprocessing:
        """How a file became X and Y; arrays are taken as they are."""
        if self.fitted is not None:
            return self.fitted
        return Preprocessing(TargetColumn(self.target, self.classes), arrays=self.X.shape[1])

    @property
    def outputs(self) -> int:
        """How many outputs a network for this data has: one a class, or one a value."""
        return len(self.classes) or (self.Y.shape[1] if self.Y.ndim == 2 else 1)

    def take(self, rows: Array) -> Dataset:
        """The samples at these places."""
        table = None if self.table is None else self.table.take(rows)
        return replace(self, X=self.X[rows], Y=self.Y[rows], table=table)

    def encoded(self, preprocessing: Preprocessing) -> Dataset:
        """The same samples with features as this preprocessing makes them of the table."""
        if self.table is None:
            return self
        X, _ = preprocessing.encode(self.table)
        return replace(self, X=X, features=preprocessing.features, fitted=preprocessing)

    def targets(self, kind: Target, width: int) -> Array:
        """The targets as a loss of that kind reads them, for a network with so many outputs.

        Raises DataError where the data has no such targets.
        """
        if kind == "values":
            return self._values()
        if kind == "classes" and self.classes and len(self.classes) <= width:
            return self.Y
        if not self.classes:
            return self.Y  # the loss looks at their range
        if width == 1 and len(self.classes) == 2:
            column = self.Y.astype(np.float32)[:, None]
        elif width == len(self.classes):
            column = np.eye(width, dtype=np.float32)[self.Y]
        else:
            raise DataError(
                f"{self.name} has {len(self.classes)} classes, the network {width} "
                f"output{'s' if width > 1 else ''}; "
                f"expected {'1 or 2' if len(self.classes) == 2 else len(self.classes)}"
            )
        return 2 * column - 1 if kind == "signs" else column

    def _values(self) -> Array:
        if not self.classes:
            return self.Y
        try:
            return np.array([float(each) for each in self.classes])[self.Y]
        except ValueError:
            raise DataError(
                f"{self.name}: the target {self.target!r} holds classes "
                f"({', '.join(self.classes[:3])}, …), not values; use a loss such as cross_entropy"
            ) from None


def split(dataset: Dataset, test: float = 0.2, seed: int = 0) -> tuple[Dataset, Dataset]:
    """The samples to learn from and those to test with; scikit-learn's, each class shared alike.

    Medians and categories are those of the samples to learn from.

    Raises ConfigError for a share that is not between 0 and 1, DataError if a part were empty.

    >>> data = Dataset("d", np.eye(10, dtype=np.float32), np.arange(10) % 2, tuple("abcdefghij"),
    ...                classes=("even", "odd"))
    >>> train, test = split(data, test=0.2)
    >>> len(train), sorted(test.Y.tolist())
    (8, [0, 1])
    """
    learn, held = split_rows(len(dataset), dataset.Y if dataset.classes else None, test, seed)
    train, rest = dataset.take(learn), dataset.take(held)
    if train.table is None:
        return train, rest
    fitted = dataset.preprocessing.refitted(train.table)
    return train.encoded(fitted), rest.encoded(fitted)


def split_rows(
    samples: int, classes: Array | None, test: float = 0.2, seed: int = 0
) -> tuple[Array, Array]:
    """The places of the samples to learn from and of those to test with; see ``split``."""
    from sklearn.model_selection import train_test_split

    if not 0 < test < 1:
        raise ConfigError(f"test is {test}; expected a share between 0 and 1, such as 0.2")
    if whole("seed", seed, least=0) > _LARGEST_SEED:
        raise ConfigError(f"seed is {seed}; expected at most {_LARGEST_SEED}")
    held = math.ceil(test * samples)
    if held == samples:
        raise DataError(f"there are {samples} samples: too few to test with a share of {test:g}")
    present = np.unique(classes, return_counts=True)[1] if classes is not None else np.array([0])
    fits = present.min() > 1 and min(held, samples - held) >= len(present)
    learn, rest = train_test_split(
        np.arange(samples), test_size=held, random_state=seed, stratify=classes if fits else None
    )
    return learn, rest
