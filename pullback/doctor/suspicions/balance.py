"""Classes of very different size, where the largest is the answer to every sample."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pullback.doctor.lesson import CHANCES, Array
from pullback.doctor.observe import UNEVEN, Observations
from pullback.doctor.setup import TrainingSetup
from pullback.doctor.suspicion import CERTAIN, MEASURED, Suspicion
from pullback.interop.extras import Late

torch: Any = Late("torch", "torch")

_ALL, _MOST = 0.99, 0.95  # of the answers


def suspect(seen: Observations) -> Iterator[Suspicion]:
    """The majority's class is what the trained network answers, whatever it is shown.

    Where a signal shows only in as many samples of each class, no score of accuracy can tell which
    change helps, so none is tried.
    """
    setup, guess = seen.setup, seen.course.guess
    counts = setup.task.counts
    if guess is None or seen.fault or counts is None or counts.max() < UNEVEN * counts.min():
        return
    most, hides = int(counts.argmax()), seen.majority_hides
    if float((guess == most).mean()) < (_MOST if hides else _ALL):
        return
    better = weighted(setup, seen.name, counts)
    if better is None:
        return
    loss, code = better
    ends = (
        ": plain learners tell the classes apart in as many samples of each and not in all, so "
        "accuracy says little here"
        if hides
        else ""
    )
    yield Suspicion(
        "class imbalance",
        ("loss",),
        f"{counts[most]} of {counts.sum()} samples are of class {most}, {counts.min()} of the "
        f"rarest, and the majority's is what the network says to all{ends}",
        "class weights in the loss, the rarer the larger",
        code,
        None if hides else lambda found: replace(found, loss=loss),
        CERTAIN if hides else MEASURED + 0.05,
    )


def weighted(setup: TrainingSetup, name: str, counts: Array) -> tuple[Any, str] | None:
    """The loss with weights that make all classes count the same, and the line that makes it."""
    loss, kind = copy.deepcopy(setup.loss), type(setup.loss).__name__
    dtype = next((p.dtype for p in setup.updates.parameters), torch.float32)
    numbers = not setup.Y.dtype.is_floating_point
    if name in CHANCES and numbers and getattr(loss, "weight", 0) is None:
        loss.weight = torch.as_tensor(counts.sum() / (len(counts) * counts)).to(dtype)
        made = f"nn.{kind}(weight=len(Y) / (Y.max() + 1) / Y.flatten().bincount())"
        return loss, f"loss = {made}"
    if name == "binary_cross_entropy_with_logits" and getattr(loss, "pos_weight", 0) is None:
        loss.pos_weight = torch.as_tensor(counts[0] / counts[1]).to(dtype)
        return loss, "loss = nn.BCEWithLogitsLoss(pos_weight=(Y == 0).sum() / (Y == 1).sum())"
    return None
