"""Losses: each is a scalar for each sample, reduced over the batch by its mean or its sum."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pullback import ir
from pullback.errors import ConfigError, ShapeError
from pullback.ir import Axes, Axis, Contract, Input, Label, LogSumExp, Named, Node
from pullback.ir.axis import show
from pullback.ir.build import add, mean_over, scalar_map, scale, subtract, sum_over

Target = Literal["values", "classes", "signs", "probabilities"]


@dataclass(frozen=True)
class Loss(ABC):
    """A loss per sample and how the batch reduces it: ``reduction="mean"`` or ``"sum"``.

    Targets have the shape of the outputs, (batch, …, outputs), and are never broadcast. For one
    output (batch,) is the column (batch, 1), and for classes, which are the last axis, their
    numbers; any other shape is a ShapeError. Over the axes between, such as tokens, a loss is
    reduced as over the batch.
    """

    reduction: str = "mean"
    # would torch's loss of this name broadcast targets (batch,) to (batch, batch)?
    torch_broadcasts: ClassVar[bool] = False

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

    def build(self, output: Node, target: Input, weight: Input | None = None) -> Node:
        """The loss of the whole batch, a scalar; with weights (axes: batch) the weighted one.

        A weighted mean is divided by the sum of the weights.
        """
        if weight is not None:
            each = self.of_sample(output, target)
            share = scalar_map(1 / ir.symbol(0), sum_over(weight, weight.axes))
            return Contract((each, weight, *((share,) if self.reduction == "mean" else ())), ())
        each = self._each(output, target)
        return self._reduced(each, each.axes)

    def of_sample(self, output: Node, target: Node) -> Node:
        """The loss of each sample as one number (axes: batch), reduced over what is between."""
        each = self._each(output, target)
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


def _outputs(node: Node) -> Axes:
    """The axes of one sample's outputs."""
    return node.axes[1:]


def _classes(node: Node) -> Axis:
    """The axis of the classes: the last one.

    Raises ShapeError where there is none.
    """
    if not node.axes[1:]:
        raise ShapeError(f"CrossEntropy needs an axis of classes, found {show(node.axes)}")
    return node.axes[-1]


@dataclass(frozen=True)
class SquaredError(Loss):
    """½‖z − y‖², half the squared distance of each sample; its δ is z − y."""

    @property
    def target(self) -> Target:
        return "values"

    def per_sample(self, output: Node, target: Node) -> Node:
        residual = subtract(output, target)
        return scale(0.5, Contract((residual, residual), residual.axes[:1]))


@dataclass(frozen=True)
class MSELoss(Loss):
    """torch's: (z − y)² over batch and outputs, averaged or summed over both.

    One difference: for outputs (N, 1) and targets (N,) torch broadcasts both to (N, N) and compares
    every output with every target. Here targets (N,) are the column (N, 1), and a PullbackWarning
    says so; pass ``Y[:, None]`` to both libraries, and they agree.
    """

    torch_broadcasts: ClassVar[bool] = True

    @property
    def target(self) -> Target:
        return "values"

    def per_sample(self, output: Node, target: Node) -> Node:
        residual = subtract(output, target)
        squared = Contract((residual, residual), residual.axes)
        return self._reduced(squared, _outputs(output))


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Softmax cross-entropy of logits: log Σ exp z − ⟨y, z⟩; its δ is softmax(z) − y.

    Targets are class numbers (batch,), or one-hot or probability rows (batch, classes).
    """

    @property
    def target(self) -> Target:
        return "classes"

    def per_sample(self, output: Node, target: Node) -> Node:
        classes = _classes(output)
        along = Contract((output, target), output.axes[:-1])
        return subtract(LogSumExp(output, classes), along)


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """−Σ t log a + (1−t) log(1−a), summed over outputs; a = σ(z) if ``from_logits``.

    With ``from_logits=False`` the output is a itself; after a Sigmoid the logarithms are taken
    through it, so both forms are stable and both have δ = a − t.
    """

    from_logits: bool = True

    def __init__(self, from_logits: bool = True, reduction: str = "mean") -> None:
        object.__setattr__(self, "from_logits", from_logits)
        object.__setattr__(self, "reduction", reduction)
        self.__post_init__()

    @property
    def target(self) -> Target:
        return "probabilities"

    def per_sample(self, output: Node, target: Node) -> Node:
        a: Any = ir.symbol(0)
        t: Any = ir.symbol(1)
        log = ir.fn("log")
        if self.from_logits:
            a = ir.fn("sigmoid")(a)
        each = scalar_map(-t * log(a) - (1 - t) * log(1 - a), output, target)
        return self._over(each, _outputs(output))

    def _over(self, each: Node, outputs: Axes) -> Node:
        return sum_over(each, outputs)


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
        return sum_over(each, _outputs(output))


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
