"""Class numbers as targets, and a unit for each class."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from pullback.doctor.lesson import Lesson
from pullback.doctor.observe import Observations
from pullback.doctor.setup import TrainingSetup
from pullback.doctor.surgery import module_at, put, without
from pullback.interop.extras import Late

torch: Any = Late("torch", "torch")

FEW_LEVELS = 20


def class_numbers(seen: Observations) -> bool:
    """Are the targets 0, 1, … k − 1, many of each, and the output a number that is bounded?"""
    task, last = seen.setup.task, seen.tape.last
    if task.kind != "values" or task.truth.shape[1] != 1 or last is None:
        return False
    levels = np.unique(task.truth)
    return (
        last.name in ("sigmoid", "softmax", "tanh")
        and 3 <= len(levels) <= FEW_LEVELS
        and np.array_equal(levels, np.arange(len(levels)))
        and len(task.truth) >= 10 * len(levels)
    )


def as_classes(setup: TrainingSetup, seen: Observations) -> TrainingSetup:
    """A unit for each class in the last layer, raw numbers out, cross-entropy on class numbers."""
    levels, numbers = np.unique(setup.task.truth.ravel(), return_inverse=True)
    units = max(len(levels), 2)
    last, final = seen.tape.last, seen.tape.affine[-1]
    if last is not None and last is not final:
        setup = without(setup, seen.tape, last)(setup)
    torch.manual_seed(setup.seed)
    setup = put(setup, final.path, wider(module_at(setup.module, final.path), units))
    Y = torch.as_tensor(numbers.reshape(len(setup.Y))).long()
    task = Lesson("classes", Y.numpy(), tuple(float(each) for each in range(len(levels))))
    return replace(setup, Y=Y, loss=torch.nn.CrossEntropyLoss(), task=task)


def wider(old: Any, units: int) -> Any:
    """A linear layer like another one, with so many outputs."""
    return torch.nn.Linear(old.in_features, units, bias=old.bias is not None).to(old.weight.dtype)
