"""What a network predicts and how far it is from what was wanted: classes, or values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pullback.errors import ConfigError, NotApplicableError
from pullback.net.checks import checked_target
from pullback.net.network import Network
from pullback.report.sections.samples import Array, Samples


@dataclass(frozen=True)
class Classified:
    """Which class each sample is in, which one the network says, and how sure it is of that.

    ``places`` are classified in each sample: its tokens, or the sample itself.
    """

    names: tuple[str, ...]
    wanted: Array
    said: Array
    probability: Array  # (samples · places, classes)
    places: int = 1

    @property
    def right(self) -> Array:
        """Which places are right."""
        return np.asarray(self.wanted == self.said)

    @property
    def accuracy(self) -> float:
        """The share that is right."""
        return float(self.right.mean())

    @property
    def sureness(self) -> Array:
        """The probability of the class that the network says."""
        return np.asarray(self.probability[np.arange(len(self.said)), self.said])

    @cached_property
    def confusion(self) -> Array:
        """How many samples of each class (rows) are said to be of each class (columns)."""
        size = len(self.names)
        counts = np.bincount(self.wanted * size + self.said, minlength=size * size)
        return counts.reshape(size, size)

    def mistakes(self) -> list[tuple[str, str, int]]:
        """The pairs (wanted, said, how often) that are confused, the commonest first."""
        wrong = self.confusion * (1 - np.eye(len(self.names), dtype=int))
        order = np.argsort(-wrong, axis=None, kind="stable")
        places = [divmod(int(at), len(self.names)) for at in order[: np.count_nonzero(wrong)]]
        return [(self.names[i], self.names[j], int(wrong[i, j])) for i, j in places]


@dataclass(frozen=True)
class Valued:
    """Predicted values beside the wanted ones, (samples, outputs)."""

    wanted: Array
    said: Array

    @property
    def rmse(self) -> float:
        """The root mean square of the errors."""
        return float(np.sqrt(np.mean(np.square(self.said - self.wanted))))

    @property
    def r2(self) -> float:
        """The share of the variance that is explained; 0 where nothing varies."""
        spread = float(np.sum(np.square(self.wanted - self.wanted.mean(axis=0))))
        return 1 - float(np.sum(np.square(self.said - self.wanted))) / spread if spread else 0.0


Outcome = Classified | Valued


def outcome(
    net: Network, params: Any, X: Samples, Y: Any, names: Sequence[str] | None = None
) -> Outcome:
    """The predictions for X beside Y, read as the network's loss reads it.

    Outputs stand along the last axis; each place along the others is classified by itself.
    """
    output = np.asarray(net.predict(params, X), np.float64)
    sizes = dict(zip(net.output_axes, output.shape, strict=True))
    shape = tuple(sizes.get(axis, axis.size) for axis in net.target.axes[1:])
    target = checked_target(net, Y, len(output), np.dtype(np.float64), shape)
    estimate = net.criterion.estimate(output)
    if net.criterion.target == "values":
        return Valued(target.reshape(len(target), -1), estimate.reshape(len(output), -1))
    if net.criterion.ignore_index is not None and not target.any(axis=-1).all():
        raise NotApplicableError(
            f"Y leaves targets out, by ignore_index={net.criterion.ignore_index}; a report "
            "compares them with what is predicted: give it data with a class for each"
        )
    outputs = output.shape[-1] if output.ndim > 1 else 1
    places = output.size // (len(output) * outputs)
    probability = estimate.reshape(-1, outputs)
    target = target.reshape(-1, outputs)
    if net.criterion.target == "signs":
        target = (target + 1) / 2
    if outputs == 1:
        probability = np.hstack([1 - probability, probability])
        target = np.hstack([1 - target, target])
    classes = probability.shape[1]
    labels = tuple(map(str, names if names is not None else range(classes)))
    if len(labels) != classes:
        raise ConfigError(f"classes has {len(labels)} names; the network tells {classes} apart")
    wanted, said = target.argmax(axis=1), probability.argmax(axis=1)
    return Classified(labels, wanted, said, probability, places)


def hardest(found: Outcome) -> int:
    """The sample that says most: the surest mistake, or else the least sure hit."""
    if isinstance(found, Classified):
        at = np.arange(len(found.wanted))
        return int(np.argmin(found.probability[at, found.wanted])) // found.places
    return int(np.argmax(np.sum(np.square(found.said - found.wanted), axis=1)))
