"""Is it the gradient? Compared with a complex step, or with central differences."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pullback.errors import DataError, ShapeError, UnknownNameError, unknown
from pullback.laws.record import SMALLEST, Array, Check, Mismatch, Shape, compare, places, summary

Function = Callable[[dict[str, Array]], Any]
Slope = Callable[[dict[str, Array]], tuple[float, float]]


class GradientCheck(Check):
    """What ``gradient_check`` found; ``errors`` has one entry for each array, by name."""

    title = "Gradient check"


def gradient_check(
    function: Function,
    gradient: Mapping[str, Any],
    at: Mapping[str, Any],
    *,
    directions: int = 3,
    entries: int = 64,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> GradientCheck:
    """Is ``gradient`` the gradient of a scalar function at ``at`` (dicts of arrays by name)?

    For each array: ``directions`` random directions, and every entry of an array of up to
    ``entries`` entries, or that many of a larger one, drawn at random. The reference is a complex
    step of 1e-30, exact to rounding (Squire and Trapp 1998); where the function does not pass
    complex numbers through, central differences with Richardson's extrapolation, in float64.
    Raises UnknownNameError or ShapeError where the gradient does not fit ``at``.

    >>> x = {"x": np.array([1.0, 2.0])}
    >>> gradient_check(lambda p: (p["x"] ** 3).sum(), {"x": [3.0, 12.0]}, x).ok
    True
    >>> print(gradient_check(lambda p: (p["x"] ** 3).sum(), {"x": [3.0, 12.012]}, x).verdict)
    WRONG at x[1]: found 12.012, expected 12, relative error 1.0e-03 (at most 1e-06)
    """
    point = {name: np.asarray(value, np.float64) for name, value in at.items()}
    if not any(value.size for value in point.values()):
        raise DataError("there is no array to check the gradient at")
    claimed = _fitting(gradient, point)
    rng = np.random.default_rng(seed)
    method, slope = _reference(function, point, rng)
    compared: dict[str, list[Mismatch]] = {}
    for name, given in claimed.items():
        length = float(np.linalg.norm(given))
        largest = float(np.max(np.abs(given), initial=0.0))
        compared[name] = []
        for number in range(1, directions + 1):
            along = _random(rng, given.shape)
            found, expected = float(np.vdot(given, along)), slope({name: along})
            where = f"{name}, random direction {number}"
            compared[name].append(compare(where, found, *expected, scale=length))
        for place in places(given.shape, entries, rng):
            along = np.zeros(given.shape)
            along[place] = 1.0
            where = f"{name}[{', '.join(map(str, place))}]" if place else name
            scale = SMALLEST * largest
            compared[name].append(
                compare(where, float(given[place]), *slope({name: along}), scale=scale)
            )
    return GradientCheck(method, tolerance, *summary(compared))


def _fitting(gradient: Mapping[str, Any], point: dict[str, Array]) -> dict[str, Array]:
    """The gradient's arrays in the order of the point, if names and shapes are the same."""
    for name in gradient:
        if name not in point:
            raise unknown("part of the gradient", name, point)
    claimed: dict[str, Array] = {}
    for name, value in point.items():
        if name not in gradient:
            raise UnknownNameError(f"the gradient lacks {name!r}, an array {value.shape}")
        claimed[name] = np.asarray(gradient[name], np.float64)
        if claimed[name].shape != value.shape:
            raise ShapeError(
                f"the gradient of {name} has shape {claimed[name].shape}; expected {value.shape}"
            )
    return claimed


def _random(rng: np.random.Generator, shape: Shape) -> Array:
    return np.asarray(rng.standard_normal(shape))


def _reference(
    function: Function, point: dict[str, Array], rng: np.random.Generator
) -> tuple[str, Slope]:
    """The name of the method, and the derivative along a direction with what is in doubt of it."""

    def stepped(along: dict[str, Array], step: complex) -> Any:
        moved = {name: value + step * along.get(name, 0.0) for name, value in point.items()}
        return function(moved)

    def complex_step(along: dict[str, Array]) -> tuple[float, float]:
        value = stepped(along, 1e-30j)
        if not np.iscomplexobj(value):
            raise TypeError("the function does not pass complex numbers through")
        return float(np.imag(value)) / 1e-30, 0.0

    def differences(along: dict[str, Array]) -> tuple[float, float]:
        def f(step: float) -> float:
            return float(stepped(along, step))

        return min((_richardson(f, step) for step in (1e-3, 1e-4, 1e-5)), key=lambda each: each[1])

    trial = {name: _random(rng, value.shape) for name, value in point.items()}
    expected, doubt = differences(trial)
    with warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        try:
            found, _ = complex_step(trial)
        except (TypeError, ValueError, RuntimeError, np.exceptions.ComplexWarning):
            return "central differences", differences
    # |z|, say, passes complex numbers through, and gives a wrong slope
    if abs(found - expected) > doubt + 1e-3 * max(abs(found), abs(expected)):
        return "central differences", differences
    return "complex step", complex_step


def _richardson(f: Callable[[float], float], step: float) -> tuple[float, float]:
    """f'(0) to fourth order, and a bound on what truncation, rounding and a kink at 0 leave."""
    here = f(0.0)
    slopes, jumps = [], []
    for h in (step, step / 2):
        after, before = (f(h) - here) / h, (here - f(-h)) / h
        slopes.append((after + before) / 2)
        jumps.append(after - before)
    rounding = 8 * np.finfo(np.float64).eps * abs(here) / step
    kink = abs(2 * jumps[1] - jumps[0]) / 2  # a smooth function's jump halves with the step
    return (4 * slopes[1] - slopes[0]) / 3, abs(slopes[1] - slopes[0]) + kink + rounding
