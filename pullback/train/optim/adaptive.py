"""Steps whose length each weight sets for itself, by the squares of its gradients so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pullback import ir
from pullback.errors import from_zero, positive
from pullback.ir import Named, Node
from pullback.ir.build import add, multiply, scalar_map, scale, subtract
from pullback.train.optim.rule import Optimizer, average, decayed, share, squared
from pullback.train.optim.schedule import Rate


def _over_root(direction: Node, squares: Node, epsilon: float) -> Node:
    """direction / (√squares + ε), at each place."""
    import sympy as sp

    return scalar_map(ir.symbol(0) / (sp.sqrt(ir.symbol(1)) + epsilon), direction, squares)


def _stepped(weight: Node, rate: Node, direction: Node) -> Node:
    return subtract(weight, multiply(direction, rate))


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """w ← w − rate · g / (√h + ε) with h ← h + g² (Duchi, Hazan, Singer 2011).

    ``rate_decay`` divides the rate by 1 + rate_decay · (steps done).

    >>> Adagrad(0.1).slots
    ('squares',)
    """

    learning_rate: Rate = 0.01
    rate_decay: float = 0.0
    weight_decay: float = 0.0
    epsilon: float = 1e-10

    def __post_init__(self) -> None:
        super().__post_init__()
        from_zero("rate_decay", self.rate_decay)
        from_zero("weight_decay", self.weight_decay)
        positive("epsilon", self.epsilon)

    @property
    def slots(self) -> tuple[str, ...]:
        return ("squares",)

    def update(
        self, weight: Node, gradient: Node, rate: Node, step: Node, slots: Mapping[str, Node]
    ) -> dict[str, Node]:
        gradient = decayed(gradient, weight, self.weight_decay)
        squares = Named("squares.new", add(slots["squares"], squared(gradient)))
        if self.rate_decay:
            slower = ir.symbol(0) / (1 + self.rate_decay * (ir.symbol(1) - 1))
            rate = Named("rate.decayed", scalar_map(slower, rate, step))
        direction = _over_root(gradient, squares, self.epsilon)
        return {"squares": squares, "weight": _stepped(weight, rate, direction)}


@dataclass(frozen=True)
class RMSProp(Optimizer):
    """w ← w − rate · g / (√h + ε) with h ← keep · h + (1 − keep) · g² (Hinton 2012).

    ``momentum`` steps along the running sum of those directions; ``centered`` takes the gradient's
    variance for h, as Graves (2013) does.

    >>> RMSProp(0.1, momentum=0.9, centered=True).slots
    ('squares', 'mean', 'velocity')
    """

    learning_rate: Rate = 0.01
    keep: float = 0.99
    momentum: float = 0.0
    centered: bool = False
    weight_decay: float = 0.0
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        share("keep", self.keep)
        share("momentum", self.momentum)
        from_zero("weight_decay", self.weight_decay)
        positive("epsilon", self.epsilon)

    @property
    def slots(self) -> tuple[str, ...]:
        centre = ("mean",) if self.centered else ()
        return ("squares", *centre, *(("velocity",) if self.momentum else ()))

    def update(
        self, weight: Node, gradient: Node, rate: Node, step: Node, slots: Mapping[str, Node]
    ) -> dict[str, Node]:
        import sympy as sp

        gradient = decayed(gradient, weight, self.weight_decay)
        new: dict[str, Node] = {}
        spread = new["squares"] = Named(
            "squares.new", average(slots["squares"], squared(gradient), self.keep)
        )
        if self.centered:
            mean = new["mean"] = Named("mean.new", average(slots["mean"], gradient, self.keep))
            # rounding may leave a variance just below 0
            variance = sp.Max(ir.symbol(0) - ir.symbol(1) ** 2, 0)
            spread = Named("variance", scalar_map(variance, spread, mean))
        direction = _over_root(gradient, spread, self.epsilon)
        if self.momentum:
            velocity = add(scale(self.momentum, slots["velocity"]), direction)
            direction = new["velocity"] = Named("velocity.new", velocity)
        new["weight"] = _stepped(weight, rate, direction)
        return new


@dataclass(frozen=True)
class Adam(Optimizer):
    """w ← w − rate · m̂ / (√v̂ + ε), m̂ and v̂ the gradient's running mean and mean square.

    Kingma, Ba (2015), algorithm 1. Both averages start at zero, so they are divided by 1 − βᵗ at
    step t, unless ``bias_correction`` is off. ``weight_decay`` adds weight_decay · w to the
    gradient.

    >>> from pullback.train.optim import equations
    >>> list(equations(Adam(0.001)))
    ['mean', 'squares', 'weight']
    """

    learning_rate: Rate = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    bias_correction: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        share("beta1", self.beta1)
        share("beta2", self.beta2)
        positive("epsilon", self.epsilon)
        from_zero("weight_decay", self.weight_decay)

    @property
    def slots(self) -> tuple[str, ...]:
        return ("mean", "squares")

    def update(
        self, weight: Node, gradient: Node, rate: Node, step: Node, slots: Mapping[str, Node]
    ) -> dict[str, Node]:
        return self.stepped(weight, decayed(gradient, weight, self.weight_decay), rate, step, slots)

    def stepped(
        self, weight: Node, gradient: Node, rate: Node, step: Node, slots: Mapping[str, Node]
    ) -> dict[str, Node]:
        """The update once weight decay has had its say."""
        import sympy as sp

        x, y, z = (ir.symbol(place) for place in range(3))
        mean = Named("mean.new", average(slots["mean"], gradient, self.beta1))
        squares = Named("squares.new", average(slots["squares"], squared(gradient), self.beta2))
        direction = _over_root(mean, squares, self.epsilon)
        if self.bias_correction:
            # as torch does: the mean's correction goes into the rate, the mean square's to its root
            rate = Named("rate.corrected", scalar_map(x / (1 - self.beta1**y), rate, step))
            root = Named("root.correction", scalar_map(sp.sqrt(1 - self.beta2**x), step))
            corrected = x / (sp.sqrt(y) / z + self.epsilon)
            direction = scalar_map(corrected, mean, squares, root)
        return {"mean": mean, "squares": squares, "weight": _stepped(weight, rate, direction)}


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam whose weight decay leaves the averages alone: w shrinks by rate · weight_decay · w.

    Loshchilov, Hutter (2019), algorithm 2.

    >>> AdamW(0.001).weight_decay
    0.01
    """

    weight_decay: float = 0.01

    def update(
        self, weight: Node, gradient: Node, rate: Node, step: Node, slots: Mapping[str, Node]
    ) -> dict[str, Node]:
        shrunk = scalar_map(ir.symbol(0) * (1 - self.weight_decay * ir.symbol(1)), weight, rate)
        return self.stepped(Named("weight.decayed", shrunk), gradient, rate, step, slots)
