"""torch's tensors and modules where a caller may give them: torch is not loaded to ask."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import numpy as np

from pullback.errors import ConfigError, DataError, ShapeError, unknown
from pullback.interop.extras import library
from pullback.nn import ParameterSpec, init


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
    named = {"X": X, **{name: as_given(value) for name, value in module.named_parameters()}}
    for name, array in named.items():
        finite = np.isfinite(np.asarray(array, float))
        if not finite.all():
            at = tuple(map(int, np.argwhere(~finite)[0]))
            what = "NaN" if np.isnan(np.asarray(array)[at]) else "an infinity"
            raise DataError(f"{name} holds {what}, first at {list(at)}")


def format_of(module: Any) -> str:
    """The format that a module computes in: float16 has a narrow range, the others a wide one."""
    first = next(module.parameters(), None)
    half = first is not None and str(first.dtype) == "torch.float16"
    return "float16" if half else "float32"


def initialise(
    module: Any, specs: Iterable[ParameterSpec], scheme: init.Scheme, seed: int = 0
) -> Any:
    """Draw a module's parameters anew, in place, as ``Network.init`` does for that seed.

    Raises UnknownNameError, ShapeError and ConfigError, before anything is drawn, for a module that
    lacks a parameter, holds it in another shape, or holds it frozen.
    """
    torch = library("torch", "torch")
    held = dict(module.named_parameters(remove_duplicate=False))
    specs = list(specs)
    for spec in specs:
        if spec.name not in held:
            raise unknown("parameter of the module:", spec.name, held)
        if tuple(held[spec.name].shape) != spec.shape:
            found = tuple(held[spec.name].shape)
            raise ShapeError(f"{spec.name} has shape {found} in the module; expected {spec.shape}")
        if not held[spec.name].requires_grad:
            raise ConfigError(
                f"{spec.name} is frozen in the module (requires_grad is False), so it is not drawn "
                "anew; unfreeze it first, or leave the module as it is"
            )
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for spec in specs:
            held[spec.name].copy_(torch.from_numpy(np.asarray(scheme.draw(spec, rng))))
    return module
