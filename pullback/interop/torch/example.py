"""The samples that a caller gives as an example, as one array (batch, …) of float64."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pullback.errors import ConversionError, DataError, DTypeError, ShapeError
from pullback.interop.graph import Array

USED = 16  # samples of an example that are run


def as_samples(torch: Any, example: Any) -> Array:
    """The first samples of an example, copied: a tensor, an array, or nested lists of floats.

    Raises ConversionError for several inputs, DTypeError for numbers that are no floats,
    ShapeError unless there are a batch and features, DataError for an empty or infinite one.

    >>> import torch
    >>> as_samples(torch, torch.ones(2, 3, dtype=torch.bfloat16)).dtype
    dtype('float64')
    """
    array = _floats(torch, _one_input(example))
    if array.ndim < 2:
        hint = "; one sample is example[None, :]" if array.ndim else ""
        raise ShapeError(f"example has shape {array.shape}; expected (batch, features){hint}")
    if 0 in array.shape:
        raise DataError(f"example has shape {array.shape}: it is empty; give at least one sample")
    array = array[:USED]
    if not np.isfinite(array).all():
        raise DataError("example holds NaN or an infinity; give samples that are finite")
    return array


def _one_input(example: Any) -> Any:
    """The example itself; a tuple of one input is that input."""
    if isinstance(example, tuple) and len(example) == 1 and np.ndim(example[0]):
        return example[0]
    several = isinstance(example, (Mapping, set)) or (
        isinstance(example, (tuple, list)) and any(getattr(each, "ndim", 0) for each in example)
    )
    if several:
        raise ConversionError(
            f"example is a {type(example).__name__} of {len(example)}; pullback reads modules of "
            "one input: give one array (batch, features)"
        )
    return example


def _floats(torch: Any, example: Any) -> Array:
    """The values as float64, in memory of their own."""
    try:
        if isinstance(example, torch.Tensor):
            dtype, floats = example.dtype, example.dtype.is_floating_point
            array: Array | None = (
                example.detach().to("cpu", torch.float64).numpy().copy() if floats else None
            )
        else:
            held = np.asarray(example)
            dtype, floats = held.dtype, held.dtype.kind == "f"
            array = held.astype(np.float64) if floats else None
    except Exception as fault:  # no values (meta), rows of several lengths, a class of its own
        raise DataError(f"example cannot be read as an array: {fault}") from fault
    if array is None:
        raise DTypeError(
            f"example has dtype {dtype}; expected floats, as module(example) takes them; whole "
            "numbers are not made floats in silence"
        )
    return array
