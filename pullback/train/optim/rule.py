"""An optimiser is equations, so that every target emits it and people can read it.

It builds nodes for the new weight and for its own memory (its slots) from the weight, the gradient
and two numbers that change from step to step: the learning rate, and the step's number from 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pullback import ir
from pullback.errors import ConfigError, from_zero, positive, shown
from pullback.ir import Axis, Contract, Graph, Input, Named, Node
from pullback.ir.build import add, multiply, scalar_map, scale
from pullback.ir.language.text import as_text
from pullback.nn import signature_of
from pullback.train.optim.schedule import Rate, checked_rate

_ALL = Axis("all")
_CLIP_EPSILON = 1e-6  # torch's, so that a gradient of zeros stays one


@dataclass(frozen=True)
class Optimizer(ABC):
    """How a weight changes.

    ``learning_rate`` is a number above 0, a schedule, or any function of the step's number.
    ``clip_norm`` shortens a longer gradient, over all weights, to that norm (Pascanu et al. 2013);
    ``clip_value`` holds each of its entries between −clip_value and clip_value. Raises ConfigError
    for numbers that make no sense.
    """

    learning_rate: Rate
    clip_norm: float | None = field(default=None, kw_only=True)
    clip_value: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        checked_rate(self.learning_rate)
        for name in ("clip_norm", "clip_value"):
            if getattr(self, name) is not None:
                positive(name, getattr(self, name))

    @property
    @abstractmethod
    def slots(self) -> tuple[str, ...]:
        """The names of the arrays that the optimiser remembers, zero at the start."""

    @abstractmethod
    def update(
        self, weight: Node, gradient: Node, rate: Node, step: Node, slots: Mapping[str, Node]
    ) -> dict[str, Node]:
        """The new value of every slot, then the new ``weight`` (axes of the weight)."""

    def signature(self) -> str | None:
        """A text that is the same for equal updates only, whatever their learning rate.

        None for an optimiser that is not pullback's own.

        >>> from pullback.train.optim import SGD, Momentum
        >>> SGD(0.1).signature() == SGD(0.2).signature() != Momentum(0.1).signature()
        True
        """
        return signature_of(replace(self, learning_rate=1.0))

    def text(self) -> str:
        """The update, an equation a line; a slot's new value is called so.

        >>> from pullback.train.optim import SGD
        >>> print(SGD(0.1, momentum=0.9).text())
        velocity.new = 0.9*velocity + gradient
        weight.new = -rate*velocity.new + weight
        """
        found = equations(self)
        new = dict(zip(found, ir.as_printed(*found.values()), strict=True))
        steps = Graph(new).equations
        right_sides = {step.name: step.arg for step in steps} | {"weight.new": new["weight"]}
        return "\n".join(f"{name} = {as_text(node)}" for name, node in right_sides.items())


def equations(optimizer: Optimizer) -> dict[str, Node]:
    """The update of one optimiser: the new slots and the new weight, by name.

    The nodes stand over the inputs weight, gradient and the slots (all,), rate and step ().
    """
    weight, gradient = Input("weight", (_ALL,)), Input("gradient", (_ALL,))
    slots = {name: Input(name, (_ALL,)) for name in optimizer.slots}
    new = optimizer.update(
        weight, _clipped(optimizer, gradient), Input("rate", ()), Input("step", ()), slots
    )
    return dict(zip(new, ir.simplify(*new.values()), strict=True))


def _clipped(optimizer: Optimizer, gradient: Node) -> Node:
    """The gradient as the optimiser sees it: first each entry is clipped, then the norm."""
    import sympy as sp

    x = ir.symbol(0)
    if optimizer.clip_value is not None:
        held = sp.Max(sp.Min(x, optimizer.clip_value), -optimizer.clip_value)
        gradient = Named("gradient.held", scalar_map(held, gradient))
    if optimizer.clip_norm is not None:
        squares = Contract((gradient, gradient), ())
        share = optimizer.clip_norm / (sp.sqrt(x) + _CLIP_EPSILON)
        factor = Named("clip", scalar_map(sp.Min(1, share), squares))
        gradient = Named("gradient.clipped", multiply(gradient, factor))
    return gradient


def decayed(gradient: Node, weight: Node, weight_decay: float) -> Node:
    """The gradient plus weight_decay · weight."""
    if not weight_decay:
        return gradient
    return Named("gradient.decayed", add(gradient, scale(weight_decay, weight)))


def average(old: Node, new: Node, keep: float) -> Node:
    """The running average keep · old + (1 − keep) · new."""
    return add(scale(keep, old), scale(1 - keep, new))


def squared(node: Node) -> Node:
    """Each entry's square."""
    return multiply(node, node)


def share(name: str, value: object) -> None:
    """Raise ConfigError unless the value is a number from 0 to below 1."""
    if from_zero(name, value) >= 1:
        raise ConfigError(f"{name} is {shown(value)}; expected a number from 0 to below 1")
