"""A function of arrays by name, called with care: copies, one number, and how noisy it is."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from pullback.errors import DTypeError, ShapeError
from pullback.laws.record import Array

Function = Callable[[dict[str, Array]], Any]
Point = dict[str, Array]

REPEATS = 6
EPS, SINGLE = float(np.finfo(np.float64).eps), float(np.finfo(np.float32).eps)
SMALL_STEPS = range(47, 20, -2)  # powers of ½
STEP = 1e-30  # of the complex step: its square vanishes beside any float64


class CheckedCost:
    """A scalar function near a point, in float64, or in the point's own types if it must be.

    Every call gets arrays of its own. ``here`` is the value at the point, ``noise`` the least
    change that is seen in it, and ``random`` two values at the point if calls differ.
    """

    def __init__(self, function: Function, point: Point, given: Point) -> None:
        self._function, self.point = function, point
        self._types: Mapping[str, Any] = dict.fromkeys(point, np.dtype(np.float64))
        self.overwritten: tuple[str, ...] = ()
        try:
            self.here = self._first()
        except Exception as fault:
            self._types = {name: value.dtype for name, value in given.items()}
            try:
                self.here = self._first()
            except Exception:
                raise fault from None
        self.calls = [self.here, *(self(point, 0.0) for _ in range(REPEATS - 1))]

    def __call__(self, along: Mapping[str, Array], step: float) -> float:
        """The value a step along a direction from the point; NaN where there is none."""
        try:
            return self._real(self._function(self._moved(along, step)))
        except (ArithmeticError, ValueError) as fault:
            if isinstance(fault, ShapeError):
                raise
            return float("nan")  # outside of the function's domain

    def complex_slope(self, along: Mapping[str, Array], beside: Point | None = None) -> float:
        """The slope by a complex step; raises whatever a function of real numbers does."""
        moved = {
            name: value + 1j * STEP * along.get(name, 0.0)
            for name, value in (beside or self.point).items()
        }
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            value = number(self._function(moved))
        if not isinstance(value, complex):
            raise TypeError("the function does not pass complex numbers through")
        return value.imag / STEP

    def complex_doubt(self, along: Mapping[str, Array]) -> float:
        """What rounding can do to the complex step: its change where the point moves by ulps."""
        rng = np.random.default_rng(0)
        slope, changes = self.complex_slope(along), [0.0]
        for _ in range(6):
            beside = {
                name: np.asarray(value * (1 + EPS * rng.choice([-2, -1, 1, 2], value.shape)))
                for name, value in self.point.items()
            }
            changes.append(abs(self.complex_slope(along, beside) - slope))
        return 8 * max(changes)

    @property
    def random(self) -> tuple[float, float] | None:
        """Two values at the same point, if they differ by more than rounding."""
        low, high = min(self.calls), max(self.calls)
        return (low, high) if high - low > 1e-6 * max(abs(low), abs(high)) else None

    @cached_property
    def noise(self) -> float:
        """The least change of the value that any step makes: an ulp of what it is computed in."""
        along, spread = self._somewhere(0), max(self.calls) - min(self.calls)
        found = [each for each in self._small if each > 0]
        if not found:  # flat here: it is rounded, or it moves elsewhere and in smaller steps
            for power in range(20, -3, -1):
                far = self(along, 2.0**-power)
                if np.isfinite(far) and far != self.here:
                    steps = self._changes(along, 2.0**-power, far, range(52 + power, power, -3))
                    found = [abs(far - self.here), *(each for each in steps if each > 0)]
                    break
        # what never changes may be as coarse as a float32
        unseen = SINGLE * abs(self.here)
        return max(spread, min(found, default=unseen), float(np.finfo(np.float64).tiny))

    @cached_property
    def stairs(self) -> bool:
        """Does it stand still over steps at which a function of float64 would move?"""
        shares = 2.0 ** (SMALL_STEPS[-1] - np.array(SMALL_STEPS))
        still = np.array(self._small) == 0
        return bool(np.any(still & (self._small[-1] * shares > 64 * EPS * abs(self.here))))

    @property
    def coarse(self) -> bool:
        """Is the value rounded to less than float64, as that of a float32 function is?"""
        return self.stairs or self.noise > 1e-12 * max(abs(self.here), self.reach)

    @cached_property
    def _small(self) -> list[float]:
        """The changes of the value by small steps from the point."""
        return self._changes(self._somewhere(0), 0.0, self.here, SMALL_STEPS)

    def _changes(self, along: Point, at: float, value: float, powers: range) -> list[float]:
        """The changes of the value by steps 2⁻ᵏ from one place on; 0 where there is no value."""
        changes = [abs(self(along, at + 2.0**-power) - value) for power in powers]
        return [each if np.isfinite(each) else 0.0 for each in changes]

    @cached_property
    def reach(self) -> float:
        """How fast the value changes over steps of a 32nd: not 0 where the gradient is."""
        steps = [(self._somewhere(seed), sign / 32) for seed in (0, 1) for sign in (1, -1)]
        changes = [32 * abs(self(along, step) - self.here) for along, step in steps]
        return max((each for each in changes if np.isfinite(each)), default=0.0)

    def _somewhere(self, seed: int) -> Point:
        rng = np.random.default_rng(seed)
        return {
            name: np.asarray(rng.standard_normal(value.shape) * units(value))
            for name, value in self.point.items()
        }

    def _first(self) -> float:
        moved = self._moved({}, 0.0)
        before = {name: value.copy() for name, value in moved.items()}
        with np.errstate(all="ignore"):
            value = self._real(self._function(moved))
        self.overwritten = tuple(
            name
            for name, old in before.items()
            if not np.array_equal(old, np.asarray(moved.get(name, old)))
        )
        return value

    def _moved(self, along: Mapping[str, Array], step: float) -> Point:
        return {
            name: np.array(
                value + step * along[name] if step and name in along else value, self._types[name]
            )
            for name, value in self.point.items()
        }

    def _real(self, value: Any) -> float:
        found = number(value)
        if isinstance(found, complex):
            raise DTypeError(
                "the function returned a complex number; a cost is real: return its .real"
            )
        return found


def units(value: Array) -> Array:
    """How far apart numbers like these lie: each one's size, or for a zero that of the others."""
    size = np.abs(value)
    some = size[size > 0]
    if not some.size:
        return np.ones(value.shape)
    typical = float(np.exp(np.mean(np.log(some))))
    return np.where(size > 0, np.maximum(size, 1e-12 * some.max()), typical)


def number(value: Any) -> float | complex:
    """One number out of whatever a cost function returned, an array of one entry included.

    Raises ShapeError for several numbers, DTypeError for what is no float.
    """
    kind = type(value).__name__
    if hasattr(value, "detach"):  # a torch tensor
        value = value.detach().cpu()
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        array = np.empty((), object)
    if array.dtype.kind == "O" and array.ndim == 0 and hasattr(value, "__float__"):
        array = np.asarray(float(value))  # bfloat16, mpmath, Decimal
    if isinstance(value, (tuple, list, dict)) and array.size != 1:
        raise ShapeError(
            f"the function returned a {kind} of {len(value)}; expected one number, the cost alone"
        )
    if array.dtype.kind in "iub":
        raise DTypeError(
            f"the function returned a whole number ({array.dtype}), which has no slope; return a "
            "float"
        )
    if array.dtype.kind not in "fc":
        raise DTypeError(f"the function returned a {kind}; expected one number, a float")
    if array.size != 1:
        raise ShapeError(
            f"the function returned an array {array.shape}; expected one number, such as its sum "
            "or its mean"
        )
    found = array.reshape(-1)[0]
    return complex(found) if array.dtype.kind == "c" else float(found)
