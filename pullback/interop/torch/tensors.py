"""torch's tensors and modules where a caller may give them: torch is not loaded to ask."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from pullback.errors import DataError


def is_module(value: Any) -> bool:
    """Is it a torch.nn.Module?"""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def as_given(value: Any) -> Any:
    """A tensor as an array, on whatever device it is; anything else as it is."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(value, torch.Tensor):
        return value
    value = value.detach().cpu()
    return (value.float() if value.dtype == torch.bfloat16 else value).numpy()


def look_at_numbers(module: Any, X: Any) -> None:
    """Raise DataError that names X or a parameter of the module if it holds NaN or an infinity."""
    held = {n: p for n, p in module.named_parameters() if has_values(p)}
    named = {"X": X, **{name: as_given(value) for name, value in held.items()}}
    for name, array in named.items():
        finite = np.isfinite(np.asarray(array, float))
        if not finite.all():
            at = tuple(map(int, np.argwhere(~finite)[0]))
            what = "NaN" if np.isnan(np.asarray(array)[at]) else "an infinity"
            raise DataError(f"{name} holds {what}, first at {list(at)}")


def has_values(parameter: Any) -> bool:
    """Is it neither that of a lazy module that has not run, nor on the meta device?"""
    return not hasattr(parameter, "materialize") and parameter.device.type != "meta"


def format_of(module: Any) -> str:
    """The format that a module computes in: float16 has a narrow range, the others a wide one."""
    first = next(module.parameters(), None)
    half = first is not None and str(first.dtype) == "torch.float16"
    return "float16" if half else "float32"
