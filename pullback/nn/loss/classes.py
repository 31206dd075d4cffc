"""Losses of classes, which stand along the last axis."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pullback.errors import ConfigError, ShapeError, finite, shown
from pullback.ir import Axes, Axis, Constant, Contract, LogSumExp, Node
from pullback.ir.axis import show
from pullback.ir.build import add, multiply, scale, subtract, sum_over
from pullback.nn.loss.base import Array, Loss, Target
from pullback.nn.loss.weights import Weights, along, check_length, checked

LEFT_OUT = -100  # torch's number for a target that does not count


@dataclass(frozen=True)
class _OfClasses(Loss):
    """A loss of classes with weights for them, and a number for targets that do not count.

    Without such a number, that is torch's, and the mean is taken over fewer only if it occurs.
    """

    weight: Any = field(default=None, kw_only=True)
    ignore_index: int | None = field(default=None, kw_only=True)  # type: ignore[misc]

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        object.__setattr__(self, "weight", checked(f"{name}: weight", self.weight, number=False))
        if isinstance(self.ignore_index, bool) or not isinstance(self.ignore_index, int | None):
            raise ConfigError(
                f"{name}: ignore_index is {shown(self.ignore_index)}; expected a class number, "
                "as -100"
            )

    @property
    def target(self) -> Target:
        return "classes"

    def target_axes(self, output: Axes) -> Axes:
        check_length(f"{type(self).__name__}: weight", self._weights, self._classes(output))
        return output

    def for_targets(self, target: Array) -> Loss:
        left_out = self.ignore_index is None and bool((target == LEFT_OUT).any())
        return replace(self, ignore_index=LEFT_OUT) if left_out else self

    @property
    def _weights(self) -> Weights:
        return self.weight  # type: ignore[no-any-return]  # as it is after the check

    def share(self, target: Node) -> Node | None:
        if self.weight is None and self.ignore_index is None:
            return None
        return sum_over(self._weighted(target), target.axes[-1:])

    def _weighted(self, target: Node) -> Node:
        """The targets times the weights of their classes."""
        if self._weights is None:
            return target
        return multiply(target, along(self._weights, target.axes[-1]))

    def _classes(self, output: Axes) -> Axis:
        if not output[1:]:
            name = type(self).__name__
            raise ShapeError(f"{name} needs an axis of classes, found {show(output)}")
        return output[-1]

    def __repr__(self) -> str:
        """The options that are not at their defaults, after the reduction."""
        given = {"weight": self.weight, "ignore_index": self.ignore_index, **self._options()}
        more = (f", {name}={value!r}" for name, value in given.items() if value is not None)
        return f"{type(self).__name__}(reduction={self.reduction!r}{''.join(more)})"

    def _options(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True, repr=False)
class CrossEntropy(_OfClasses):
    """Softmax cross-entropy of logits: log Σ exp z − ⟨y, z⟩; its δ is softmax(z) − y.

    Targets are class numbers (batch, …), or one-hot or probability rows (batch, …, classes).
    ``weight`` (classes,) is how much each class counts: a mean is divided by the weights of the
    targets, those of probability rows too (torch divides these by their number). Targets of the
    class ``ignore_index``, which is -100 where nothing else is said, count for nothing; where all
    are such, the loss is 0 (torch: NaN). ``label_smoothing`` ε mixes each row with ε/classes.
    Raises ConfigError for weights below 0 and an ε outside [0, 1], ShapeError for a weight too
    many.

    >>> import numpy as np
    >>> import pullback as pb
    >>> net = pb.Network(pb.Identity(), loss=CrossEntropy(weight=[1, 3]), x="classes=2")
    >>> value, _ = net.value_and_grad({}, np.log([[1.0, 3.0], [1.0, 1.0]]), np.array([0, 1]))
    >>> np.isclose(value, (np.log(4) + 3 * np.log(2)) / 4)
    np.True_
    """

    label_smoothing: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        finite("CrossEntropy: label_smoothing", self.label_smoothing)
        if not 0 <= self.label_smoothing <= 1:
            raise ConfigError(
                f"CrossEntropy: label_smoothing is {self.label_smoothing}; expected 0 to 1"
            )

    def per_sample(self, output: Node, target: Node) -> Node:
        classes = self._classes(output.axes)
        row, count = target, self.share(target)
        if self.label_smoothing:
            row = self._smooth(target, classes)
        if count is None:  # the rows add up to 1
            along_row = Contract((output, row), output.axes[:-1])
            return subtract(LogSumExp(output, classes), along_row)
        surprise = subtract(LogSumExp(output, classes), output)
        return sum_over(multiply(surprise, self._weighted(row)), (classes,))

    def estimate(self, output: Array) -> Array:
        grown = np.exp(output - output.max(axis=-1, keepdims=True))
        return np.asarray(grown / grown.sum(axis=-1, keepdims=True))

    def _smooth(self, target: Node, classes: Axis) -> Node:
        """(1 − ε) y + ε/classes; the rows of zeros, which do not count, stay zeros."""
        if classes.size is None:
            raise ShapeError(
                f"label_smoothing divides by the number of classes, and the size of {classes!r} is "
                "not known; say the input's sizes, as in Network(…, x='classes=8')"
            )
        e = float(self.label_smoothing)
        whole = sum_over(target, (classes,)) if self.ignore_index is not None else Constant(1.0)
        spread = multiply(scale(e / classes.size, whole), Constant(1.0, (classes,)))
        return add(scale(1 - e, target), spread)

    def _options(self) -> dict[str, Any]:
        return {"label_smoothing": self.label_smoothing or None}


@dataclass(frozen=True, repr=False)
class NLLLoss(_OfClasses):
    """−⟨y, z⟩ of log-probabilities z, such as LogSoftmax gives; its δ is −y.

    Targets, ``weight`` and ``ignore_index`` are those of CrossEntropy.
    """

    def per_sample(self, output: Node, target: Node) -> Node:
        classes = self._classes(output.axes)
        return scale(-1.0, sum_over(multiply(self._weighted(target), output), (classes,)))

    def estimate(self, output: Array) -> Array:
        return np.asarray(np.exp(output))
