"""What people read beside the loss: the share of samples that a classifier gets right."""

from __future__ import annotations

import numpy as np

from pullback.nn import BinaryCrossEntropy, Loss
from pullback.run.compiled import Array


def hits(criterion: Loss, output: Array, target: Array) -> int | None:
    """How many samples (batch, outputs) are classified right; None where nothing is classified.

    Targets with a single one in each row are classes, decided by the largest output; in others
    every output has to be on the right side of its threshold.
    """
    if criterion.target == "values":
        return None
    one_each = output.shape[1] > 1 and np.all(np.count_nonzero(target > 0, axis=1) == 1)
    if criterion.target == "classes" or one_each:
        return int(np.sum(output.argmax(axis=1) == target.argmax(axis=1)))
    probability = isinstance(criterion, BinaryCrossEntropy) and not criterion.from_logits
    decided = output > (0.5 if probability else 0.0)
    wanted = target > (0.0 if criterion.target == "signs" else 0.5)
    return int(np.sum(np.all(decided == wanted, axis=1)))
