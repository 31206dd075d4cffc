"""The slope of a function of one number at 0, with what is in doubt of it.

Polynomials are fitted to the function at steps h, h/2, h/4 … on both sides, for smaller and
smaller h: one polynomial, and a pair that may meet in a kink. What a fit leaves over holds the
function's noise and what the polynomial cannot follow, so its size is a bound on the slope's error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pullback.laws.cost import EPS, SINGLE, CheckedCost
from pullback.laws.record import Array

LEVELS = 6  # of a fit: steps from h to h/32
START, DEEPEST = 5, 40  # the first h is 2⁻⁵ of the scale, the last 2⁻⁴⁰


@dataclass(frozen=True)
class MeasuredSlope:
    """A slope, its doubt, and at a kink half of the jump from one side to the other.

    ``scatter`` is how far values lie off the curve that was fitted to them; ``why`` says what
    stands in the way where the doubt is infinite.
    """

    value: float
    doubt: float = 0.0
    jump: float = 0.0
    scatter: float = 0.0
    why: str = ""

    @property
    def width(self) -> float:
        """How far from the value a slope may be and still be one."""
        return self.doubt + self.jump


UNKNOWN = MeasuredSlope(0.0, float("inf"), why="the function is not finite beside the point")
STEEP = MeasuredSlope(0.0, float("inf"), why="the slope grows without end as the step shrinks")


class _Fit:
    """Least squares of some functions of t at the 2 LEVELS + 1 steps, once and for all."""

    def __init__(self, basis: Callable[[Array], list[Array]], safety: float) -> None:
        levels = 0.5 ** np.arange(LEVELS)
        self.design = np.stack(basis(np.concatenate([[0.0], levels, -levels])), axis=1)
        self.inverse = np.linalg.pinv(self.design)
        self.errors = safety * np.linalg.norm(self.inverse, axis=1)
        rows, columns = self.design.shape
        self.freedom = rows - columns

    def __call__(self, values: Array, least: float) -> tuple[Array, Array, float]:
        """Coefficients, their doubts, and the deviation of what is left over."""
        found = self.inverse @ values
        left = values - self.design @ found
        deviation = max(float(np.sqrt(left @ left / self.freedom)), least)
        return found, deviation * self.errors, deviation


# Safety in standard errors: higher powers of t, left over, shift a slope by 8 of them at most; and
# half of a kink too small to be seen, 15 in a parabola.
_SMOOTH = (  # the parabola amplifies noise least, the quintic follows more
    _Fit(lambda t: [t**power for power in range(6)], 16.0),
    _Fit(lambda t: [t**power for power in range(3)], 24.0),
)
_KINKED = _Fit(lambda t: [t**0, t, np.abs(t), t**2, t * np.abs(t), t**3, np.abs(t) ** 3], 16.0)


class SlopeLine:
    """A cost along a line through the point, t = 0, with a natural step and the largest one.

    ``terms`` is how much the value may change if every number that moves does by all its size.
    """

    def __init__(
        self,
        f: Callable[[float], float],
        cost: CheckedCost,
        unit: float,
        limit: float,
        terms: float,
    ) -> None:
        self._terms = terms
        self._f, self._here = f, cost.here
        self._noise, self._stairs, self._reach = cost.noise, cost.stairs, cost.reach
        self._unit, self._limit = unit, limit
        self._known: dict[float, float] = {}
        self._steep = 0.0

    def slope(
        self, enough: Callable[[MeasuredSlope], bool], thorough: bool = False
    ) -> MeasuredSlope:
        """The slope, from few steps if they are ``enough``; ``thorough`` tries every size."""
        found: dict[int, MeasuredSlope] = {}
        noises: list[float] = []
        still = grown = 0
        last = MeasuredSlope(0.0, np.inf, scatter=np.inf)
        for level in range(START, DEEPEST):
            step = self._at(level)
            if step is None:
                continue
            here, scatter, least = step
            found[level] = here
            if not thorough and not here.jump and enough(here):
                return here
            noisy = scatter <= 30 * least
            noises += [scatter] if noisy else []
            still = still + 1 if scatter > 0.7 * last.scatter else 0
            rises = here.width > 1.02 * last.width and scatter < 0.98 * last.scatter
            grown = grown + 1 if rises and not noisy else 0
            if grown >= 8:
                return STEEP
            if not thorough and still >= 3 and noisy:
                break  # only noise is left over, and smaller steps have more of it
            last = MeasuredSlope(0.0, here.width, scatter=scatter)
        # larger steps have less noise, as long as the fit leaves over nothing else
        quiet = 2 * max(noises, default=0.0)
        for level in range(START - 2, -1100, -2):
            step = self._at(level) if self._unit * 2.0**-level <= self._limit else None
            if step is None or step[1] > quiet:
                break
            found[level] = step[0]
        return _settled([found[level] for level in sorted(found)])

    def _at(self, level: int) -> tuple[MeasuredSlope, float, float] | None:
        """The slope from the steps of one size, with the deviation left over and its least."""
        steps = [self._unit * 2.0 ** -(level + each) for each in range(LEVELS)]
        values = np.array([self._here, *map(self._value, steps), *(self._value(-t) for t in steps)])
        if not np.isfinite(values).all():
            return None
        h, largest = steps[0], float(np.abs(values).max())
        moved = values - self._here
        grown = largest / abs(self._here) if self._here else 1.0
        # noise grows with the value, by no more than float32's, and the step itself is rounded
        least = max(
            self._noise,
            min(self._noise * grown, SINGLE * largest),
            EPS * largest,
            EPS * float(np.abs(moved).max()) * 2.0 ** max(level, 0),
        )
        most = float(np.abs(moved).max())
        if level == START:
            self._steep = most * 2.0**START
        if self._stairs:  # inputs may be rounded to float32, and a stair be higher further on
            height = max(most * 2.0 ** max(level, 0), self._terms)
            if np.count_nonzero(moved) < 2 * LEVELS:
                height = 8 * max(self._steep, self._reach)
            least = max(least, SINGLE / 8 * height)
        if not most:
            return MeasuredSlope(0.0, least / h, 0.0, least), least, least
        rise, slopes = most / h, []
        for fit in _SMOOTH:
            found, doubts, left = fit(moved / most, least / most)
            slopes.append(
                MeasuredSlope(float(found[1]) * rise, float(doubts[1]) * rise, 0.0, left * most)
            )
        scatter = slopes[0].scatter
        found, doubts, left = _KINKED(moved / most, least / most)
        if abs(found[2]) > doubts[2]:
            doubt, jump = float(doubts[1] + doubts[2]) * rise, abs(float(found[2])) * rise
            slopes = [MeasuredSlope(float(found[1]) * rise, doubt, jump, left * most)]
        slope = min(slopes, key=lambda each: each.width)
        return slope, slope.scatter if slope.jump else scatter, least

    def _value(self, t: float) -> float:
        if t not in self._known:
            self._known[t] = self._f(t)
        return self._known[t]


def _settled(found: list[MeasuredSlope]) -> MeasuredSlope:
    """From large steps to small ones: the surest, but small ones overrule large ones."""
    best = UNKNOWN
    for each in found:
        apart = abs(each.value - best.value) > each.width + best.width
        if apart or each.width < best.width:
            best = each
    return best
