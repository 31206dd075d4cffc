"""Levenberg–Marquardt from one start.

The damping is chosen so that the step stays in a region where the linear model holds, and the
region grows and shrinks by how well it held: Moré, "The Levenberg–Marquardt algorithm:
implementation and theory" (1978). Unknowns are scaled by the lengths of their columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pullback.errors import NonFiniteError
from pullback.plan.jacobian.operators import Array
from pullback.plan.uses.determined import Determined, determined, listed
from pullback.plan.uses.fitted import LeastSquares
from pullback.plan.uses.residuals import Residuals, Slopes

STUCK = "the unknowns no longer move"
SETTLED = "the sum of squares no longer falls"
GROWN = 10  # an unknown so many times its start has run away, if the data do not determine it


@dataclass(frozen=True)
class Proposal:
    """A step of the linear model: how long when scaled, and by how much the squares should fall."""

    move: Array
    length: float
    fall: float
    damping: float


class Search:
    """The state of one search."""

    def __init__(self, residuals: Residuals, tolerance: float, region: float) -> None:
        self.residuals, self.region = residuals, region
        self.x = residuals.start.copy()
        eps = float(np.finfo(self.x.dtype).eps)
        self.tolerance = max(tolerance, eps)
        self.r = residuals.at(self.x)
        with np.errstate(all="ignore"):
            self.rss = float(self.r @ self.r)
        if not np.isfinite(self.rss):
            raise NonFiniteError("the model is not finite at the start, or its square overflows")
        self.slopes = residuals.slopes(self.x)
        lost = np.flatnonzero(~np.isfinite(self.slopes.scales))
        if lost.size:
            at = f" by {residuals.labels[lost[0]]}" if self.slopes.scales.size > 1 else ""
            raise NonFiniteError(f"the model's slope{at} is not finite at the start")
        self.evaluations, self.taken = 1, 0
        self.reason: str | None = None
        # of y, or of the model where y is zero: what is far below it is nothing
        self.size = max(residuals.size, float(np.sqrt(self.rss)))
        self.at_start = self._determined()

    @property
    def held(self) -> Array:
        """The unknowns that cannot move, being at a bound."""
        return np.zeros(self.x.shape, dtype=bool)

    def squares_near(self, scale: Array) -> tuple[Array, Array]:
        """The singular values of the scaled Jacobian, and Uᵀ r."""
        s, c, self._step_of = self.slopes.spectrum(scale, self.r)
        self._spectrum = s, c
        return s, c

    def propose(self, scale: Array, radius: float) -> Proposal:
        """The step of the linear model that is not longer than the radius."""
        s, c = self._spectrum
        damping = damping_for(s, c, radius)
        w = coefficients(s, c, damping)
        fall = float(2 * (c @ (s * w)) - np.sum((s * w) ** 2))
        return Proposal(self._step_of(w), float(np.linalg.norm(w)), fall, damping)

    def moved(self, move: Array) -> Array:
        """The unknowns after a move."""
        return self.x + move

    def run(self, iterations: int) -> None:
        scale = _safe(self.slopes.scales) * np.ones_like(self.x)
        radius = self.region * (self._length(scale, self.x) or 1.0)
        while self.taken < iterations and self.reason is None:
            self.taken += 1
            s, c = self.squares_near(scale)
            if self.rss == 0 or np.linalg.norm(s * c) <= self._flat(s):
                self.reason = "the gradient vanishes"
                break
            accepted = False
            while not accepted and self.reason is None:
                step = self.propose(scale, radius)
                accepted, ratio = self._try(step)
                if ratio < 0.25:
                    radius = min(radius, step.length) * (0.1 if ratio < 0 else 0.5)
                elif ratio > 0.75 or step.damping == 0:
                    radius = 2 * step.length
                self.reason = self._finished(step, ratio, radius, scale)
            if accepted:
                scale = np.maximum(scale, _safe(self.slopes.scales))
        if self.reason in (SETTLED, STUCK):
            self._polish(scale)
        self._judge(scale)

    def _polish(self, scale: Array) -> None:
        """Squares show half the digits of the unknowns: go on while the gradient falls."""
        for _ in range(20):
            before = self.x, self.r, self.rss, self.slopes
            s, c = self.squares_near(scale)
            gradient = float(np.linalg.norm(s * c))
            step = self.propose(scale, np.inf)
            if step.length > 1e-3 * self._length(scale, self.x):
                return  # a flat place: digits are no matter there
            self.x = self.moved(step.move)
            self.r, self.slopes = self.residuals.at(self.x), self.residuals.slopes(self.x)
            self.evaluations += 1
            with np.errstate(all="ignore"):
                self.rss = float(self.r @ self.r)
            fine = self.rss <= before[2] * (1 + 1e-12) and bool(
                np.isfinite(self.slopes.scales).all()
            )
            if fine:
                s, c = self.squares_near(scale)
                fine = float(np.linalg.norm(s * c)) < 0.9 * gradient
            if not fine:
                self.x, self.r, self.rss, self.slopes = before
                return

    def _judge(self, scale: Array) -> None:
        """Is where the search ended a minimum, with all unknowns at work?"""
        self.found = self._determined()
        self.warning = self.fault = ""
        labels, found = self.residuals.labels, self.found
        at_bounds = np.flatnonzero(self.held).tolist()
        if at_bounds:
            verb, bound = ("is", "a bound") if len(at_bounds) == 1 else ("are", "bounds")
            self.warning = f"{listed(labels, at_bounds)} {verb} at {bound}"
        if found is not None and found.dead:
            self.fault = self._lost(found.dead)
        elif found is not None and found.mixed:
            text = f"the data do not determine {listed(labels, found.mixed)}"
            if len(found.mixed) > 1:
                text += ", only how they act together"
            # what cannot be told apart at the start either is the model's nature, and no fault
            if self.at_start is not None and set(found.mixed) <= set(self.at_start.mixed):
                self.warning = "; ".join(filter(None, (self.warning, text)))
            else:
                ran = self._grown(found.mixed)
                where = f"{_ran_away(labels, ran)} to a flat place, where " if ran else ""
                self.fault = f"{where}{text}; try another start" + (", or bounds" if ran else "")
        if not self.fault and self.reason == STUCK:
            s, c = self.squares_near(scale)
            # the share of the residuals that a step should still remove (Bates and Watts 1988)
            left = float(np.linalg.norm(coefficients(s, c, 0.0) * s))
            deviation = float(np.sqrt(self.rss))
            seen = left**2 > 2 * deviation * self._rounding()  # else rounding hides such a fall
            if left > 1e-3 * deviation and seen:
                self.fault = "no step lowers the sum of squares, though its gradient is not 0"

    def _lost(self, dead: tuple[int, ...]) -> str:
        labels = self.residuals.labels
        names = listed(labels, dead)
        verb, it = ("has", "it") if len(dead) == 1 else ("have", "them")
        ran = self._grown(dead)
        if not ran:
            return (
                f"{names} {verb} no influence on the model there; try another start, or leave "
                f"{it} out"
            )
        return (
            f"{_ran_away(labels, ran)} to a flat place, where {names} {verb} no influence on the "
            "model; try another start, or bounds"
        )

    def _grown(self, among: tuple[int, ...]) -> list[int]:
        """Those that are many times as large as they, or 1, were at the start."""
        limit = GROWN * np.maximum(np.abs(self.residuals.start), 1.0)
        return [at for at in among if abs(self.x[at]) > limit[at]]

    @property
    def sound(self) -> bool:
        """Has it found a minimum, or only run out of iterations?"""
        return not self.fault

    @property
    def hopeless(self) -> bool:
        """Had what has no influence none at the start either?"""
        if self.found is None or self.at_start is None or not self.found.dead:
            return False
        return set(self.found.dead) <= set(self.at_start.dead)

    def result(self, taken: int, evaluations: int) -> LeastSquares:
        """The record; ``taken`` and ``evaluations`` count all searches."""
        every = range(self.x.size)
        ran = self._grown(tuple(every)) if self.reason is None and not self.fault else []
        left = f", and {_ran_away(self.residuals.labels, ran)}" if ran else ""
        stopped = f"stopped after {taken} iteration{'' if taken == 1 else 's'}{left}"
        found = self._certainty()
        count = self.x.size if found is None else min(found.rank, self.x.size)
        freedom = self.r.size - count
        free = self.x.size - int(self.held.sum())
        return LeastSquares.of(
            params=self.residuals.params(self.x),
            frozen=tuple(self.residuals.frozen),
            rss=self.rss,
            residuals=self.residuals.misfit(self.x),
            shape=None if found is None or self.r.size <= free else found.shape,
            variance=self.residuals.variance(self.x, freedom) if freedom > 0 else float("nan"),
            freedom=freedom,
            start=self.residuals.params(self.residuals.start),
            target=self.residuals.target,
            iterations=taken,
            evaluations=evaluations,
            converged=self.reason is not None and not self.fault,
            reason=self.fault or self.reason or stopped,
            warning=self.fault or self.warning,
        )

    def _certainty(self) -> Determined | None:
        """What the data say of the unknowns, all residuals counting as squares."""
        plain = self.residuals.plain()
        if plain is self.residuals or self.found is None:
            return self.found
        return self._determined(plain.slopes(self.x))

    def _determined(self, slopes: Slopes | None = None) -> Determined | None:
        R = (slopes or self.slopes).triangle()
        if R is None:
            return None
        free = ~self.held
        freedom = max(self.r.size - int(free.sum()), 1)
        deviation = max(float(np.sqrt(self.rss / freedom)), self._rounding())
        sizes = np.maximum(np.maximum(np.abs(self.x), np.abs(self.residuals.start)), 1.0)
        if free.all():
            return determined(R, deviation, sizes, self._rounding())
        return determined(R[:, free], deviation, sizes[free], self._rounding()).among(free)

    def _rounding(self) -> float:
        eps = float(np.finfo(self.x.dtype).eps)
        return eps * self.size

    def _try(self, step: Proposal) -> tuple[bool, float]:
        """Take the step if the sum of squares falls; the ratio of the fall to the predicted one."""
        x = self.moved(step.move)
        r = self.residuals.at(x)
        self.evaluations += 1
        with np.errstate(all="ignore"):
            rss = float(r @ r)
        before = self.rss
        ratio = (before - rss) / step.fall if np.isfinite(rss) and step.fall > 0 else -1.0
        self.fall = before - rss if np.isfinite(rss) else np.inf
        if ratio < 1e-4:
            return False, ratio
        slopes = self.residuals.slopes(x)
        if not np.isfinite(slopes.scales).all():
            return False, -1.0
        self.x, self.r, self.rss, self.slopes = x, r, rss, slopes
        return True, ratio

    def _finished(self, step: Proposal, ratio: float, radius: float, scale: Array) -> str | None:
        small = self.tolerance * self.rss
        if step.fall <= small and abs(self.fall) <= small and ratio <= 2:
            return SETTLED
        if min(radius, step.length) <= self.tolerance * self._length(scale, self.x):
            return STUCK
        return None

    def _flat(self, s: Array) -> float:
        eps = float(np.finfo(s.dtype).eps)
        return eps * eps * float(s.max(initial=0.0)) * float(np.sqrt(self.rss))

    @staticmethod
    def _length(scale: Array, x: Array) -> float:
        return float(np.linalg.norm(scale * x))


def _ran_away(labels: Sequence[str], at: Sequence[int]) -> str:
    return f"{listed(labels, at)} ran away"


def _safe(scales: Array) -> Array:
    """The scale of a column without influence is 1."""
    return np.where(scales > 0, scales, 1.0).astype(scales.dtype)


def coefficients(s: Array, c: Array, damping: float) -> Array:
    """s c / (s² + λ); without damping directions of no influence are left alone."""
    if damping:
        return np.asarray(s * c / (s * s + s.dtype.type(damping)))
    known = s > s.max(initial=0.0) * len(s) * np.finfo(s.dtype).eps
    return np.where(known, c / np.where(known, s, 1), 0).astype(s.dtype)


def damping_for(s: Array, c: Array, radius: float) -> float:
    """The λ ≥ 0 at which the step is as long as the region allows: Newton on 1/radius − 1/length.

    The function is concave there, so the iteration climbs to the root from the left.
    """
    if np.linalg.norm(coefficients(s, c, 0.0)) <= radius:
        return 0.0
    low, high = 0.0, float(np.linalg.norm(s * c) / radius)
    damping = 1e-3 * high
    for _ in range(60):
        w = coefficients(s, c, damping)
        length = float(np.linalg.norm(w))
        if abs(length - radius) <= 0.01 * radius:
            break
        low, high = (damping, high) if length > radius else (low, damping)
        with np.errstate(all="ignore"):  # a slope that overflows leaves the bracket
            slope = -float(np.sum(w * w / (s * s + damping))) / length
            damping -= (length / radius) * (length - radius) / slope
        if not low < damping < high:
            damping = max(1e-3 * high, float(np.sqrt(low * high)))
    return float(damping)
