"""The optimiser that the options of a command ask for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from pullback.errors import ConfigError, unknown
from pullback.net.recipe import squashed
from pullback.train.optim import (
    SGD,
    Cosine,
    FullBatch,
    OneCycle,
    Optimizer,
    Schedule,
    StepDecay,
    WarmUp,
)
from pullback.train.optim.by_name import optimizer_named

RATE, MOMENTUM = 0.05, 0.9  # of sgd; the others have usual rates of their own
SCHEDULES: dict[str, Callable[[float, int], Schedule | float]] = {
    "constant": lambda rate, steps: rate,
    "cosine": lambda rate, steps: Cosine(rate, steps),
    "one_cycle": lambda rate, steps: OneCycle(rate, steps),
    "step": lambda rate, steps: StepDecay(rate, every=max(1, steps // 3)),
    "warm_up": lambda rate, steps: WarmUp(rate, max(1, steps // 10)),
}


def chosen(
    name: str = "sgd",
    rate: float | None = None,
    momentum: float | None = None,
    clip_norm: float | None = None,
    schedule: str = "constant",
    steps: int = 1,
) -> Optimizer | FullBatch:
    """The optimiser of that name for so many steps; what is None is as usual.

    Raises UnknownNameError for an unknown name, ConfigError for an option that it does not take.

    >>> chosen("adam", clip_norm=1.0).clip_norm
    1.0
    >>> chosen(schedule="cosine", steps=100).learning_rate
    Cosine(rate=0.05, steps=100, final=0.0)
    """
    by_plain_name = {squashed(each): make for each, make in SCHEDULES.items()}
    if squashed(schedule) not in by_plain_name:
        raise unknown("schedule", schedule, SCHEDULES)
    made = optimizer_named(name)
    if squashed(name) == "sgd":
        made = SGD(RATE, momentum=MOMENTUM)
    given: dict[str, Any] = {"--lr": rate, "--momentum": momentum, "--clip-norm": clip_norm}
    if isinstance(made, FullBatch):
        given["--schedule"] = None if squashed(schedule) == "constant" else schedule
        for option, value in given.items():
            if value is not None:
                raise ConfigError(f"{name} takes no {option}: SciPy's line search picks each step")
        return made
    options: dict[str, Any] = {"momentum": momentum, "clip_norm": clip_norm}
    options = {option: value for option, value in options.items() if value is not None}
    if "momentum" in options and "momentum" not in {each.name for each in fields(made)}:
        raise ConfigError(f"{name} takes no --momentum; leave it out, or take --optimizer sgd")
    first = made.learning_rate if rate is None else rate
    assert not callable(first)
    made = replace(made, learning_rate=first, **options)  # a rate that makes no sense is refused
    return replace(made, learning_rate=by_plain_name[squashed(schedule)](first, steps))
