"""The samples that a caller gives as an example, as arrays (batch, …), one an input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pullback.errors import DataError, DTypeError, ShapeError
from pullback.interop.rows import Array
from pullback.interop.torch.call import ForwardCall

USED = 16  # samples of an example that are run


def as_examples(torch: Any, given: Mapping[str, Any]) -> tuple[Array, ...]:
    """The first samples of each example, copied.

    An example is a tensor, an array or nested lists of floats, or of whole numbers. Raises
    DTypeError for others, ShapeError without a batch, DataError for an empty or infinite one.

    >>> import torch
    >>> as_examples(torch, {"x": torch.ones(2, 3, dtype=torch.bfloat16)})[0].dtype
    dtype('float64')
    """
    alone = len(given) == 1
    return tuple(
        _samples(torch, "example" if alone else f"example[{name!r}]", each, 2 if alone else 1)
        for name, each in given.items()
    )


def made_up(torch: Any, module: Any, call: ForwardCall) -> tuple[Array, ...] | None:
    """An example for a module of one input that begins with a Linear; None for others."""
    first = next((p for p in module.modules() if isinstance(p, torch.nn.Linear)), None)
    if first is None or len(call.names) > 1:
        return None
    return (np.random.default_rng(0).normal(size=(2, first.in_features)),)


def _samples(torch: Any, called: str, example: Any, rank: int) -> Array:
    array = _numbers(torch, called, example)
    rank = rank if array.dtype.kind == "f" else 1
    if array.ndim < rank:
        alone = "; give a number that is one for all samples once a sample, as t.expand(batch)"
        hint = f"; one sample is {called}[None, :]" if array.ndim else alone
        expected = "(batch, features)" if rank > 1 else "the batch first"
        raise ShapeError(f"{called} has shape {array.shape}; expected {expected}{hint}")
    if 0 in array.shape:
        raise DataError(f"{called} has shape {array.shape}: it is empty; give at least one sample")
    array = array[:USED]
    if not np.isfinite(array).all():
        raise DataError(f"{called} holds NaN or an infinity; give samples that are finite")
    return array


def _numbers(torch: Any, called: str, example: Any) -> Array:
    """The values as float64 or int64, in memory of their own."""
    try:
        if isinstance(example, torch.Tensor):
            dtype, held = example.dtype, example.detach().cpu()
            if dtype.is_floating_point:
                held = held.double()
            array: Array = held.numpy()
        else:
            array = np.asarray(example)
            dtype = array.dtype
    except Exception as fault:  # no values (meta), rows of several lengths, a class of its own
        raise DataError(f"{called} cannot be read as an array: {fault}") from fault
    if array.dtype.kind not in "fiu":
        raise DTypeError(f"{called} has dtype {dtype}; expected floats, or whole numbers")
    return array.astype(np.float64 if array.dtype.kind == "f" else np.int64)
