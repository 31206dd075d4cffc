"""Is it the gradient? Compared with a complex step, or with differences on both sides."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pullback.errors import DataError, DTypeError, ShapeError, UnknownNameError, unknown
from pullback.laws.cost import SINGLE, Cost, Function, Point, units
from pullback.laws.hint import Measured, hint
from pullback.laws.record import SMALLEST, Array, Check, Mismatch, compare, places
from pullback.laws.slope import Line, Slope

RESOLVED = 5e-4  # a gradient is right only where half of an error of 0.1 % would have been seen
SMALL = 2e-2  # entries below this share of the largest one need not be resolved on their own
ROUNDINGS = 32  # how many may add up in an entry of a gradient, on the scale of the largest one
FLAT = 1e-5  # a gradient below this share of the change over a large step is 0 but for rounding


@dataclass(frozen=True)
class GradientCheck(Check):
    """What ``gradient_check`` found; ``errors`` has one entry for each array, by name.

    ``status`` is "right", "wrong" or "cannot tell", and ``ok`` is true for "right" only.
    ``untold`` gives, by array, the reason for each place at which nothing can be told; ``kinks``
    are the places where the slope jumps, ``resolution`` is the relative error that could have gone
    unseen, and ``hint`` says what a wrong gradient looks like.
    """

    title = "Gradient check"

    untold: dict[str, dict[str, str]] = field(default_factory=dict)
    kinks: tuple[str, ...] = ()
    resolution: float = 0.0
    hint: str = ""

    @property
    def status(self) -> str:
        """right, wrong or cannot tell."""
        if not super().ok:
            return "wrong"
        return "cannot tell" if self.untold else "right"

    @property
    def ok(self) -> bool:
        """Is every error within the tolerance, and was every place told?"""
        return self.status == "right"

    @property
    def verdict(self) -> str:
        """One sentence: right, wrong where and by how much, or why nobody can tell."""
        if self.status == "wrong":
            return super().verdict + (f"; {self.hint}" if self.hint else "")
        if self.status == "cannot tell":
            every = [each for part in self.untold.values() for each in part.items()]
            where, reason = every[0]
            more = len(every) - 1 if where else 0
            others = f" (and at {more} more of the places tried)" if more else ""
            return f"cannot tell: {f'at {where} ' if where else ''}{reason}{others}"
        text = super().verdict
        if self.resolution > self.tolerance:
            text = (
                f"right: no relative error above {self.resolution:.0e}, as fine as rounding in "
                "the function lets us tell"
            )
        if self.kinks:
            shown = ", ".join(self.kinks[:3]) + (", …" if len(self.kinks) > 3 else "")
            text += f"; at a kink in {shown}, where every slope between the two sides is right"
        return text

    def shown(self, name: str) -> str:
        """The error of one array, unless it cannot be told."""
        hidden = name in self.untold and self.errors[name] <= self.tolerance
        return "cannot tell" if hidden else super().shown(name)


def gradient_check(
    function: Function,
    gradient: Mapping[str, Any],
    at: Mapping[str, Any],
    *,
    directions: int = 3,
    entries: int = 64,
    tolerance: float = 1e-6,
    seed: int = 0,
    before: Callable[[str], None] | None = None,
) -> GradientCheck:
    """Is ``gradient`` the gradient of a scalar function at ``at`` (dicts of arrays by name)?

    For each array: ``directions`` random directions, and every entry of an array of up to
    ``entries`` entries, or that many of a larger one, drawn at random. The reference is a complex
    step of 1e-30, exact to rounding (Squire and Trapp 1998); where the function does not pass
    complex numbers through, polynomials fitted to differences on both sides. Their doubt is
    measured: the verdict is WRONG only beyond it, and "cannot tell" with the reason where it is
    too large (a function that is random, rounded to float32, or not finite beside the point). At a
    kink every slope between those of the two sides is right. ``before`` is called with each
    array's name.
    Raises UnknownNameError, ShapeError or DTypeError where the gradient does not fit ``at``, and
    ShapeError or DTypeError where the function returns anything but one real number.

    >>> x = {"x": np.array([1.0, 2.0])}
    >>> gradient_check(lambda p: (p["x"] ** 3).sum(), {"x": [3.0, 12.0]}, x).ok
    True
    >>> print(gradient_check(lambda p: (p["x"] ** 3).sum(), {"x": [3.0, 12.012]}, x).verdict)
    WRONG at x[1]: found 12.012, expected 12, relative error 1.0e-03 (at most 1e-06)
    >>> gradient_check(lambda p: (p["x"] ** 3).sum(), {"x": [6.0, 24.0]}, x).hint
    'it is twice the right gradient'
    """
    given = _arrays("at", at)
    point = {name: value.astype(np.float64) for name, value in given.items()}
    if not any(value.size for value in point.values()):
        raise DataError("there is no array to check the gradient at")
    for name, value in point.items():
        if not np.isfinite(value).all():
            raise DataError(f"{name} holds a NaN or an infinity; there is no gradient there")
    claimed = _fitting(gradient, point)
    cost = Cost(function, point, given)
    checking = _Checking(cost, claimed, _rounding(gradient), directions, entries, tolerance)
    return checking.run(np.random.default_rng(seed), before or (lambda name: None))


def _arrays(role: str, values: Mapping[str, Any]) -> Point:
    """The values as arrays of real numbers; those of torch may ask for a gradient."""
    if not isinstance(values, Mapping):
        raise DTypeError(
            f"{role} is of type {type(values).__name__}; expected a dict of arrays by name, as "
            "{'x': x}"
        )
    return {name: _real(f"{role}[{name!r}]", value) for name, value in values.items()}


def _real(name: str, value: Any) -> Array:
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    try:
        array = np.array(value)  # a copy: the function may write into what it was given
    except (TypeError, ValueError):
        array = np.empty((), object)
    if array.dtype.kind not in "fiub":
        found = str(array.dtype) if array.dtype.kind != "O" else type(value).__name__
        raise DTypeError(f"{name} is of type {found}; expected an array of real numbers")
    return array


def _fitting(gradient: Mapping[str, Any], point: Point) -> Point:
    """The gradient's arrays in the order of the point, if names and shapes are the same."""
    if isinstance(gradient, Mapping):
        for name in gradient:
            if name not in point:
                raise unknown("part of the gradient", name, point)
        for name, value in point.items():
            if name not in gradient:
                raise UnknownNameError(f"the gradient lacks {name!r}, an array {value.shape}")
    claimed = _arrays("gradient", gradient)
    for name, value in point.items():
        if claimed[name].shape != value.shape:
            raise ShapeError(
                f"the gradient of {name} has shape {claimed[name].shape}; expected {value.shape}"
            )
    return {name: claimed[name].astype(np.float64) for name in point}


@dataclass(frozen=True)
class _Place:
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


def _rounding(gradient: Mapping[str, Any]) -> float:
    """The relative rounding of the least precise array."""
    kinds = [_real(name, value).dtype for name, value in gradient.items()]
    return max((float(np.finfo(kind).eps) for kind in kinds if kind.kind == "f"), default=0.0)


class _Checking:
    """One check: places are compared fast, then the worst of each array is looked at again."""

    def __init__(
        self,
        cost: Cost,
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
        self.rounding = ROUNDINGS * max(rounding, SINGLE if coarse else 0.0)
        self.directions, self.entries, self.tolerance = directions, entries, tolerance
        self.untold: dict[str, dict[str, str]] = {}
        self.kinks: list[_Place] = []
        self.resolution = 0.0
        self.measured: dict[str, list[Measured]] = {}
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
        tried: list[_Place] = []
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

    def _place(self, name: str, where: str, index: tuple[int, ...] | None, along: Array) -> _Place:
        given, unit = self.claimed[name], units(self.cost.point[name])
        size = np.abs(np.where(np.isfinite(given), given, 0.0))
        if index is None:
            most = float(np.max(size * unit, initial=0.0)) or 1.0
            scale = most * float(np.linalg.norm(size * unit / most))
            least = max(scale or SMALL * self.moves, self.flat)
            found = float(np.vdot(given, along))
            return _Place(name, where, None, along, 1.0, found, scale, scale, least)
        largest = float(size.max())
        own = float(unit[index])
        least = SMALL * max(largest or self.moves / own, self.flat / own)
        found = float(given[index])
        return _Place(name, where, index, along, own, found, largest, SMALLEST * largest, least)

    def _first(self, place: _Place) -> Slope:
        if self.complex:
            return Slope(self.cost.complex_slope({place.name: place.along}))
        return self._differences(place, place.found)

    def _again(self, place: _Place, first: Slope) -> Slope:
        """The slope at a place that looks wrong, by other steps, and along parts of it."""
        slope = self._differences(place, place.found, thorough=True)
        if not math.isfinite(slope.width):
            return slope
        gap = abs(slope.value - first.value)
        if self.complex and not slope.jump and gap <= slope.doubt + 1e-6 * abs(first.value):
            return Slope(first.value, self.cost.complex_doubt({place.name: place.along}))
        if gap > slope.width + first.width and not self.complex:
            return Slope(slope.value, gap + slope.doubt + first.doubt)  # two answers: no answer
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
                return Slope(slope.value, slope.doubt, max(slope.jump, broken, apart))
        return slope

    def _differences(self, place: _Place, found: float, thorough: bool = False) -> Slope:
        cost = self.cost
        longest = float(np.abs(place.along).max())
        if not longest:
            return Slope(0.0)
        room = 4 * float(units(cost.point[place.name]).max()) / longest

        def enough(slope: Slope) -> bool:
            size = max(abs(found), abs(slope.value), place.scale)
            return slope.doubt <= 0.5 * self.tolerance * size and (
                abs(found - slope.value) <= self.tolerance * size
            )

        # a second look takes steps of other lengths
        unit = place.unit * (0.73 if thorough else 1.0)
        line = Line(lambda t: cost({place.name: place.along}, t), cost, unit, room)
        return line.slope(enough, thorough)

    def _compared(self, place: _Place, slope: Slope) -> Mismatch:
        if not math.isfinite(slope.width):
            return Mismatch(place.where, place.found, math.nan, 0.0)
        # at a kink the nearest slope that would be right
        nearest = min(max(place.found, slope.value - slope.jump), slope.value + slope.jump)
        expected = nearest if slope.jump else slope.value
        doubt = slope.doubt + self.rounding * place.largest
        return compare(place.where, place.found, expected, doubt, scale=place.scale)

    def _note(self, place: _Place, slope: Slope, mismatch: Mismatch) -> None:
        """What one comparison adds to the record beside its error."""
        if place.index is not None and math.isfinite(slope.width) and not slope.jump:
            entry = Measured(place.index, place.found, slope.value)
            self.measured.setdefault(place.name, []).append(entry)
        if mismatch.error > self.tolerance:
            return
        if not math.isfinite(slope.doubt):
            self.untold.setdefault(place.name, {})[place.where] = slope.why
            return
        size = max(abs(place.found), abs(slope.value) + slope.jump, place.least)
        doubt = slope.doubt + (self.rounding * place.largest if slope.doubt else 0.0)
        seen = doubt / size if doubt else 0.0
        if seen > max(RESOLVED, self.tolerance):
            self.untold.setdefault(place.name, {})[place.where] = self._too_noisy(slope)
        else:
            self.resolution = max(self.resolution, seen)
            if slope.jump:
                self.kinks.append(place)

    def _too_noisy(self, slope: Slope) -> str:
        rounded = self.cost.coarse and slope.scatter < 100 * self.cost.noise
        advice = ", for it is rounded: compute it in float64" if rounded else ""
        return (
            f"the slope is {slope.value:.3g} give or take {slope.doubt:.1e}: the function, "
            f"{self.cost.here:.3g} there, scatters by {slope.scatter:.1e} about a smooth "
            f"curve{advice}"
        )


def _random(rng: np.random.Generator, value: Array) -> Array:
    return np.asarray(rng.standard_normal(value.shape) * units(value))


def _part(place: _Place, mask: Array) -> _Place:
    return replace(place, along=np.where(mask, place.along, 0.0), found=0.0, scale=0.0)
