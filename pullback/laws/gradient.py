"""Is it the gradient? Compared with a complex step, or with differences on both sides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pullback.errors import DataError, DTypeError, ShapeError, UnknownNameError, unknown
from pullback.laws.checking import Checking
from pullback.laws.cost import CheckedCost, Function, Point
from pullback.laws.record import Array
from pullback.laws.verdict import GradientCheck

__all__ = ["GradientCheck", "gradient_check"]


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
    cost = CheckedCost(function, point, given)
    checking = Checking(cost, claimed, _rounding(gradient), directions, entries, tolerance)
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
        array = np.asarray(value).copy()  # the function may write into what it was given
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


def _rounding(gradient: Mapping[str, Any]) -> float:
    """The relative rounding of the least precise array."""
    kinds = [_real(name, value).dtype for name, value in gradient.items()]
    return max((float(np.finfo(kind).eps) for kind in kinds if kind.kind == "f"), default=0.0)
