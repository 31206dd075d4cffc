"""The samples that a caller gives as an example, as arrays (batch, …) of float64, one an input."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from pullback.errors import ConversionError, DataError, DTypeError, ShapeError
from pullback.interop.rows import Array

USED = 16  # samples of an example that are run


def as_examples(torch: Any, module: Any, example: Any) -> tuple[Array, ...]:
    """The first samples of an example, copied, in the order of the module's arguments.

    An example is a tensor, an array or nested lists of floats; several inputs are a tuple, or a
    dict by name. Raises ConversionError for other inputs than the module takes, DTypeError for
    numbers that are no floats, ShapeError without a batch, DataError for an empty or infinite one.

    >>> import torch
    >>> as_examples(torch, torch.nn.Identity(), torch.ones(2, 3, dtype=torch.bfloat16))[0].dtype
    dtype('float64')
    """
    several = isinstance(example, Mapping) or (
        isinstance(example, (tuple, list)) and any(getattr(each, "ndim", 0) for each in example)
    )
    given = _in_order(module, example) if several else {"example": example}
    alone = len(given) == 1
    return tuple(
        _samples(torch, "example" if alone else f"example[{name!r}]", each, 2 if alone else 1)
        for name, each in given.items()
    )


def _in_order(module: Any, example: Any) -> dict[str, Any]:
    """The inputs by name, in the order in which ``forward`` takes them."""
    takes = inspect.signature(module.forward).parameters
    kinds = inspect.Parameter
    names = [n for n, p in takes.items() if p.kind in (kinds.POSITIONAL_OR_KEYWORD,
                                                       kinds.POSITIONAL_ONLY)]  # fmt: skip
    needed = [name for name in names if takes[name].default is kinds.empty]
    open_ = any(p.kind is kinds.VAR_POSITIONAL for p in takes.values())
    what = f"example is a {type(example).__name__} of {len(example)}"
    takes_text = f"the module takes {', '.join(names)}"
    if len(names) == 1 and not open_ and len(example) == 1 and not isinstance(example, Mapping):
        return {names[0]: example[0]}
    if len(names) == 1 and not open_ and not (isinstance(example, Mapping) and [*example] == names):
        raise ConversionError(
            f"{what}; the module takes one input: give one array (batch, features)"
        )
    if isinstance(example, Mapping):
        given = {name: example[name] for name in names[: len(example)] if name in example}
        if len(given) < len(example) or any(name not in given for name in needed):
            raise ConversionError(f"{what}, {', '.join(map(str, example))}; {takes_text}")
        return given
    if not open_ and not len(needed) <= len(example) <= len(names):
        raise ConversionError(f"{what}; {takes_text}")
    names += [f"{names[-1] if names else 'x'}{at}" for at in range(len(example) - len(names))]
    return dict(zip(names, example, strict=False))


def _samples(torch: Any, called: str, example: Any, rank: int) -> Array:
    array = _floats(torch, called, example)
    if array.ndim < rank:
        hint = f"; one sample is {called}[None, :]" if array.ndim else ""
        expected = "(batch, features)" if rank > 1 else "the batch first"
        raise ShapeError(f"{called} has shape {array.shape}; expected {expected}{hint}")
    if 0 in array.shape:
        raise DataError(f"{called} has shape {array.shape}: it is empty; give at least one sample")
    array = array[:USED]
    if not np.isfinite(array).all():
        raise DataError(f"{called} holds NaN or an infinity; give samples that are finite")
    return array


def _floats(torch: Any, called: str, example: Any) -> Array:
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
        raise DataError(f"{called} cannot be read as an array: {fault}") from fault
    if array is None:
        raise DTypeError(
            f"{called} has dtype {dtype}; expected floats, as module(example) takes them; whole "
            "numbers are not made floats in silence"
        )
    return array
