"""One gradient check: places are compared fast, and the worst of each array looked at again."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pullback.laws.cost import SINGLE, CheckedCost, Point, units
from pullback.laws.hint import MeasuredEntry, hint
from pullback.laws.record import SMALLEST, Array, Mismatch, compare, places
from pullback.laws.slope import MeasuredSlope, SlopeLine
from pullback.laws.verdict import GradientCheck

# A gradient is right only where half of an error of 0.1 % would have been seen, or, if less than
# the usual tolerance is asked for, as many times that.
RESOLVED, TIMES = 5e-4, 500.0
SMALL = 2e-2  # entries below this share of the largest one need not be resolved on their own
ROUNDINGS = 32  # how many may add up in an entry of a gradient, on the scale of the largest one
STRAY = 4  # how many are left of sums that cancel, on the scale of the largest array's gradient
FLAT = 1e-5  # a gradient below this share of the change over a large step is 0 but for rounding


@dataclass(frozen=True)
class Place:
    """One direction in which the gradient is compared, and what it claims there."""

    name: str
    where: str
    index: tuple[int, ...] | None
    along: Array
    unit: float
    found: float
    largest: float  # of the claims in the array
    scale: float  # of an error
    least: float  # of what has to be resolved


class Checking:
    """One check: places are compared fast, then the worst of each array is looked at again."""

    def __init__(
        self,
        cost: CheckedCost,
        claimed: Point,
        rounding: float,
        directions: int,
        entries: int,
        tolerance: float,
    ) -> None:
        self.cost, self.claimed = cost, claimed
        self.blocked = self._blocked()
        # a gradient of float32, or of a function of float32, is rounded itself
        coarse = not self.blocked and cost.coarse
        eps = max(rounding, SINGLE if coarse else 0.0)
        self.rounding, self.stray = ROUNDINGS * eps, STRAY * eps
        self.directions, self.entries, self.tolerance = directions, entries, tolerance
        self.untold: dict[str, dict[str, str]] = {}
        self.kinks: list[Place] = []
        self.resolution = 0.0
        self.measured: dict[str, list[MeasuredEntry]] = {}
        # what counts as no slope at all, where a whole array has none
        moves = [
            float(np.max(np.abs(given * units(value)), initial=0.0))
            for given, value in zip(claimed.values(), cost.point.values(), strict=True)
        ]
        self.flat = 0.0 if self.blocked else FLAT * cost.reach
        self.moves = max((m for m in moves if np.isfinite(m)), default=0.0)
        self.moves = max(self.moves, self.flat) or abs(cost.here) or 1.0

    def run(self, rng: np.random.Generator, before: Callable[[str], None]) -> GradientCheck:
        cost = self.cost
        blocked = self.blocked
        self.complex = not blocked and self._passes_complex(rng)
        compared: dict[str, list[Mismatch]] = {}
        for name in self.claimed:
            before(name)
            compared[name] = [] if blocked else self._array(name, rng)
        cost.calls.append(cost(cost.point, 0.0))  # once more: it may have changed on the way
        if blocked := blocked or self._blocked():
            self.untold = {name: {"": blocked} for name in self.claimed}
            compared = {name: [] for name in self.claimed}
        errors = {n: max((m.error for m in each), default=0.0) for n, each in compared.items()}
        every = [mismatch for each in compared.values() for mismatch in each]
        worst = max(every, key=lambda m: m.error, default=Mismatch("", 0.0, 0.0, 0.0))
        wrong = [name for name, error in errors.items() if error > self.tolerance]
        text = hint(self.claimed, cost.point, self.measured, wrong, cost.overwritten)
        method = "complex step" if self.complex else "central differences"
        return GradientCheck(
            method,
            self.tolerance,
            errors,
            worst,
            self.untold,
            self._kinked(),
            self.resolution,
            text,
        )

    def _kinked(self) -> tuple[str, ...]:
        """Where the kinks are: entries, unless only random directions met one."""
        entries = [place.where for place in self.kinks if place.index is not None]
        return tuple(entries or [place.where for place in self.kinks])

    def _blocked(self) -> str:
        """Why nothing can be told anywhere, if so."""
        if not np.isfinite(self.cost.here):
            return f"the function is {self.cost.here} at the point itself"
        if self.cost.random is not None:
            low, high = self.cost.random
            return (
                f"the function is random: two calls at the same point gave {low:.6g} and "
                f"{high:.6g}; seed it in each call, or switch dropout and the like off"
            )
        return ""

    def _passes_complex(self, rng: np.random.Generator) -> bool:
        """Is the complex step a slope? |z|, say, passes complex numbers through and is wrong."""
        for name, value in self.cost.point.items():
            if not value.size:
                continue
            place = self._place(name, "", None, _random(rng, value))
            try:
                found = self.cost.complex_slope({name: place.along})
            except Exception:  # whatever a function of real numbers trips over
                return False
            slope = self._differences(place, found)
            room = slope.width + 1e-6 * max(abs(found), abs(slope.value))
            if not abs(found - slope.value) <= room:
                return False
        return True

    def _array(self, name: str, rng: np.random.Generator) -> list[Mismatch]:
        value = self.cost.point[name]
        tried: list[Place] = []
        for number in range(1, self.directions + 1 if value.size else 1):
            along = _random(rng, value)
            tried.append(self._place(name, f"{name}, random direction {number}", None, along))
        for index in places(value.shape, self.entries, rng):
            along = np.zeros(value.shape)
            along[index] = 1.0
            where = f"{name}[{', '.join(map(str, index))}]" if index else name
            tried.append(self._place(name, where, index, along))
        slopes = [self._first(place) for place in tried]
        mismatches = [self._compared(*each) for each in zip(tried, slopes, strict=True)]
        # worst first; once one is seen to be wrong the array is
        for at in sorted(range(len(tried)), key=lambda at: -mismatches[at].error):
            if mismatches[at].error <= self.tolerance:
                break
            slopes[at] = self._again(tried[at], slopes[at])
            mismatches[at] = self._compared(tried[at], slopes[at])
            if mismatches[at].error > self.tolerance:
                break
        for place, slope, mismatch in zip(tried, slopes, mismatches, strict=True):
            self._note(place, slope, mismatch)
        return mismatches

    def _place(self, name: str, where: str, index: tuple[int, ...] | None, along: Array) -> Place:
        given, unit = self.claimed[name], units(self.cost.point[name])
        size = np.abs(np.where(np.isfinite(given), given, 0.0))
        if index is None:
            most = float(np.max(size * unit, initial=0.0)) or 1.0
            scale = most * float(np.linalg.norm(size * unit / most))
            least = max(scale or SMALL * self.moves, self.flat)
            found = float(np.vdot(given, along))
            return Place(name, where, None, along, 1.0, found, scale, scale, least)
        largest = float(size.max())
        own = float(unit[index])
        least = SMALL * max(largest or self.moves / own, self.flat / own)
        found = float(given[index])
        return Place(name, where, index, along, own, found, largest, SMALLEST * largest, least)

    def _first(self, place: Place) -> MeasuredSlope:
        if self.complex:
            return MeasuredSlope(self.cost.complex_slope({place.name: place.along}))
        return self._differences(place, place.found)

    def _again(self, place: Place, first: MeasuredSlope) -> MeasuredSlope:
        """The slope at a place that looks wrong, by other steps, and along parts of it."""
        slope = self._differences(place, place.found, thorough=True)
        if not math.isfinite(slope.width):
            return slope
        gap = abs(slope.value - first.value)
        if self.complex and not slope.jump and gap <= slope.doubt + 1e-6 * abs(first.value):
            return MeasuredSlope(first.value, self.cost.complex_doubt({place.name: place.along}))
        if gap > slope.width + first.width and not self.complex:
            return MeasuredSlope(
                slope.value, gap + slope.doubt + first.doubt
            )  # two answers: no answer
        if place.index is None and place.along.size > 1:
            # a function may be smooth along a line through its kinks; its parts add up if it is not
            half = np.random.default_rng(1).permutation(place.along.size) % 2
            mask = half.reshape(place.along.shape)
            parts = [
                self._differences(_part(place, mask == side), 0.0, thorough=True) for side in (0, 1)
            ]
            apart = abs(parts[0].value + parts[1].value - slope.value)
            broken = sum(part.jump for part in parts)
            if apart > sum(part.doubt for part in parts) + slope.doubt or broken:
                return MeasuredSlope(slope.value, slope.doubt, max(slope.jump, broken, apart))
        return slope

    def _differences(self, place: Place, found: float, thorough: bool = False) -> MeasuredSlope:
        cost = self.cost
        longest = float(np.abs(place.along).max())
        if not longest:
            return MeasuredSlope(0.0)
        room = 4 * float(units(cost.point[place.name]).max()) / longest

        def enough(slope: MeasuredSlope) -> bool:
            size = max(abs(found), abs(slope.value), place.scale)
            return slope.doubt <= 0.5 * self.tolerance * size and (
                abs(found - slope.value) <= self.tolerance * size
            )

        # a second look takes steps of other lengths
        unit = place.unit * (0.73 if thorough else 1.0)
        given = self.claimed[place.name] * units(cost.point[place.name])
        terms = float(np.abs(given[np.isfinite(given) & (place.along != 0)]).sum())
        line = SlopeLine(lambda t: cost({place.name: place.along}, t), cost, unit, room, terms)
        return line.slope(enough, thorough)

    def _compared(self, place: Place, slope: MeasuredSlope) -> Mismatch:
        if not math.isfinite(slope.width):
            return Mismatch(place.where, place.found, math.nan, 0.0)
        # at a kink the nearest slope that would be right
        nearest = min(max(place.found, slope.value - slope.jump), slope.value + slope.jump)
        expected = nearest if slope.jump else slope.value
        # as of a bias before a batch norm, which takes every shift out again
        stray = self.stray * self.moves / place.unit
        doubt = slope.doubt + max(self.rounding * place.largest, stray)
        return compare(place.where, place.found, expected, doubt, scale=place.scale)

    def _note(self, place: Place, slope: MeasuredSlope, mismatch: Mismatch) -> None:
        """What one comparison adds to the record beside its error."""
        if place.index is not None and math.isfinite(slope.width) and not slope.jump:
            entry = MeasuredEntry(place.index, place.found, slope.value)
            self.measured.setdefault(place.name, []).append(entry)
        if mismatch.error > self.tolerance:
            return
        if not math.isfinite(slope.doubt):
            self.untold.setdefault(place.name, {})[place.where] = slope.why
            return
        size = max(abs(place.found), abs(slope.value) + slope.jump, place.least)
        seen = (slope.doubt + self.rounding * place.largest) / size
        if seen > min(max(RESOLVED, self.tolerance), TIMES * self.tolerance):
            self.untold.setdefault(place.name, {})[place.where] = self._too_noisy(slope)
        else:
            self.resolution = max(self.resolution, seen)
            if slope.jump:
                self.kinks.append(place)

    def _too_noisy(self, slope: MeasuredSlope) -> str:
        if not slope.scatter:
            return f"the slope is {slope.value:.3g} give or take {slope.doubt:.1e} by rounding"
        rounded = self.cost.coarse and slope.scatter < 100 * self.cost.noise
        advice = ", for it is rounded: compute it in float64" if rounded else ""
        return (
            f"the slope is {slope.value:.3g} give or take {slope.doubt:.1e}: the function, "
            f"{self.cost.here:.3g} there, scatters by {slope.scatter:.1e} about a smooth "
            f"curve{advice}"
        )


def _random(rng: np.random.Generator, value: Array) -> Array:
    return np.asarray(rng.standard_normal(value.shape) * units(value))


def _part(place: Place, mask: Array) -> Place:
    return replace(place, along=np.where(mask, place.along, 0.0), found=0.0, scale=0.0)
