"""Weights that a loss has for the entries of an axis: one number, or one for each."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np

from pullback.errors import ConfigError, ShapeError, shown
from pullback.ir import Axis, Constant, Node
from pullback.ir.build import add
from pullback.ir.layout import placed

Weights = float | tuple[float, ...] | None


def checked(name: str, given: Any, number: bool = True) -> Weights:
    """The weights as plain numbers; raises ConfigError unless they are finite and from 0.

    ``number`` if a single one is allowed.
    """
    if given is None:
        return None
    values = given.detach().cpu() if hasattr(given, "detach") else given
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        array = np.asarray(np.nan)
    if array.ndim > 1 or not array.size or not np.isfinite(array).all() or (array < 0).any():
        raise ConfigError(f"{name} is {shown(given)}; expected numbers from 0, one for each output")
    if array.ndim == 0 and not number:
        raise ConfigError(f"{name} is {shown(given)}; expected one number for each class")
    return float(array) if array.ndim == 0 else tuple(array.tolist())


def check_length(name: str, weights: Weights, axis: Axis) -> None:
    """Raise ShapeError where there is not one for each entry of the axis."""
    if isinstance(weights, tuple) and axis.size not in (None, len(weights)):
        raise ShapeError(f"{name} has {len(weights)} numbers; the output has the axis {axis!r}")


def along(weights: float | tuple[float, ...], axis: Axis) -> Node:
    """The weights as a node, along the axis if there is one for each entry.

    Entries beside one another with one weight are one term, a stretch of ones times it.
    """
    if isinstance(weights, float):
        return Constant(weights)
    terms, start = list[Node](), 0
    for weight, run in groupby(weights):
        length = len(list(run))
        if length == len(weights):
            return Constant(weight, (axis,))
        row = Axis(f"{axis.name}:{length}", length)
        terms.append(placed(Constant(weight, (row,)), row, axis, start))
        start += length
    return add(*terms)
