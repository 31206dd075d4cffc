"""Noise: inputs that a network draws itself, by a law, while it is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.ir import Input

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Bernoulli:
    """Independent entries, each 1 with probability ``mean`` and else 0."""

    mean: float

    @property
    def square(self) -> float:
        """E x²."""
        return self.mean

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator, dtype: Any) -> Array:
        """An array of such entries."""
        return (rng.random(shape) < self.mean).astype(dtype)


@dataclass(frozen=True)
class NormalNoise:
    """Independent entries of mean 0 and variance 1."""

    mean = 0.0
    square = 1.0

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator, dtype: Any) -> Array:
        """An array of such entries."""
        return rng.normal(size=shape).astype(dtype)


@dataclass(frozen=True)
class UniformNoise:
    """Independent entries from 0 to 1."""

    mean = 1 / 2
    square = 1 / 3

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator, dtype: Any) -> Array:
        """An array of such entries."""
        return rng.random(shape).astype(dtype)


NoiseLaw = Bernoulli | NormalNoise | UniformNoise


@dataclass(frozen=True)
class Noise:
    """An input and the law that it is drawn by."""

    leaf: Input
    law: NoiseLaw
