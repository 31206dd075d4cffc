"""Columns with mean 0 and deviation 1, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.foreign.columns import Array


@dataclass(frozen=True)
class Scaling:
    """What makes every column have mean 0 and standard deviation 1; a constant one stays put.

    >>> Scaling.of(np.array([[1.0, 5.0], [3.0, 5.0]]))(np.array([[3.0, 5.0]]))
    array([[1., 0.]])
    """

    mean: Array
    deviation: Array

    @classmethod
    def of(cls, columns: Array) -> Scaling:
        """The scaling that these samples (samples, …) ask for, computed in float64."""
        values = columns.astype(np.float64)
        low, high = values.min(axis=0), values.max(axis=0)
        peak = np.maximum(np.abs(low), np.abs(high))
        unit = np.where(peak > 0, peak, 1)  # the sum of large numbers would overflow
        mean = np.clip((values / unit).mean(axis=0) * unit, low, high)
        width = np.maximum(high / 2 - mean / 2, mean / 2 - low / 2)
        spread = np.where(width > 0, width, 1)  # and so would squares; those of small ones vanish
        share = np.square((values / 2 - mean / 2) / spread).mean(axis=0) ** 0.5
        deviation = spread * (2 * share)
        return cls(mean, np.where(high > low, deviation, 1))

    def __call__(self, columns: Array) -> Array:
        """The samples scaled: in float64, or in float32 if that is what they are in."""
        apart = columns.astype(np.float64) / 2 - self.mean / 2
        scaled: Array = apart / (self.deviation / 2)
        return scaled.astype(np.float32) if columns.dtype == np.float32 else scaled

    def back(self, columns: Array) -> Array:
        """Scaled values in their own units, in float64.

        >>> Scaling(np.array([3.0]), np.array([2.0])).back(np.array([[-1.0], [1.0]]))
        array([[1.],
               [5.]])
        """
        values: Array = columns.astype(np.float64) * self.deviation + self.mean
        return values

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"mean": self.mean.tolist(), "deviation": self.deviation.tolist()}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Scaling:
        """What ``to_dict`` made plain."""
        return cls(np.asarray(told["mean"], float), np.asarray(told["deviation"], float))
