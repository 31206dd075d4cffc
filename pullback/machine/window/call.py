"""Convolutions and pools of NumPy's arrays: each call writes the last array that it is given.

x is (groups, inputs, *places, samples), y (groups, outputs, *positions, samples), and the weight
(groups, outputs, inputs, *taps); y[g, k, p, n] = Σ_{c, t} weight[g, k, c, t] x[g, c, place, n],
where window by window the place is stride · p + dilation · t + offset, and outside of x is nothing.
The samples of x and y lie side by side; all other strides are free.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from pullback.machine.window import library
from pullback.machine.window.geometry import Kind, Side
from pullback.machine.window.plan import (
    Windows,
    convolution_plan,
    pool_plan,
    weights_plan,
)
from pullback.machine.window.strided import Array, Strided

_convolution_plan = lru_cache(maxsize=1024)(convolution_plan)
_weights_plan = lru_cache(maxsize=1024)(weights_plan)
_pool_plan = lru_cache(maxsize=1024)(pool_plan)


def to_positions(
    x: Array, weight: Array, y: Array, windows: Windows, bias: Array | None = None
) -> None:
    """y from x and the weight: the convolution itself, plus a bias (groups, outputs).

    >>> x, weight, y = np.ones((1, 1, 4, 2)), np.ones((1, 1, 1, 3)), np.empty((1, 1, 4, 2))
    >>> to_positions(x, weight, y, ((1, 1, -1),))
    >>> y[0, 0, :, 0]
    array([2., 3., 3., 2.])
    """
    _convolved("positions", x, weight, y, windows, bias)


def to_places(y: Array, weight: Array, x: Array, windows: Windows) -> None:
    """x from y and the weight: the transposed convolution, which is the gradient towards x."""
    _convolved("places", y, weight.swapaxes(1, 2), x, windows, None)


def to_taps(x: Array, y: Array, weight: Array, windows: Windows) -> None:
    """The weight from x and y: the gradient towards it."""
    dtype = weight.dtype
    x, y = _side_by_side(x, dtype), _side_by_side(y, dtype)
    lanes = library.lanes(dtype)
    lie, size = [Strided.side_by_side(each, lanes) for each in (x, y, weight)], dtype.itemsize
    plan = _weights_plan(windows, *lie, lanes, size)
    scratch = np.empty(plan.scratch, dtype)
    kernel = library.kernel("weights", dtype.name, len(windows))
    kernel(*_addresses(plan.numbers, x, y, weight, scratch), 0, plan.parts)


def pooled(x: Array, y: Array, windows: Windows) -> None:
    """The largest entry of each window; x is (channels, *places, samples), y so of positions.

    Windows have four numbers here, of which the last is how many taps they have.

    >>> x, y = np.array([[[1.0], [3.0], [2.0], [0.0]]]), np.empty((1, 2, 1))
    >>> pooled(x, y, ((2, 1, 0, 2),))
    >>> y[0, :, 0]
    array([3., 2.])
    """
    _pooled(x, y, windows, largest=True)


def summed(x: Array, y: Array, windows: Windows) -> None:
    """The sum of each window."""
    _pooled(x, y, windows, largest=False)


def pooled_back(x: Array, delta: Array, dx: Array, windows: Windows) -> None:
    """The cotangent of x from the one of the largest entries."""
    if x.strides != dx.strides or x.dtype != dx.dtype:
        held = np.empty_like(dx)
        held[...] = x
        x = held
    _pooled_back(x, delta, dx, windows, largest=True)


def summed_back(delta: Array, dx: Array, windows: Windows) -> None:
    """The cotangent of x from the one of the sums."""
    _pooled_back(dx, delta, dx, windows, largest=False)


def _pooled(x: Array, y: Array, windows: Windows, largest: bool) -> None:
    dtype = y.dtype
    x, lanes = _side_by_side(x, dtype), library.lanes(dtype)
    lie = [Strided.side_by_side(each, lanes) for each in (x, y)]
    plan = _pool_plan(windows, *lie, lanes)
    kernel = library.kernel("max_pool" if largest else "sum_pool", dtype.name, len(windows))
    kernel(*_addresses(plan.numbers, x, y), 0, plan.parts)


def _pooled_back(x: Array, delta: Array, dx: Array, windows: Windows, largest: bool) -> None:
    dtype = dx.dtype
    delta, lanes = _side_by_side(delta, dtype), library.lanes(dtype)
    lie = [Strided.side_by_side(each, lanes) for each in (x, delta)]
    plan = _pool_plan(windows, *lie, lanes)
    kind: Kind = "max_pool_back" if largest else "sum_pool_back"
    kernel = library.kernel(kind, dtype.name, len(windows))
    kernel(*_addresses(plan.numbers, x, delta, dx), 0, plan.parts)


def _convolved(
    to: Side, source: Array, weight: Array, target: Array, windows: Windows, bias: Array | None
) -> None:
    dtype = target.dtype
    source, weight = _side_by_side(source, dtype), weight.astype(dtype, copy=False)
    shift = None if bias is None else np.ascontiguousarray(bias, dtype)
    lanes = library.lanes(dtype)
    lie = [Strided.side_by_side(each, lanes) for each in (source, target, weight)]
    plan = _convolution_plan(to, windows, *lie, lanes)
    kernel = library.kernel("convolution", dtype.name, len(windows))
    kernel(*_addresses(plan.numbers, source, weight, shift, target), 0, plan.parts)


def _side_by_side(array: Array, dtype: Any) -> Array:
    """The array with its samples side by side, copied where they are not."""
    if array.dtype == dtype and (array.strides[-1] == array.itemsize or array.shape[-1] == 1):
        return array
    return np.ascontiguousarray(array, dtype)


def _addresses(*arrays: Array | None) -> list[int | None]:
    return [None if array is None else array.ctypes.data for array in arrays]
