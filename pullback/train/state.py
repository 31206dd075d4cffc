"""The state of a training between two epochs, and whether one from a file can be it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from pullback.errors import DataError
from pullback.foreign import reading
from pullback.net.network import Parameters
from pullback.net.program import Array
from pullback.train.history import History

MEMORY, BEST = "fit.", "best."  # of arrays in a file that are not parameters; of the best so far


@dataclass(frozen=True)
class State:
    """A training between two epochs: parameters, other arrays by name, and the rest as facts.

    ``rates`` is a digest of the learning rates so far, where a function gives them.
    """

    params: Parameters
    memory: Mapping[str, Array]
    steps: int
    history: History
    random: Mapping[str, Any] | None
    rates: str | None = None

    def arrays(self) -> dict[str, Array]:
        """All arrays by their names in a file."""
        return {**self.params, **{f"{MEMORY}{name}": held for name, held in self.memory.items()}}

    def facts(self) -> dict[str, Any]:
        """All that is no array."""
        names = ("steps", "history", "random", "rates")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Expected:
    """What any state of a training must be like."""

    shapes: Mapping[str, tuple[int, ...]]
    trained: Collection[str]
    slots: Collection[str]
    dtype: np.dtype[Any]
    columns: Collection[str]  # of the history, besides the seconds
    scheduled: bool
    steps: int | None  # in an epoch, where that is known
    shuffled: bool
    restore_best: bool

    def state(
        self, path: str | Path, arrays: Mapping[str, Array], facts: Mapping[str, Any]
    ) -> State:
        """The state that a file holds; raises DataError where it cannot be one of this training."""
        with reading(path, "a checkpoint"):
            try:
                return self._state(arrays, facts)
            except DataError as fault:
                raise DataError(f"{path} is damaged: {fault}") from None

    def _state(self, arrays: Mapping[str, Array], facts: Mapping[str, Any]) -> State:
        history, steps = self._history(facts["history"]), facts["steps"]
        epochs = len(history["loss"])
        _check(type(steps) is int and epochs <= steps < 2**53, f"it counts {steps!r:.40} steps")
        _check(
            self.steps is None or steps == epochs * self.steps,
            f"it counts {steps} steps in {epochs} epochs of {self.steps}",
        )
        self._check_arrays(arrays)
        random, rates = facts["random"], facts["rates"]
        _check(isinstance(rates, str) == self.scheduled, "its rates are no digest")
        _check((random is not None) == self.shuffled, "its random numbers do not belong to it")
        if random is not None:
            generator = np.random.default_rng(0).bit_generator
            generator.state = random
            _check(generator.state == random, "its random numbers are in no state")
        params = {name: arrays[name] for name in self.shapes}
        memory = {k.removeprefix(MEMORY): v for k, v in arrays.items() if k not in self.shapes}
        return State(params, memory, steps, history, random, rates)

    def _history(self, history: Any) -> History:
        _check(isinstance(history, dict), "its history is no table")
        wanted = {*self.columns, "seconds"} | ({"learning_rate"} if self.scheduled else set())
        _check({*history} == wanted, f"its history has the columns {sorted(history)}")
        lengths = set()
        for name, column in history.items():
            _check(isinstance(column, list), f"its {name} is no column")
            numbers = all(type(value) in (int, float) for value in column)
            # the loss of a validation may be infinite, and nothing of the training is
            _check(
                numbers and (name.startswith("validation_") or all(map(isfinite, column))),
                f"its {name} holds what is no number",
            )
            lengths.add(len(column))
        _check(len(lengths) == 1 and min(lengths) > 0, "its columns differ in length, or are empty")
        return {name: [float(value) for value in column] for name, column in history.items()}

    def _check_arrays(self, arrays: Mapping[str, Array]) -> None:
        total = sum(int(np.prod(self.shapes[name])) for name in self.trained)
        wanted = dict(self.shapes) | {f"{MEMORY}{slot}": (total,) for slot in self.slots}
        best = {f"{MEMORY}{BEST}{name}": shape for name, shape in self.shapes.items()}
        if self.restore_best and any(name in arrays for name in best):
            wanted |= best
        for name in sorted({*wanted, *arrays}):
            _check(name in arrays, f"it lacks {name!r}")
            _check(name in wanted, f"it holds {name!r}, which is no part of this training")
            found = arrays[name]
            _check(
                found.shape == wanted[name],
                f"{name!r} has shape {found.shape}; expected {wanted[name]}",
            )
            _check(found.dtype == self.dtype, f"{name!r} is {found.dtype}; expected {self.dtype}")
            _check(bool(np.isfinite(found).all()), f"{name!r} holds NaN or an infinity")


def _check(fits: bool, problem: str) -> None:
    if not fits:
        raise DataError(problem)
