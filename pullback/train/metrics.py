"""What people read beside the loss: the share that a classifier gets right."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.net.modes import drawn
from pullback.net.network import Network, Parameters
from pullback.net.program import Array
from pullback.nn import BinaryCrossEntropy, Loss
from pullback.train.samples import Samples


def hits(criterion: Loss, output: Array, target: Array) -> int | None:
    """How many places (batch, …, outputs) are classified right; None where nothing is classified.

    A place is a sample, or one of its tokens. One with a single one among several targets is of
    that class, and its largest output decides; in others every output has to be on the right side
    of its threshold.

    >>> target = np.array([[1, 0, 0], [1, 1, 0]])
    >>> hits(BinaryCrossEntropy(), np.array([[-1.0, -2, -2], [1, -1, -1]]), target)
    1
    """
    return int(right(criterion, output, target).sum()) if criterion.is_scored else None


def right(criterion: Loss, output: Any, target: Any) -> Any:
    """Whether each place (batch, …) is classified right; of arrays of NumPy or of jax."""
    if output.ndim == 1:  # one number a sample, without an axis of its own
        output, target = output[:, None], target[:, None]
    largest = output.argmax(axis=-1) == target.argmax(axis=-1)
    if criterion.target == "classes":
        return largest
    decided = output > threshold(criterion)
    all_right = (decided == (target > 0.5)).all(axis=-1)  # for signs too
    if output.shape[-1] == 1:
        return all_right
    single = (target > 0).sum(axis=-1) == 1
    return (single & largest) | (~single & all_right)


def threshold(criterion: Loss) -> float:
    """From which output on a sample counts as positive; NaN where the largest output decides."""
    if criterion.target == "classes":
        return float("nan")
    probability = isinstance(criterion, BinaryCrossEntropy) and not criterion.from_logits
    return 0.5 if probability else 0.0


def scores(net: Network, params: Parameters, samples: Samples) -> dict[str, float]:
    """The loss of some samples and, where they are classified, the share that is right."""
    arrays = samples.arrays
    with np.errstate(all="ignore"):
        values = net.scoring_program(params, {**arrays, **drawn(net, arrays)})
    right = hits(net.criterion, values["output"], samples.target)
    accuracy = {} if right is None else {"accuracy": right / samples.places}
    return {"loss": float(values["loss"]), **accuracy}
