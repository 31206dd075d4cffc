"""Residuals with weights, and losses that grow more slowly than squares where residuals are large.

A loss ρ of z = (r/C)² is written as a square of another residual, r √(ρ(z)/z): the sum of its
squares is the sum of the losses C² ρ(z), and the search need not know.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from pullback.errors import ConfigError, DataError, ShapeError, nearest
from pullback.net.checks import as_array
from pullback.plan.jacobian.operators import Array
from pullback.plan.uses.residuals import Residuals, Slopes


class Robust(ABC):
    """ρ(z) of z = (r/C)², with ρ'(0) = 1; named and scaled as SciPy's."""

    @abstractmethod
    def share(self, z: Array) -> Array:
        """ρ(z)/z."""

    @abstractmethod
    def first(self, z: Array) -> Array:
        """ρ'(z)."""

    @abstractmethod
    def second(self, z: Array) -> Array:
        """ρ''(z)."""


class Huber(Robust):
    """z up to 1, then 2√z − 1."""

    def share(self, z: Array) -> Array:
        far = np.maximum(z, 1)
        return np.asarray((2 * np.sqrt(far) - 1) / far)

    def first(self, z: Array) -> Array:
        return np.asarray(1 / np.sqrt(np.maximum(z, 1)))

    def second(self, z: Array) -> Array:
        return np.where(z > 1, -0.5 * np.maximum(z, 1) ** -1.5, 0.0)


class SoftL1(Robust):
    """2 (√(1 + z) − 1)."""

    def share(self, z: Array) -> Array:
        return np.asarray(2 / (np.sqrt(1 + z) + 1))

    def first(self, z: Array) -> Array:
        return np.asarray(1 / np.sqrt(1 + z))

    def second(self, z: Array) -> Array:
        return np.asarray(-0.5 * (1 + z) ** -1.5)


class Cauchy(Robust):
    """ln(1 + z)."""

    def share(self, z: Array) -> Array:
        safe = np.where(z > 0, z, 1.0)
        return np.where(z > 0, np.log1p(safe) / safe, 1.0)

    def first(self, z: Array) -> Array:
        return np.asarray(1 / (1 + z))

    def second(self, z: Array) -> Array:
        return np.asarray(-1 / (1 + z) ** 2)


LOSSES: dict[str, Robust] = {"soft_l1": SoftL1(), "huber": Huber(), "cauchy": Cauchy()}


def loss_named(name: str) -> Robust | None:
    """The loss, or None for squares; raises ConfigError for another name."""
    if name == "linear":
        return None
    if name not in LOSSES:
        raise ConfigError(f"loss {name!r} is unknown: {nearest(str(name), ['linear', *LOSSES])}")
    return LOSSES[name]


class Weighted(Residuals):
    """√w (y − model), or what a loss makes of it."""

    def __init__(
        self,
        base: Residuals,
        root: Array,
        loss: Robust | None = None,
        scale: float = 1.0,
        absolute: bool = False,
    ) -> None:
        self.base, self.loss, self.absolute = base, loss, absolute
        self.root = root.astype(base.target.dtype)
        self.scale = self.root.dtype.type(scale)
        self.start, self.unravel, self.frozen = base.start, base.unravel, base.frozen
        self.target = base.target
        with np.errstate(all="ignore"):
            self.size = float(np.linalg.norm(base.target.ravel() * root))

    def params(self, vector: Array) -> dict[str, Array]:
        return self.base.params(vector)

    def misfit(self, vector: Array) -> Array:
        return self.base.misfit(vector)

    def at(self, vector: Array) -> Array:
        with np.errstate(all="ignore"):
            r = self.base.at(vector) * self.root
            if self.loss is not None:
                r = r * np.sqrt(self.loss.share((r / self.scale) ** 2))
            return np.asarray(r)

    def slopes(self, vector: Array) -> Slopes:
        rows = self.root
        if self.loss is not None:
            z = (self.base.at(vector) * self.root / self.scale) ** 2
            rows = rows * self.loss.first(z) / np.sqrt(self.loss.share(z))
        return self.base.slopes(vector).times(rows)

    def variance(self, vector: Array, freedom: int) -> float:
        """That of a residual of weight 1; after a loss, its stand-in (Huber 1981, §7.6).

        With ψ = ρ'(z) r: K² Σ ψ² / freedom / mean(ψ')², where K = 1 + p/n var(ψ')/mean(ψ')².
        """
        r = self.base.at(vector) * self.root
        if self.absolute:
            return 1.0
        if self.loss is None:
            return float(r @ r) / freedom
        z = (r / self.scale) ** 2
        first = self.loss.first(z)
        slope = first + 2 * z * self.loss.second(z)
        mean = float(slope.mean())
        if mean <= 0:  # most residuals lie where the loss bends down: no error can be told
            return float("inf")
        correction = 1 + vector.size / r.size * float(slope.var()) / mean**2
        return float(correction**2) * float(np.sum((first * r) ** 2)) / freedom / mean**2

    def plain(self) -> Residuals:
        return self if self.loss is None else Weighted(self.base, self.root)


def roots(shape: tuple[int, ...], weights: Any, sigma: Any) -> Array | None:
    """√weights or 1/sigma, one for each number of y, or None where there are neither.

    Raises ConfigError for both, ShapeError for another length and DataError for what is not
    positive and finite.

    >>> roots((2,), None, [0.5, 2.0])
    array([2. , 0.5])
    """
    if weights is None and sigma is None:
        return None
    if weights is not None and sigma is not None:
        raise ConfigError("weights and sigma say the same: weights = 1/sigma²; give one")
    name, given = ("weights", weights) if sigma is None else ("sigma", sigma)
    held = as_array(name, given).astype(np.float64)
    if held.ndim and held.shape != shape and (*held.shape, 1) != shape:
        raise ShapeError(f"{name} has shape {held.shape}; expected one for each of y's {shape}")
    bad = np.argwhere(~((held > 0) & np.isfinite(held)))
    if len(bad):
        at = f"[{', '.join(map(str, bad[0]))}]" if held.ndim else ""
        raise DataError(
            f"{name}{at} is {held[tuple(bad[0])]:g}; expected positive, finite numbers. Leave out "
            "what must not count"
        )
    if held.ndim and held.shape != shape:
        held = held[..., None]
    every = np.broadcast_to(held, shape).ravel()
    return np.sqrt(every) if sigma is None else 1 / every
