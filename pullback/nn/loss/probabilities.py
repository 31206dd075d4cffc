"""Losses of yes and no for each output: probabilities of their own, or signs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pullback import ir
from pullback.ir import Axes, Contract, Node
from pullback.ir.build import multiply, scalar_map, sum_over
from pullback.nn.loss.base import Array, Loss, Target, outputs_of
from pullback.nn.loss.weights import Weights, along, check_length, checked


@dataclass(frozen=True, repr=False)
class BinaryCrossEntropy(Loss):
    """−Σ t log a + (1−t) log(1−a), summed over outputs; a = σ(z) if ``from_logits``.

    With ``from_logits=False`` the output is a itself; after a Sigmoid the logarithms are taken
    through it, so both forms are stable and both have δ = a − t. ``pos_weight`` multiplies the
    first term and ``weight`` both, each one number or one for each output; a mean is not divided
    by them. Raises ConfigError for weights below 0, ShapeError for another number of them.
    """

    from_logits: bool = True
    pos_weight: Any = field(default=None, kw_only=True)
    weight: Any = field(default=None, kw_only=True)

    def __init__(
        self,
        from_logits: bool = True,
        reduction: str = "mean",
        *,
        pos_weight: Any = None,
        weight: Any = None,
    ) -> None:
        name = type(self).__name__
        for option, value in (
            ("from_logits", from_logits),
            ("reduction", reduction),
            ("pos_weight", checked(f"{name}: pos_weight", pos_weight)),
            ("weight", checked(f"{name}: weight", weight)),
        ):
            object.__setattr__(self, option, value)
        self.__post_init__()

    @property
    def target(self) -> Target:
        return "probabilities"

    def target_axes(self, output: Axes) -> Axes:
        for option, weights in self._weights.items():
            if output[1:]:
                check_length(f"{type(self).__name__}: {option}", weights, output[-1])
        return output

    @property
    def _weights(self) -> dict[str, Weights]:
        return {"pos_weight": self.pos_weight, "weight": self.weight}

    def per_sample(self, output: Node, target: Node) -> Node:
        a: Any = ir.symbol(0)
        t: Any = ir.symbol(1)
        log = ir.fn("log")
        if self.from_logits:
            a = ir.fn("sigmoid")(a)
        if self.pos_weight is None:
            each: Node = scalar_map(-t * log(a) - (1 - t) * log(1 - a), output, target)
        else:
            weight = along(self.pos_weight, output.axes[-1])
            loss = -ir.symbol(2) * t * log(a) - (1 - t) * log(1 - a)
            each = scalar_map(loss, output, target, weight)
        if self.weight is not None:
            each = multiply(each, along(self.weight, output.axes[-1]))
        return self._over(each, outputs_of(output))

    def estimate(self, output: Array) -> Array:
        return _sigmoid(output) if self.from_logits else output

    def _over(self, each: Node, outputs: Axes) -> Node:
        return sum_over(each, outputs)

    def __repr__(self) -> str:
        more = (f", {name}={value!r}" for name, value in self._weights.items() if value is not None)
        head = f"reduction={self.reduction!r}, from_logits={self.from_logits!r}"
        return f"{type(self).__name__}({head}{''.join(more)})"


class BCELoss(BinaryCrossEntropy):
    """torch's: the binary cross-entropy averaged over batch and outputs, or summed over both."""

    def _over(self, each: Node, outputs: Axes) -> Node:
        return self._reduced(each, outputs)


@dataclass(frozen=True)
class LogisticLoss(Loss):
    """log(1 + exp(−y z)) for signs y = ±1, summed over outputs."""

    @property
    def target(self) -> Target:
        return "signs"

    def per_sample(self, output: Node, target: Node) -> Node:
        margin = Contract((output, target), output.axes)
        each = scalar_map(ir.fn("softplus")(-ir.symbol(0)), margin)
        return sum_over(each, outputs_of(output))

    def estimate(self, output: Array) -> Array:
        return _sigmoid(output)


def _sigmoid(output: Array) -> Array:
    return np.asarray(0.5 * (1 + np.tanh(output / 2)))
