"""Bounds: what they are, and a search whose steps stay within them.

An unknown at a bound that the sum of squares pushes outwards is held there; a step that would cross
other bounds stops at them, and the rest of it is found anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.errors import ConfigError, unknown
from pullback.net.checks import as_array
from pullback.net.vector import ravel
from pullback.plan.jacobian.operators import Array
from pullback.plan.uses.residuals import Columns, Residuals
from pullback.plan.uses.search import Proposal, Search, coefficients, damping_for


@dataclass(frozen=True)
class Box:
    """The lower and the upper bound of each unknown in the vector."""

    low: Array
    high: Array

    def held(self, x: Array, pull: Array) -> Array:
        """Which unknowns are at a bound that the descent pulls them over?"""
        return ((x <= self.low) & (pull <= 0)) | ((x >= self.high) & (pull >= 0))


def box_of(bounds: Mapping[str, Any], residuals: Residuals) -> Box:
    """The bounds of all unknowns; raises ConfigError if one is empty or excludes the start."""
    values = residuals.unravel(residuals.start)
    if not isinstance(bounds, Mapping):
        raise ConfigError("bounds are (low, high) for unknowns by name, as {'k': (0, None)}")
    for name in bounds:
        if name in residuals.frozen:
            raise ConfigError(f"{name!r} is fixed; leave it out of the bounds")
        if name not in values:
            raise unknown("bound", name, values)
    sides = [
        {name: _side(name, bounds.get(name), side, value) for name, value in values.items()}
        for side in (0, 1)
    ]
    low, high = (ravel(side)[0] for side in sides)
    for label, at, least, most in zip(residuals.labels, residuals.start, low, high, strict=True):
        if not least < most:
            raise ConfigError(
                f"the bounds of {label} are ({least:g}, {most:g}); nothing is between"
            )
        if not least <= at <= most:
            raise ConfigError(
                f"{label} starts at {at:g}, outside its bounds ({least:g}, {most:g}); start it "
                "between them, or widen them"
            )
    return Box(low, high)


def _side(name: str, pair: Any, side: int, value: Array) -> Array:
    open_end = np.full_like(value, (-np.inf, np.inf)[side])
    if pair is None:
        return open_end
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise ConfigError(f"the bounds of {name} are {pair!r}; expected (low, high), None for open")
    if pair[side] is None:
        return open_end
    held = as_array(name, pair[side])
    if held.dtype.kind not in "fiu" or held.shape not in ((), value.shape):
        raise ConfigError(
            f"a bound of {name} is {pair[side]!r}; expected a number, or one for each"
        )
    return np.broadcast_to(held, value.shape).astype(value.dtype)


class BoundedSearch(Search):
    """A search within a box."""

    def __init__(self, residuals: Residuals, tolerance: float, region: float, box: Box) -> None:
        self.box = box
        super().__init__(residuals, tolerance, region)

    @property
    def _columns(self) -> Array:
        return self.slopes.columns().J

    @property
    def held(self) -> Array:
        return self.box.held(self.x, self._columns.T @ self.r)

    def squares_near(self, scale: Array) -> tuple[Array, Array]:
        free = ~self.held
        if not free.any():
            return np.zeros(0), np.zeros(0)
        s, c, _ = Columns(self._columns[:, free]).spectrum(scale[free], self.r)
        return s, c

    def propose(self, scale: Array, radius: float) -> Proposal:
        """The step of the linear model within the box: each bound that it crosses is fixed."""
        J, free, move, damping = self._columns, ~self.held, np.zeros_like(self.x), 0.0
        while free.any():
            s, c, step_of = Columns(J[:, free]).spectrum(scale[free], self.r - J @ move)
            damping = damping_for(s, c, radius)
            there = move.copy()
            there[free] = step_of(coefficients(s, c, damping))
            inside = self.within(there)
            crossed = free & (inside != there)
            if not crossed.any():
                move = there
                break
            move[crossed], free = inside[crossed], free & ~crossed
        slope = J @ move
        fall = float(2 * (self.r @ slope) - slope @ slope)
        return Proposal(move, float(np.linalg.norm(scale * move)), fall, damping)

    def within(self, move: Array) -> Array:
        """The move, cut off where it leaves the box."""
        return np.where(
            self.x + move < self.box.low,
            self.box.low - self.x,
            np.where(self.x + move > self.box.high, self.box.high - self.x, move),
        )

    def moved(self, move: Array) -> Array:
        return np.asarray(np.clip(self.x + move, self.box.low, self.box.high))
