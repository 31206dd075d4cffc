"""Random numbers, wherever a module takes them from: begun from a seed, and noticed."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from pullback.interop.extras import Late

torch: Any = Late("torch", "torch")


def seeded(seed: int) -> None:
    """Begin anew what torch, NumPy and Python draw."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  a module may draw so


def drawn() -> tuple[Any, ...]:
    """A mark that changes with every number drawn."""
    own: Any = np.random.get_state()  # noqa: NPY002
    return torch.get_rng_state().numpy().tobytes(), random.getstate(), own[1].tobytes(), own[2]
