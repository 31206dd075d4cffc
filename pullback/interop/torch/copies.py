"""A module is read and run as a copy: nothing of the caller's changes, the random state neither."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from pullback.errors import ConversionError
from pullback.interop.torch.patched import rebind

# what wraps a module and computes the same, and where it holds it
_WRAPPERS = {"OptimizedModule": "_orig_mod", "DataParallel": "module",
             "DistributedDataParallel": "module"}  # fmt: skip


@contextmanager
def undisturbed(torch: Any) -> Iterator[None]:
    """Gradients are on inside; the random states of torch, NumPy and Python are put back after."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002  the module may draw so
    cuda = torch.cuda
    devices = range(cuda.device_count()) if cuda.is_initialized() else ()
    try:
        with torch.random.fork_rng(devices), torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002


def is_wrapper(module: Any) -> bool:
    """Is it torch.compile's module, DataParallel or the like?"""
    return type(module).__name__ in _WRAPPERS


def wrapped(module: Any) -> Any:
    """The module inside torch.compile's, DataParallel and the like; any other one is itself."""
    while (name := _WRAPPERS.get(type(module).__name__)) is not None:
        module = getattr(module, name)
    return module


def copied(torch: Any, module: Any) -> Any:
    """A deep copy of a module, with parameters of its own, and without what wraps it.

    Raises ConversionError for a module that cannot be copied.
    """
    # a value that hangs on a parameter, as weight_norm keeps one, cannot be copied as it is
    kept = {
        id(value): value.detach().clone()
        for part in module.modules()
        for value in vars(part).values()
        if isinstance(value, torch.Tensor) and not value.is_leaf
    }
    try:
        with torch.no_grad():  # TorchScript would make a graph of it
            found = copy.deepcopy(module, kept)
        for one, other in zip(found.parameters(), module.parameters(), strict=True):
            one.requires_grad_(other.requires_grad)
    except Exception as fault:  # the module may hold anything
        raise ConversionError(
            f"{type(module).__name__} cannot be copied: {first_line(fault)}; pullback runs a copy, "
            "to leave the module as it is"
        ) from fault
    rebind(found, kept)
    return _without_wrappers(torch, found)


def _without_wrappers(torch: Any, module: Any) -> Any:
    """The module with a plain call in the place of every wrapper: names and values stay."""
    for name, part in module._modules.items():
        if part is not None:
            module._modules[name] = _without_wrappers(torch, part)
    if not is_wrapper(module):
        return module
    held = _WRAPPERS[type(module).__name__]

    class Around(torch.nn.Module):
        def forward(self, *args: Any, **options: Any) -> Any:
            return getattr(self, held)(*args, **options)

    plain = Around().train(module.training)
    plain.add_module(held, getattr(module, held))
    return plain


def first_line(fault: Exception) -> str:
    """What an error of somebody else's says, in one line."""
    lines = str(fault).strip().splitlines()
    return lines[0] if lines else type(fault).__name__
