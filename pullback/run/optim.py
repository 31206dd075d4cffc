"""Optimisers: the update rule as equations, so that every target emits it and people can read it.

An optimiser builds nodes for the new weight and for its own memory (its slots) from the weight,
the gradient and the learning rate; ``Updater`` runs them in place on the vector of all weights.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.errors import ConfigError, positive, require
from pullback.ir import Axis, Contract, Input, Named, Node, simplify
from pullback.ir.build import add, scale, subtract
from pullback.run.compiled import Array, compile_program

_ALL = Axis("all")


@dataclass(frozen=True)
class Optimizer(ABC):
    """How a weight changes; raises ConfigError unless the learning rate is a number above 0."""

    learning_rate: float

    def __post_init__(self) -> None:
        positive("learning_rate", self.learning_rate)

    @property
    @abstractmethod
    def slots(self) -> tuple[str, ...]:
        """The names of the arrays that the optimiser remembers, zero at the start."""

    @abstractmethod
    def update(
        self, weight: Node, gradient: Node, rate: Node, slots: Mapping[str, Node]
    ) -> dict[str, Node]:
        """The new ``weight`` and the new value of every slot (axes of the weight)."""


@dataclass(frozen=True)
class SGD(Optimizer):
    """w ← w − rate · v with v ← momentum · v + g, as in torch; v = g without momentum.

    ``nesterov`` steps along g + momentum · v (Sutskever et al. 2013); ``weight_decay`` adds
    weight_decay · w to the gradient, biases included.

    >>> SGD(0.1, momentum=0.9).slots
    ('velocity',)
    """

    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.momentum < 1:
            raise ConfigError(f"momentum is {self.momentum}; expected a number from 0 to below 1")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise ConfigError(f"weight_decay is {self.weight_decay}; expected a number from 0")
        if self.nesterov and not self.momentum:
            raise ConfigError("nesterov needs a momentum above 0")

    @property
    def slots(self) -> tuple[str, ...]:
        return ("velocity",) if self.momentum else ()

    def update(
        self, weight: Node, gradient: Node, rate: Node, slots: Mapping[str, Node]
    ) -> dict[str, Node]:
        new: dict[str, Node] = {}
        if self.weight_decay:
            decayed = add(gradient, scale(self.weight_decay, weight))
            gradient = Named("decayed", decayed)
        direction = gradient
        if self.momentum:
            velocity = Named("velocity.new", add(scale(self.momentum, slots["velocity"]), gradient))
            new["velocity"] = direction = velocity
            if self.nesterov:
                direction = add(gradient, scale(self.momentum, velocity))
        new["weight"] = subtract(weight, Contract((rate, direction), direction.axes))
        return new


class Updater:
    """An optimiser at work on one vector of weights (all,), in place.

    >>> w, g = np.array([1.0, 2.0]), np.array([0.5, 0.5])
    >>> Updater(SGD(0.1), size=2, dtype=np.float64).step(w, g)
    >>> w
    array([0.95, 1.95])
    """

    def __init__(self, optimizer: Optimizer, size: int, dtype: Any) -> None:
        require("optimizer", optimizer, Optimizer, "one such as pb.optim.SGD(0.1)")
        self.optimizer = optimizer
        self.slots: dict[str, Array] = {name: np.zeros(size, dtype) for name in optimizer.slots}
        self._program = compile_program(
            equations(optimizer), f"The update of {optimizer!r}.", in_place=True
        )

    @property
    def source(self) -> str:
        """The emitted update, as it runs."""
        return self._program.source

    def step(self, weights: Array, gradient: Array, rate: float | None = None) -> None:
        """Change the weights, and the slots, by one gradient, at the optimiser's rate or another."""
        given = self.optimizer.learning_rate if rate is None else rate
        at = np.asarray(given, weights.dtype)
        inputs = {"weight": weights, "gradient": gradient, "rate": at, **self.slots}
        self._program({}, inputs, {"weight": weights, **self.slots})


def equations(optimizer: Optimizer) -> dict[str, Node]:
    """The update of one optimiser as nodes over the inputs weight, gradient, rate and its slots."""
    weight, gradient = Input("weight", (_ALL,)), Input("gradient", (_ALL,))
    slots = {name: Input(name, (_ALL,)) for name in optimizer.slots}
    new = optimizer.update(weight, gradient, Input("rate", ()), slots)
    return dict(zip(new, simplify(*new.values()), strict=True))
