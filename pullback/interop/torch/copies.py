"""A module is read and run as a copy: nothing of the caller's changes, the random state neither."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from pullback.errors import ConversionError


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


def copied(module: Any) -> Any:
    """A deep copy of a module, with parameters of its own.

    Raises ConversionError for a module that cannot be copied.
    """
    try:
        return copy.deepcopy(module)
    except Exception as fault:  # the module may hold anything
        raise ConversionError(
            f"{type(module).__name__} cannot be copied: {first_line(fault)}; pullback runs a copy, "
            "to leave the module as it is"
        ) from fault


def first_line(fault: Exception) -> str:
    """What an error of somebody else's says, in one line."""
    lines = str(fault).strip().splitlines()
    return lines[0] if lines else type(fault).__name__
