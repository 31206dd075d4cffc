"""An optimiser at work: its emitted equations, run in place."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from pullback.errors import require
from pullback.net.program import Array, Compiled, compile_program
from pullback.train.optim.rule import Optimizer, equations
from pullback.train.optim.schedule import rates_at


class Updater:
    """An optimiser and its memory, for one vector of weights (all,) that it changes in place.

    ``done`` counts the steps, so that a restored updater goes on where another one stopped.

    >>> from pullback.train.optim import SGD
    >>> w, g = np.array([1.0, 2.0]), np.array([0.5, 0.5])
    >>> Updater(SGD(0.1), size=2, dtype=np.float64).step(w, g)
    >>> w
    array([0.95, 1.95])
    """

    def __init__(self, optimizer: Optimizer, size: int, dtype: Any) -> None:
        require("optimizer", optimizer, Optimizer, "one such as pb.optim.SGD(0.1)")
        self.optimizer, self.done = optimizer, 0
        self.slots: dict[str, Array] = {name: np.zeros(size, dtype) for name in optimizer.slots}
        self._program = _program(replace(optimizer, learning_rate=1.0))

    @property
    def source(self) -> str:
        """The emitted update, as it runs."""
        return self._program.source

    def step(self, weights: Array, gradient: Array, rate: float | None = None) -> None:
        """Change weights and slots by one gradient, at the optimiser's rate or another."""
        number = self.done + 1
        if rate is None:
            rate = rates_at(self.optimizer.learning_rate, np.array([number]))[0]
        dtype = weights.dtype
        inputs = {
            "weight": weights,
            "gradient": gradient,
            "rate": np.asarray(rate, dtype),
            "step": np.asarray(number, dtype),
            **self.slots,
        }
        self._program({}, inputs, {"weight": weights, **self.slots})
        self.done = number


@lru_cache(maxsize=32)
def _program(optimizer: Optimizer) -> Compiled:
    """One program for every rate, which is an input of it: building it costs more than a fit."""
    title = f"The update of {type(optimizer).__name__}."
    return compile_program(equations(optimizer), title, in_place=True)
