"""What every loss is: a number for each sample, reduced over the batch; and losses as formulas."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from pullback import ir
from pullback.errors import ConfigError, ShapeError, require
from pullback.ir import Axes, Contract, Input, Label, Named, Node
from pullback.ir.build import add, mean_over, scalar_map, sum_over

Array = np.ndarray[Any, np.dtype[Any]]
Target = Literal["values", "classes", "signs", "probabilities"]


@dataclass(frozen=True)
class Loss(ABC):
    """A loss per sample and how the batch reduces it: ``reduction="mean"`` or ``"sum"``.

    ``Loss("abs(z - y)")`` is one of your own: a formula in the output z and the target y, for each
    entry, whose mean or sum over all entries it is; the text is parsed, never run.

    Targets have the shape of the outputs, (batch, …, outputs), and are never broadcast. For one
    output (batch,) is the column (batch, 1), and for classes, which are the last axis, their
    numbers; any other shape is a ShapeError. Over the axes between, such as tokens, a loss is
    reduced as over the batch.

    >>> import numpy as np
    >>> import pullback as pb
    >>> net = pb.Network(pb.Identity(), loss=pb.Loss("log(cosh(z - y))"))
    >>> value, _ = net.value_and_grad({}, np.zeros((1, 2)), np.array([[0.0, 800.0]]))
    >>> round(value, 4)
    399.6534
    """

    reduction: str = "mean"
    # would torch's loss of this name broadcast targets (batch,) to (batch, batch)?
    torch_broadcasts: ClassVar[bool] = False
    # the class number of targets that do not count
    ignore_index: ClassVar[int | None] = None

    def __new__(cls, *args: Any, **options: Any) -> Loss:
        return super().__new__(FormulaLoss if cls is Loss and (args or options) else cls)

    def __post_init__(self) -> None:
        if self.reduction not in ("mean", "sum"):
            raise ConfigError(f"reduction is {self.reduction!r}; expected 'mean' or 'sum'")

    @property
    @abstractmethod
    def target(self) -> Target:
        """What the targets are: any values, classes, signs ±1, or probabilities in [0, 1]."""

    @abstractmethod
    def per_sample(self, output: Node, target: Node) -> Node:
        """The loss of each sample (axes: batch, or more) from output and target."""

    def target_axes(self, output: Axes) -> Axes:
        """The axes of the targets of an output; raises ShapeError where the loss does not fit."""
        return output

    def for_targets(self, target: Array) -> Loss:
        """The loss that these targets mean: one that leaves some out where some say so."""
        return self

    def estimate(self, output: Array) -> Array:
        """What outputs say of the targets: probabilities of classes, or values."""
        return output

    def share(self, target: Node) -> Node | None:
        """What the losses of ``per_sample`` are divided by in a mean; None where they count alike.

        Its axes are theirs; the mean is the sum of the losses over the sum of the shares.
        """
        return None

    @property
    def is_weighted(self) -> bool:
        """Does a mean divide by weights of the targets, and not by how many there are?"""
        batch = Input("target", (ir.Axis("batch"), ir.Axis("outputs")))
        return self.reduction == "mean" and self.share(batch) is not None

    @property
    def is_scored(self) -> bool:
        """Is what it trains right or wrong at each place, so that there is an accuracy?"""
        return self.target != "values" and self.ignore_index is None

    def build(self, output: Node, target: Input, weight: Input | None = None) -> Node:
        """The loss of the whole batch, a scalar; with weights (axes: batch) the weighted one.

        A weighted mean is divided by the sum of the weights.
        """
        share = self.share(target) if self.reduction == "mean" else None
        given = () if weight is None else (weight,)
        if share is not None:
            total = Contract((self._each(output, target), *given), ())
            return _divided(total, Contract((share, *given), ()))
        if weight is not None:
            each = self.of_sample(output, target)
            shares = scalar_map(1 / ir.symbol(0), sum_over(weight, weight.axes))
            return Contract((each, weight, *((shares,) if self.reduction == "mean" else ())), ())
        each = self._each(output, target)
        return self._reduced(each, each.axes)

    def of_sample(self, output: Node, target: Node) -> Node:
        """The loss of each sample as one number (axes: batch), whose mean or sum is the batch's."""
        each = self._each(output, target)
        share = self.share(target) if self.reduction == "mean" else None
        if share is not None:
            total = sum_over(each, each.axes[1:])
            return _divided(total, mean_over(sum_over(share, share.axes[1:]), share.axes[:1]))
        return self._reduced(each, each.axes[1:])

    def _each(self, output: Node, target: Node) -> Node:
        each: object = self.per_sample(output, target)
        if not isinstance(each, Node):
            raise ShapeError(
                f"{self!r} gives a {type(each).__name__} for each sample; expected a node"
            )
        return each

    def _reduced(self, each: Node, axes: Axes) -> Node:
        return (mean_over if self.reduction == "mean" else sum_over)(each, axes)


def _divided(total: Node, share: Node) -> Node:
    """total / share, and 0 where nothing has a share."""
    x, n = ir.symbol(0), ir.symbol(1)
    return scalar_map(x / ir.Piecewise((n, n > 0), (1, True)), total, share)


def outputs_of(node: Node) -> Axes:
    """The axes of one sample's outputs."""
    return node.axes[1:]


@dataclass(frozen=True, repr=False)
class FormulaLoss(Loss):
    """The mean or the sum, over all entries, of a formula in the output z and the target y."""

    formula: str = "(z - y)**2"

    def __init__(self, formula: str, reduction: str = "mean") -> None:
        require("the formula of Loss", formula, str, "a text in z and y, such as 'abs(z - y)'")
        object.__setattr__(self, "formula", formula)
        object.__setattr__(self, "reduction", reduction)
        self.__post_init__()
        ir.parse_function(formula, ("z", "y"))

    @property
    def target(self) -> Target:
        return "values"

    def per_sample(self, output: Node, target: Node) -> Node:
        each = ir.Map(ir.parse_function(self.formula, ("z", "y")), (output, target))
        return self._reduced(each, outputs_of(output))

    def __repr__(self) -> str:
        reduction = "" if self.reduction == "mean" else f", reduction={self.reduction!r}"
        return f"Loss({self.formula!r}{reduction})"


def named_loss(
    loss: Loss,
    output: Node,
    target: Input,
    penalty: Node | None = None,
    weight: Input | None = None,
) -> Named:
    """The training loss under its name, with an l2 penalty and sample weights if there are any."""
    total = loss.build(output, target, weight)
    return Named(Label("loss"), total if penalty is None else add(total, penalty))
