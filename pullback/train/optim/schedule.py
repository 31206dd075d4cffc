"""Learning-rate schedules: pure functions from the number of a step, from 1, to its rate.

A schedule stands where a learning rate stands; so may any function of the step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.errors import ConfigError, positive, require, shown, whole
from pullback.net.program import Array

Rate = float | Callable[[Any], Any]


@dataclass(frozen=True)
class Schedule(ABC):
    """The rate of each step; steps may be one number or an array of them."""

    rate: float

    def __post_init__(self) -> None:
        positive("rate", self.rate)

    def __call__(self, step: Any) -> Any:
        """The rate of the step, or of each step of an array."""
        rates = self.at(np.asarray(step, np.float64) - 1)
        return float(rates) if np.ndim(step) == 0 else rates

    @abstractmethod
    def at(self, done: Array) -> Array:
        """The rates after so many steps."""


@dataclass(frozen=True)
class Constant(Schedule):
    """The same rate at every step.

    >>> Constant(0.1)(7)
    0.1
    """

    def at(self, done: Array) -> Array:
        return np.full(done.shape, self.rate)


@dataclass(frozen=True)
class StepDecay(Schedule):
    """The rate times ``factor`` once more after every ``every`` steps (torch's StepLR).

    >>> [StepDecay(0.8, every=2, factor=0.5)(step) for step in (1, 2, 3, 5)]
    [0.8, 0.8, 0.4, 0.2]
    """

    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("every", self.every)
        _share("factor", self.factor)

    def at(self, done: Array) -> Array:
        return np.asarray(self.rate * self.factor ** (done // self.every))


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from the rate to ``final`` in ``steps`` steps, then ``final``.

    Loshchilov, Hutter: SGDR (2017), equation 5, without restarts.

    >>> [round(Cosine(0.2, steps=4)(step), 3) for step in (1, 3, 5, 9)]
    [0.2, 0.1, 0.0, 0.0]
    """

    steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("steps", self.steps)
        if not 0 <= self.final <= self.rate:
            raise ConfigError(f"final is {self.final}; expected a number from 0 to {self.rate}")

    def at(self, done: Array) -> Array:
        return _cosine(self.rate, self.final, done / self.steps)


@dataclass(frozen=True)
class WarmUp(Schedule):
    """A straight rise from ``start`` times the rate in ``steps`` steps, then ``then``.

    ``then`` is the rate itself unless another schedule is given, whose first rate is ``rate``.

    >>> [WarmUp(0.4, steps=2, start=0.5)(step) for step in (1, 2, 3, 4)]
    [0.2, 0.30000000000000004, 0.4, 0.4]
    """

    steps: int
    start: float = 0.1
    then: Schedule | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("steps", self.steps)
        _share("start", self.start)
        if self.then is not None:
            require("then", self.then, Schedule, "a schedule such as Cosine(0.1, steps=1000)")

    def at(self, done: Array) -> Array:
        rising = self.rate * (self.start + (1 - self.start) * done / self.steps)
        after = np.maximum(done - self.steps, 0)
        flat = self.rate if self.then is None else self.then.at(after)
        return np.where(done < self.steps, rising, flat)


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up to the rate in the first ``rise`` of ``steps`` steps, then down to nearly nothing.

    Both ways along half a cosine, from rate / ``below`` and to that / ``final_below`` (Smith,
    Topin: Super-Convergence, 2018; torch's OneCycleLR).

    >>> cycle = OneCycle(0.5, steps=11, rise=0.5)
    >>> [round(cycle(step), 3) for step in (1, 11)]
    [0.02, 0.0]
    """

    steps: int
    rise: float = 0.3
    below: float = 25.0
    final_below: float = 1e4

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("steps", self.steps)
        _share("rise", self.rise)
        positive("below", self.below)
        positive("final_below", self.final_below)
        if not 1 < self.rise * self.steps < self.steps:
            raise ConfigError(
                f"rise is {self.rise} of {self.steps} steps; expected more than one step of them, "
                "and not all"
            )

    def at(self, done: Array) -> Array:
        first = self.rate / self.below
        peak, last = self.rise * self.steps - 1, self.steps - 1.0
        up = _cosine(first, self.rate, done / peak)
        down = _cosine(self.rate, first / self.final_below, (done - peak) / (last - peak))
        return np.where(done <= peak, up, down)


def _cosine(start: float, end: float, share: Array) -> Array:
    return np.asarray(end + (start - end) / 2 * (1 + np.cos(np.pi * np.clip(share, 0, 1))))


def _share(name: str, value: float) -> None:
    if not 0 < positive(name, value) <= 1:
        raise ConfigError(f"{name} is {value}; expected a number above 0 and at most 1")


def checked_rate(value: Any) -> None:
    """Raise ConfigError unless this is a number above 0, or a function of the step."""
    if not callable(value):
        positive("learning_rate", value)
    elif isinstance(value, type):
        raise ConfigError(f"learning_rate is the class {value.__name__}; expected one of them")


def rates_at(rate: Rate, steps: Array) -> Array:
    """The learning rate of each of some steps; raises ConfigError where it is not from 0 up."""
    if not callable(rate):
        return np.full(len(steps), float(rate))
    if isinstance(rate, Schedule):
        rates = np.asarray(rate(steps))
    else:
        rates = np.array([_number(rate, int(step)) for step in steps])
    wrong = ~(np.isfinite(rates) & (rates >= 0))
    if wrong.any():
        at = int(np.argmax(wrong))
        raise ConfigError(
            f"the learning rate of step {int(steps[at])} is {rates[at]}; expected a number from 0"
        )
    return rates


def _number(rate: Callable[[Any], Any], step: int) -> float:
    value = rate(step)
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ConfigError(
            f"the learning rate of step {step} is {shown(value)}; expected a number"
        ) from None
