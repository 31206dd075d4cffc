"""``least_squares``: Levenberg–Marquardt with a trust region, on expressions and on networks.

The damping is chosen so that the step stays in a region where the linear model holds, and the
region grows and shrinks by how well it held: Moré, "The Levenberg–Marquardt algorithm:
implementation and theory" (1978). Unknowns are scaled by the lengths of their columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pullback.errors import ConfigError, NonFiniteError, positive, whole
from pullback.net.expression import Expression
from pullback.net.network import Network
from pullback.plan.jacobian.operators import Array
from pullback.plan.uses.determined import Determined, determined, listed
from pullback.plan.uses.fitted import LeastSquares
from pullback.plan.uses.residuals import ExpressionResiduals, NetworkResiduals, Residuals

REGIONS = (0.1, 0.01, 1e-3, 1e-4)  # of the first one, for a search that failed
STUCK = "the unknowns no longer move"


def least_squares(
    model: Expression | Network,
    data: Any,
    y: Any,
    start: Mapping[str, Any],
    *,
    tolerance: float = 1e-14,
    iterations: int = 1000,
    region: float = 100.0,
) -> LeastSquares:
    """The unknowns that minimise Σ (y − model)², by Levenberg–Marquardt from a start.

    For an expression ``data`` is an array for each variable that is known and ``start`` one for
    each that is not; for a network ``data`` is X (batch, features), y is Y (batch, outputs) and
    ``start`` its parameters, of which the frozen ones stay what they are. It stops when a step
    changes the sum of squares, or the unknowns, by less than ``tolerance``, relatively, or after so
    many ``iterations``; ``region`` is the length of the first step at most, in lengths of the
    scaled start. Where the search ends with an unknown that has lost its influence, it starts again
    in smaller regions; if none helps, the answer with the least sum of squares is not
    ``converged``, and its ``warning`` names the unknown.
    Raises ConfigError, UnknownNameError, ShapeError, DataError, NotApplicableError for a network
    without parameters, and NonFiniteError where the model or its slopes are not finite at the
    start.

    >>> import pullback as pb
    >>> x = np.linspace(0, 5, 30)
    >>> model = pb.expr("a*exp(-k*x)", x="n", a="", k="")
    >>> fit = least_squares(model, {"x": x}, 3 * np.exp(-0.7 * x), start={"a": 1.0, "k": 0.1})
    >>> {name: round(float(value), 9) for name, value in fit.params.items()}
    {'a': 3.0, 'k': 0.7}
    """
    positive("tolerance", tolerance)
    whole("iterations", iterations)
    positive("region", region)
    residuals: Residuals
    if isinstance(model, Expression):
        if not isinstance(data, Mapping):
            raise ConfigError("data is an array for each variable by name, as {'x': x}")
        residuals = ExpressionResiduals(model, data, y, start)
    elif isinstance(model, Network):
        residuals = NetworkResiduals(model, data, y, start)
    else:
        raise ConfigError(f"model is {model!r}; expected pb.expr(…) or pb.Network(…)")
    return _best(residuals, tolerance, region, iterations)


def _best(residuals: Residuals, tolerance: float, region: float, iterations: int) -> LeastSquares:
    """The least sum of squares of a search, and of others with smaller first steps if it fails."""
    best = search = _Search(residuals, tolerance, region)
    search.run(iterations)
    taken, evaluations = search.taken, search.evaluations
    for smaller in REGIONS:
        if search.sound or search.hopeless or taken >= iterations:
            break
        search = _Search(residuals, tolerance, smaller * region)
        search.run(iterations - taken)
        taken, evaluations = taken + search.taken, evaluations + search.evaluations
        if search.rss <= best.rss or (search.sound and search.rss <= best.rss * (1 + 1e-9)):
            best = search
    return best.result(taken, evaluations)


class _Search:
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
        self.at_start = self._determined()

    def run(self, iterations: int) -> None:
        slopes = self.slopes
        scale = _safe(slopes.scales)
        radius = self.region * (self._length(scale, self.x) or 1.0)
        while self.taken < iterations and self.reason is None:
            self.taken += 1
            s, c, step_of = slopes.spectrum(scale, self.r)
            gradient = s * c
            if self.rss == 0 or np.linalg.norm(gradient) <= self._flat(s):
                self.reason = "the gradient vanishes"
                break
            accepted = False
            while not accepted and self.reason is None:
                damping = _damping(s, c, radius)
                w = _coefficients(s, c, damping)
                step, length = step_of(w), float(np.linalg.norm(w))
                predicted = float(2 * (c @ (s * w)) - np.sum((s * w) ** 2))
                accepted, ratio = self._try(step, predicted)
                if ratio < 0.25:
                    radius = min(radius, length) * (0.1 if ratio < 0 else 0.5)
                elif ratio > 0.75 or damping == 0:
                    radius = 2 * length
                self.reason = self._finished(predicted, ratio, radius, scale, length)
            if accepted:
                slopes = self.slopes
                scale = np.maximum(scale, _safe(slopes.scales))
        self._judge(scale)

    def _judge(self, scale: Array) -> None:
        """Is where the search ended a minimum, with all unknowns at work?"""
        self.found = self._determined()
        self.warning = self.fault = ""
        labels = self.residuals.labels
        if self.found is not None and self.found.dead:
            names = listed(labels, self.found.dead)
            verb, it = ("has", "it") if len(self.found.dead) == 1 else ("have", "them")
            self.fault = (
                f"{names} {verb} no influence on the model there; try another start, or leave "
                f"{it} out"
            )
        elif self.found is not None and self.found.mixed:
            names = listed(labels, self.found.mixed)
            text = f"the data do not determine {names}"
            if len(self.found.mixed) > 1:
                text += ", only how they act together"
            # what cannot be told apart at the start either is the model's nature, and no fault
            if self.at_start is not None and set(self.found.mixed) <= set(self.at_start.mixed):
                self.warning = text
            else:
                self.fault = f"{text}; try another start"
        if not self.fault and self.reason == STUCK:
            s, c, _ = self.slopes.spectrum(scale, self.r)
            # the share of the residuals that a step should still remove (Bates and Watts 1988)
            left = float(np.linalg.norm(_coefficients(s, c, 0.0) * s))
            if left > 1e-3 * np.sqrt(self.rss) and self.rss > self._rounding() ** 2:
                self.fault = "no step lowers the sum of squares, though its gradient is not 0"

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
        reason = (
            self.fault
            or self.reason
            or f"stopped after {taken} iteration{'' if taken == 1 else 's'}"
        )
        return LeastSquares.of(
            params=self.residuals.params(self.x),
            frozen=tuple(self.residuals.frozen),
            rss=self.rss,
            residuals=self.r,
            found=self.found,
            iterations=taken,
            evaluations=evaluations,
            converged=self.reason is not None and not self.fault,
            reason=reason,
            warning=self.fault or self.warning,
        )

    def _determined(self) -> Determined | None:
        R = self.slopes.triangle()
        if R is None:
            return None
        freedom = max(self.r.size - self.x.size, 1)
        deviation = max(float(np.sqrt(self.rss / freedom)), self._rounding())
        sizes = np.maximum(np.maximum(np.abs(self.x), np.abs(self.residuals.start)), 1.0)
        return determined(R, deviation, sizes)

    def _rounding(self) -> float:
        eps = float(np.finfo(self.x.dtype).eps)
        return eps * self.residuals.size

    def _try(self, step: Array, predicted: float) -> tuple[bool, float]:
        """Take the step if the sum of squares falls; the ratio of the fall to the predicted one."""
        x = self.x + step
        r = self.residuals.at(x)
        self.evaluations += 1
        with np.errstate(all="ignore"):
            rss = float(r @ r)
        before = self.rss
        ratio = (before - rss) / predicted if np.isfinite(rss) and predicted > 0 else -1.0
        self.fall = before - rss if np.isfinite(rss) else np.inf
        if ratio < 1e-4:
            return False, ratio
        slopes = self.residuals.slopes(x)
        if not np.isfinite(slopes.scales).all():
            return False, -1.0
        self.x, self.r, self.rss, self.slopes = x, r, rss, slopes
        return True, ratio

    def _finished(
        self, predicted: float, ratio: float, radius: float, scale: Array, length: float
    ) -> str | None:
        small = self.tolerance * self.rss
        if predicted <= small and abs(self.fall) <= small and ratio <= 2:
            return "the sum of squares no longer falls"
        if min(radius, length) <= self.tolerance * self._length(scale, self.x):
            return STUCK
        return None

    def _flat(self, s: Array) -> float:
        eps = float(np.finfo(s.dtype).eps)
        return eps * eps * float(s.max(initial=0.0)) * float(np.sqrt(self.rss))

    @staticmethod
    def _length(scale: Array, x: Array) -> float:
        return float(np.linalg.norm(scale * x))


def _safe(scales: Array) -> Array:
    """The scale of a column without influence is 1."""
    return np.where(scales > 0, scales, 1.0).astype(scales.dtype)


def _coefficients(s: Array, c: Array, damping: float) -> Array:
    """s c / (s² + λ); without damping directions of no influence are left alone."""
    if damping:
        return np.asarray(s * c / (s * s + s.dtype.type(damping)))
    known = s > s.max(initial=0.0) * len(s) * np.finfo(s.dtype).eps
    return np.where(known, c / np.where(known, s, 1), 0).astype(s.dtype)


def _damping(s: Array, c: Array, radius: float) -> float:
    """The λ ≥ 0 at which the step is as long as the region allows: Newton on 1/radius − 1/length.

    The function is concave there, so the iteration climbs to the root from the left.
    """
    if np.linalg.norm(_coefficients(s, c, 0.0)) <= radius:
        return 0.0
    low, high = 0.0, float(np.linalg.norm(s * c) / radius)
    damping = 1e-3 * high
    for _ in range(60):
        w = _coefficients(s, c, damping)
        length = float(np.linalg.norm(w))
        if abs(length - radius) <= 0.01 * radius:
            break
        low, high = (damping, high) if length > radius else (low, damping)
        slope = -float(np.sum(w * w / (s * s + damping))) / length
        damping -= (length / radius) * (length - radius) / slope
        if not low < damping < high:
            damping = max(1e-3 * high, float(np.sqrt(low * high)))
    return float(damping)
