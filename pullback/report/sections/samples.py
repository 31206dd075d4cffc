"""Samples of one input, as an array, or of several, as arrays by the input's name; as pictures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pullback.errors import ConfigError
from pullback.ir import Input
from pullback.net.checks import checked_batch
from pullback.net.network import Network

Array = np.ndarray[Any, np.dtype[Any]]
Samples = Array | dict[str, Array]
Data = tuple[Samples, Array]
_SIDES = ("height", "width")


def checked_samples(net: Network, X: Any, Y: Any) -> tuple[Data, Array]:
    """X and Y as arrays, and the target that the loss reads; raises the errors of bad data."""
    batch = checked_batch(net, X, Y)
    x = {name: batch[name] for name in net.xs}
    alone = len(x) == 1
    return (next(iter(x.values())) if alone else x, np.asarray(Y)), batch["target"]


def by_input(net: Network, X: Samples) -> dict[str, Array]:
    """The arrays by the names of the inputs."""
    return X if isinstance(X, dict) else dict.fromkeys(net.xs, X)


def count_of(X: Samples) -> int:
    """How many samples there are."""
    return len(next(iter(X.values()))) if isinstance(X, dict) else len(X)


def some(X: Samples, which: Any) -> Samples:
    """Some of the samples: a slice, or their numbers; one number is a sample without its axis."""
    return {name: x[which] for name, x in X.items()} if isinstance(X, dict) else X[which]


def rows(data: Data, which: Any) -> Data:
    """Some of the samples with their targets."""
    return some(data[0], which), data[1][which]


def picture_shape(
    net: Network, X: Samples, given: tuple[int, int] | None
) -> tuple[int, int] | None:
    """(height, width) if samples are pictures: given, by the names of their axes, or as they look.

    Raises ConfigError where what is given does not fit the samples.
    """
    if isinstance(X, dict):
        if given is not None:
            raise ConfigError("image_shape is for a network with one input")
        return None
    sides = _sides(net.x)
    named = None if sides is None else (X.shape[1 + sides[0]], X.shape[1 + sides[1]])
    pixels = math.prod(X.shape[1:])
    if given is None:
        return named or square(X.reshape(len(X), pixels))
    if named is None and math.prod(given) != pixels:
        raise ConfigError(
            f"image_shape is {given}, {math.prod(given)} pixels; a sample has {pixels} features"
        )
    if named is not None and named != tuple(given):
        raise ConfigError(f"image_shape is {given}; the axes of a sample say {named}")
    return given


def square(X: Array) -> tuple[int, int] | None:
    """The shape of square pictures (batch, pixels), if the samples look like some.

    Seven pixels a side or more, none negative, and each column correlates with the next.
    """
    side = round(X.shape[1] ** 0.5)
    if side < 7 or side * side != X.shape[1] or X.min() < 0:
        return None
    first = X[:500].astype(float)
    first = (first - first.mean(axis=0)) / np.maximum(first.std(axis=0), 1e-12)
    pixels = first.reshape(-1, side, side)
    alike = float(np.mean(pixels[:, :, 1:] * pixels[:, :, :-1]))
    return (side, side) if alike > 0.15 else None


def cells(leaf: Input, value: Array, shape: tuple[int, int] | None = None) -> Array:
    """One sample of an input to look at: a picture is the mean of its channels."""
    sides = _sides(leaf)
    if sides is None:
        return value.reshape(shape) if shape is not None else value
    upright = np.moveaxis(value, sides, (0, 1))
    return np.asarray(upright.reshape(*upright.shape[:2], -1).mean(axis=-1))


def _sides(leaf: Input) -> tuple[int, int] | None:
    """Which axes of a sample are its height and width."""
    names = [axis.name for axis in leaf.axes[1:]]
    return (names.index(_SIDES[0]), names.index(_SIDES[1])) if set(_SIDES) <= set(names) else None
