"""The phase diagram of an activation: where in (σ_w, σ_b) signals and gradients keep their size.

Poole et al. 2016; Schoenholz et al. 2017, section 3. A critical initialisation needs χ₁ = 1 *and*
χ_q ≤ 1: with χ_q > 1 the variance runs away from its fixed point.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.optimize import brentq

from pullback.calculus.quadrature import Array
from pullback.errors import ConfigError, NonFiniteError, NotApplicableError, require, shown
from pullback.ir import Scalar
from pullback.moments.answer.figures import BLUE, GRAPHITE, GREEN, VERMILION, blank_figure
from pullback.moments.law.activation import Moments, kinks, moments
from pullback.nn import Elementwise
from pullback.notebook import headline, table

_VARIANCES = np.geomspace(1e-8, 1e4, 241)  # where fixed points are looked for
_STEPS = 400  # of the forward map, to find where it settles
_STABLE = 1 + 1e-6
_EXPECTED = (
    "an activation such as pb.Tanh(), which has a phase diagram between Linear layers or "
    "convolutions; what norms, pools, attention and loops do to δ depends on the whole network: "
    "pb.forecast(net, X, Y)"
)
_SHOWN = (0.0, 0.1, 0.2, 0.3, 0.5, 1.0)  # σ_b of the printed line


@dataclass(frozen=True)
class CriticalPoint:
    """A point with χ₁ = 1: its fixed point q*, and χ_q there; ``stable`` if χ_q ≤ 1.

    q* is infinite where χ₁ does not depend on q and q grows for ever.
    """

    sigma_w: float
    sigma_b: float
    q: float
    chi_q: float

    @property
    def stable(self) -> bool:
        """Does q come back to its fixed point?"""
        return self.chi_q <= _STABLE


@dataclass(frozen=True)
class Fixed:
    """Where q settles at one (σ_w, σ_b), with χ₁ and χ_q there and the depth scales."""

    q: float
    chi_1: float
    chi_q: float

    @property
    def gradient_depth(self) -> float:
        """ξ_∇ = −1/ln χ₁: layers over which E δ² falls by e; negative where it grows."""
        return _scale(self.chi_1)

    @property
    def forward_depth(self) -> float:
        """ξ_q = −1/ln χ_q."""
        return _scale(self.chi_q)


def _scale(chi: float) -> float:
    if chi <= 0:
        return 0.0
    return math.inf if abs(chi - 1) < 1e-12 else -1 / math.log(chi)


@dataclass(frozen=True)
class PhaseDiagram:
    """The phases of one activation at infinite width, with zero-mean weights."""

    activation: Elementwise

    @property
    def function(self) -> Scalar:
        """The activation's scalar function."""
        return self.activation.function

    @cached_property
    def _table(self) -> Moments:
        """Moments over a wide range of q; the range ends where they are infinite."""
        finite = _VARIANCES
        while len(finite) > 8:
            try:
                return moments(self.function, np.zeros(len(finite)), finite)
            except NonFiniteError:
                finite = finite[:-8]
        raise NonFiniteError(f"the moments of {self.activation!r} are infinite at any variance")

    @cached_property
    def homogeneous(self) -> bool:
        """Is χ₁ the same at every q, as for ReLU?"""
        slopes = self._table.s2
        return bool(np.ptp(slopes) < 1e-9 * slopes.max())

    def critical_points(self, sigma_b: float) -> tuple[CriticalPoint, ...]:
        """Every (σ_w, q*) with χ₁ = 1 at this σ_b, smallest q* first."""
        bias = _bias(sigma_b) ** 2
        if not self._table.s2.max() > 0:
            raise NotApplicableError(f"{self.activation!r} has no slope: χ₁ is 0 everywhere")
        if self.homogeneous:
            sigma = float(self._table.s2[0] ** -0.5)
            return (CriticalPoint(sigma, sigma_b, math.inf if bias else math.nan, 1.0),)
        found = [self._at(q, sigma_b) for q in self._roots(bias)]
        # q* = 0: there χ₁ = χ_q = σ_w² φ'(0)², or the mean of both sides' slopes² at a kink
        square = float(self.function.partial(0)(0.0)) ** 2
        if 0.0 in kinks(self.function):
            square = float(self._table.s2[0])
        if not bias and float(self.function(0.0)) == 0 and square:
            found = [CriticalPoint(square**-0.5, 0.0, 0.0, 1.0), *found]
        return tuple(found)

    def _roots(self, bias: float) -> list[float]:
        """q with q = E φ²/E φ'² + σ_b²: a fixed point under the σ_w that makes χ₁ = 1."""

        def excess(q: float) -> float:
            at = moments(self.function, 0.0, q)
            return float(at.m2[0] / at.s2[0]) + bias - q

        with np.errstate(divide="ignore", invalid="ignore"):
            values = self._table.m2 / self._table.s2 + bias - self._table.variance
        # near q = 0 both sides agree to rounding: no sign there means anything
        sign = np.where(np.abs(values) > 1e-7 * self._table.variance, np.sign(values), 0)
        turns = np.flatnonzero(sign[:-1] * sign[1:] < 0)
        at = self._table.variance
        return [float(brentq(excess, at[i], at[i + 1], xtol=1e-14, rtol=1e-14)) for i in turns]

    def _at(self, q: float, sigma_b: float) -> CriticalPoint:
        at = moments(self.function, 0.0, q)
        square = 1 / float(at.s2[0])
        return CriticalPoint(math.sqrt(square), sigma_b, q, square * float(at.m2_by_variance[0]))

    def critical_sigma_w(self, sigma_b: float) -> float:
        """σ_w of the critical line at this σ_b: χ₁ = 1 at a fixed point with χ_q ≤ 1.

        Raises NotApplicableError where χ₁ = 1 is not reached, or only at unstable fixed points.

        >>> from pullback.nn import Tanh
        >>> round(phase_diagram(Tanh()).critical_sigma_w(0.05**0.5) ** 2, 6)
        1.760955
        """
        points = self.critical_points(sigma_b)
        stable = [point for point in points if point.stable]
        if stable:
            return stable[0].sigma_w
        if points:
            p = points[0]
            raise NotApplicableError(
                f"{self.activation!r} at σ_b = {sigma_b:g}: χ₁ = 1 only at σ_w = {p.sigma_w:.4g}, "
                f"q* = {p.q:.3g}, where χ_q = {p.chi_q:.4g} > 1: q runs away"
            )
        raise NotApplicableError(f"{self.activation!r} at σ_b = {sigma_b:g} has no χ₁ = 1")

    def fixed_point(self, sigma_w: float, sigma_b: float, q: float = 1.0) -> Fixed:
        """Where the forward map is after 400 layers from q: at its fixed point, or far gone."""
        w, b = float(sigma_w) ** 2, _bias(sigma_b) ** 2
        for _ in range(_STEPS):
            at = moments(self.function, 0.0, q)
            now = w * float(at.m2[0]) + b
            if abs(now - q) <= 1e-14 * now:
                break
            if not 1e-290 < now < 1e290:
                return Fixed(math.inf if now > 1 else 0.0, w * at.s2[0], w * at.m2_by_variance[0])
            q = now
        return Fixed(q, w * float(at.s2[0]), w * float(at.m2_by_variance[0]))

    def chi_1(self, sigma_w: Array, sigma_b: Array, q: float = 1.0) -> Array:
        """χ₁ where the forward map settles, for arrays of one shape: interpolated, for a map."""
        table = self._table
        ln = np.log(table.variance)
        w, b = np.asarray(sigma_w, float) ** 2, np.asarray(sigma_b, float) ** 2

        def read(values: Array, at: Array) -> Array:
            return np.asarray(np.interp(np.log(np.clip(at, *np.exp(ln[[0, -1]]))), ln, values))

        now = np.full(np.broadcast(w, b).shape, float(q))
        share = table.m2 / table.variance  # smooth where E φ² itself spans decades
        for _ in range(_STEPS):
            now = w * read(share, now) * now + b
            now = np.clip(now, 1e-300, 1e300)
        return np.asarray(w * read(table.s2, now))

    def line(self, sigma_b: Sequence[float]) -> list[float]:
        """σ_w of the critical line at each σ_b; NaN where there is none that is stable."""
        found: list[float] = []
        for each in sigma_b:
            try:
                found.append(self.critical_sigma_w(each))
            except NotApplicableError:
                found.append(math.nan)
        return found

    def plot(self, sigma_w: float | None = None, sigma_b: float = 0.0) -> Any:
        """A plotly figure: phases, critical line, and a network at (σ_w, σ_b) as a dot."""
        return _drawn(self, sigma_w, sigma_b)

    def text(self) -> str:
        """The critical line as a table."""
        rows = [f"Critical line of {self.activation!r}: χ₁ = 1", "   σ_b     σ_w      q*     χ_q"]
        for b in _SHOWN:
            for p in self.critical_points(b):
                end = "" if p.stable else "  unstable"
                rows.append(f"{b:6.2f}{p.sigma_w:8.4f}{p.q:8.3g}{p.chi_q:8.4f}{end}")
        return "\n".join(rows)

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        rows = [
            (
                f"{b:g}",
                f"{p.sigma_w:.4f}",
                f"{p.q:.3g}",
                f"{p.chi_q:.4f}",
                "" if p.stable else "unstable",
            )
            for b in _SHOWN
            for p in self.critical_points(b)
        ]
        head = headline(f"Critical line of {self.activation!r}: δ keeps its size where χ₁ = 1.")
        return head + table(["σ_b", "σ_w", "q*", "χ_q", ""], rows)

    def to_dict(self) -> dict[str, Any]:
        """The critical line as plain data."""
        at = [float(b) for b in np.linspace(0, 1, 11)]
        return {"activation": repr(self.activation), "sigma_b": at, "sigma_w": self.line(at)}


def _bias(sigma_b: float) -> float:
    value = float(sigma_b)
    if not 0 <= value < math.inf:
        raise ConfigError(f"sigma_b is {shown(sigma_b)}; expected a number from 0")
    return value


def phase_diagram(activation: Elementwise) -> PhaseDiagram:
    """The phase diagram of an activation: ``.critical_sigma_w(sigma_b)``, ``.plot()``.

    It holds between Linear layers, and between convolutions away from zero padding: σ_w² is n_in ·
    Var w, where n_in counts channels × taps. Raises ConfigError for what is no activation.

    >>> from pullback.nn import ReLU
    >>> round(phase_diagram(ReLU()).critical_sigma_w(0.0) ** 2, 9)
    2.0
    """
    require("activation", activation, Elementwise, _EXPECTED)
    return PhaseDiagram(activation)


def _drawn(diagram: PhaseDiagram, sigma_w: float | None, sigma_b: float) -> Any:
    """Where δ shrinks and grows with depth in (σ_w, σ_b), the critical line, and a network."""
    name = repr(diagram.activation)
    figure = blank_figure(f"Phases of {name}: ln χ₁ at the fixed point", "σ_w", "σ_b")
    b = np.linspace(0, 1.5, 31)
    along = 1.5 * np.linspace(0, 1, 41) ** 2  # it bends most where it begins
    line = np.asarray(diagram.line([float(each) for each in along]))
    furthest = max([4.0, 1.2 * (sigma_w or 0.0), *1.1 * line[np.isfinite(line)]])
    w = np.linspace(0.2, furthest, 61)
    with np.errstate(divide="ignore"):
        chi = np.log(diagram.chi_1(*np.meshgrid(w, b)))
    scale = [[0, BLUE], [0.5, "#FFFFFF"], [1, VERMILION]]
    figure.add_heatmap(
        x=w, y=b, z=np.clip(chi, -1, 1), zmin=-1, zmax=1, colorscale=scale,
        colorbar={"title": {"text": "ln χ₁"}}, name="ln χ₁",
    )  # fmt: skip
    figure.add_scatter(
        x=line, y=along, mode="lines", name="critical",
        line={"color": GRAPHITE, "width": 2},
    )  # fmt: skip
    if sigma_w is not None:
        figure.add_scatter(
            x=[sigma_w], y=[sigma_b], mode="markers", name="this network",
            marker={"color": GREEN, "size": 12, "symbol": "x"},
        )  # fmt: skip
    return figure
