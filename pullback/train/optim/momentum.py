"""Steps along the gradient, or along its running sum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pullback.errors import ConfigError, from_zero
from pullback.ir import Contract, Named, Node
from pullback.ir.build import add, scale, subtract
from pullback.train.optim.rule import Optimizer, decayed, share
from pullback.train.optim.schedule import Rate


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
        share("momentum", self.momentum)
        from_zero("weight_decay", self.weight_decay)
        if self.nesterov and not self.momentum:
            raise ConfigError("nesterov needs a momentum above 0")

    @property
    def slots(self) -> tuple[str, ...]:
        return ("velocity",) if self.momentum else ()

    def update(
        self, weight: Node, gradient: Node, rate: Node, step: Node, slots: Mapping[str, Node]
    ) -> dict[str, Node]:
        new: dict[str, Node] = {}
        direction = gradient = decayed(gradient, weight, self.weight_decay)
        if self.momentum:
            velocity = Named("velocity.new", add(scale(self.momentum, slots["velocity"]), gradient))
            new["velocity"] = direction = velocity
            if self.nesterov:
                direction = add(gradient, scale(self.momentum, velocity))
        new["weight"] = subtract(weight, Contract((rate, direction), direction.axes))
        return new


def Momentum(learning_rate: Rate, momentum: float = 0.9, **options: Any) -> SGD:
    """SGD with momentum: w ← w − rate · v with v ← momentum · v + g (Polyak 1964).

    >>> Momentum(0.1) == SGD(0.1, momentum=0.9)
    True
    """
    return SGD(learning_rate, momentum, **options)


def Nesterov(learning_rate: Rate, momentum: float = 0.9, **options: Any) -> SGD:
    """SGD with Nesterov's momentum: a step along g + momentum · v (Sutskever et al. 2013).

    >>> Nesterov(0.1) == SGD(0.1, momentum=0.9, nesterov=True)
    True
    """
    return SGD(learning_rate, momentum, nesterov=True, **options)
