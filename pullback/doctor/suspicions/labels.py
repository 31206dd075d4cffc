"""The labels against the loss and the number of outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from pullback.doctor.lesson import YES_NO, Lesson
from pullback.doctor.observe import Observations
from pullback.doctor.outputs import ERRORS
from pullback.doctor.setup import TrainingSetup
from pullback.doctor.surgery import module_at, put, without
from pullback.doctor.suspicion import CERTAIN, MEASURED, Suspicion
from pullback.interop.extras import Late

torch: Any = Late("torch", "torch")

_ELEMENTWISE = (*ERRORS, *YES_NO, "soft_margin_loss", "own")
_FEW_LEVELS = 20
_BYTE = 255


def suspect(seen: Observations) -> Iterator[Suspicion]:
    """Suspicions about shapes, encodings, and the kind of loss that the labels ask for."""
    if seen.output is None:
        return
    yield from _constant(seen)
    yield from _shapes(seen)
    yield from _kinds(seen)
    yield from _encodings(seen)


def _constant(seen: Observations) -> Iterator[Suspicion]:
    truth = seen.setup.task.truth
    if truth.size and (truth == truth[:1]).all():
        one = seen.setup.Y.reshape(-1)[0].item()
        yield Suspicion(
            "constant labels",
            "data.Y",
            f"the labels are constant: every target is {one:g}, so there is only one class",
            "look at how the targets are made; were they divided or rounded with the inputs?",
            "print(Y.unique())",
            None,
            CERTAIN + 1,
        )


def _shapes(seen: Observations) -> Iterator[Suspicion]:
    out, y = seen.output, seen.setup.Y[: len(seen.output)]
    if seen.name not in _ELEMENTWISE or out.shape == y.shape:
        return
    if seen.name == "own" and not y.dtype.is_floating_point:
        return
    if out.numel() == y.numel():
        spread = " x ".join(str(n) for n in torch.broadcast_shapes(out.shape, y.shape))
        what = (
            f"the shape of the output, {tuple(out.shape)}, and that of the targets, "
            f"{tuple(y.shape)}, differ: they broadcast to {spread} pairs"
        )
        yield Suspicion(
            "broadcast",
            "data.Y",
            what,
            "give the targets the shape of the output",
            f"Y = Y.reshape({', '.join(map(str, (-1, *out.shape[1:])))})",
            lambda setup: replace(setup, Y=setup.Y.reshape(len(setup.Y), *out.shape[1:])),
            CERTAIN,
        )


def _kinds(seen: Observations) -> Iterator[Suspicion]:
    task, out, name = seen.setup.task, seen.output, seen.name
    loss = type(seen.setup.loss).__name__
    units = out.shape[1] if out.dim() > 1 else 1
    last = seen.tape.affine[-1] if seen.tape.affine else None
    where = seen.place(last)
    if (
        task.kind == "classes"
        and task.classes > 2
        and units == 1
        and name in (*YES_NO, *ERRORS, "own")
    ):
        binary = name in YES_NO
        what = f"one output unit for {task.classes} classes ({_listed(task)}): {loss} is for " + (
            "labels 0 and 1" if binary else "real numbers, and makes classes neighbours"
        )
        yield Suspicion(
            "output units",
            f"{where}, loss",
            what,
            f"{task.classes} output units under CrossEntropyLoss, with class numbers as targets",
            f"nn.Linear(…, {task.classes}); loss = nn.CrossEntropyLoss(); Y = Y.long().flatten()",
            lambda setup: as_classes(setup, seen),
            CERTAIN,
        )
    elif name == "cross_entropy" and units == 1 and out.dim() <= 2:
        yield Suspicion(
            "output units",
            where,
            "one output unit under CrossEntropyLoss: the number of output "
            "units has to be that of the classes; over one unit the loss is 0 whatever it says",
            "two units, or BCEWithLogitsLoss",
            f"nn.Linear(…, {max(task.classes, 2)})",
            lambda setup: as_classes(setup, seen),
            CERTAIN,
        )
    elif task.kind == "flags" and name == "cross_entropy":
        several = float((task.truth.sum(axis=1) != 1).mean())
        yield Suspicion(
            "wrong loss",
            "loss",
            f"CrossEntropyLoss is for one class a sample, and {several:.0%} of the "
            "samples have none or several: a loss for one class does not fit many labels",
            "BCEWithLogitsLoss",
            "loss = nn.BCEWithLogitsLoss()",
            lambda setup: replace(setup, loss=torch.nn.BCEWithLogitsLoss()),
            CERTAIN,
        )
    elif task.kind == "values" and name in (*YES_NO, "cross_entropy") and _outside(seen.setup.Y):
        yield Suspicion(
            "wrong loss",
            "loss",
            f"{loss} is for chances from 0 to 1; the targets are real numbers from "
            f"{float(seen.setup.Y.min()):.3g} to {float(seen.setup.Y.max()):.3g}",
            "MSELoss, without an activation on the output",
            "loss = nn.MSELoss()",
            lambda setup: _as_values(setup, seen),
            CERTAIN,
        )
    elif task.kind in ("classes", "flags") and name in ERRORS:
        yield _distance_on_classes(seen, units)


def _distance_on_classes(seen: Observations, units: int) -> Suspicion:
    loss, task = type(seen.setup.loss).__name__, seen.setup.task
    one = task.kind == "classes" and units > 1
    better = "CrossEntropyLoss" if one else "BCEWithLogitsLoss"

    def changed(setup: TrainingSetup) -> TrainingSetup:
        last = seen.tape.last
        if last is not None and last.name in ("sigmoid", "softmax"):
            setup = without(setup, seen.tape, last)(setup)
        if one:
            return replace(
                setup, loss=torch.nn.CrossEntropyLoss(), Y=torch.as_tensor(setup.task.truth).long()
            )
        return replace(setup, loss=torch.nn.BCEWithLogitsLoss(), Y=setup.Y.float())

    what = (
        f"{loss} on {task.classes or 'yes-or-no'} classes: its slope fades where an answer is "
        "most wrong"
    )
    fix = f"{better} on the raw output"
    return Suspicion(
        "wrong loss",
        "loss",
        what,
        fix,
        f"loss = nn.{better}()",
        changed,
        MEASURED + 0.1 if seen.name == "l1_loss" else 1.1,
    )


def _encodings(seen: Observations) -> Iterator[Suspicion]:
    task, y = seen.setup.task, seen.setup.Y
    if seen.name == "soft_margin_loss" and task.kind == "classes" and float(y.min()) == 0:
        yield Suspicion(
            "label encoding",
            "data.Y",
            "the label encoding is 0 and 1, and SoftMarginLoss reads −1 and 1",
            "labels −1 and 1",
            "Y = 2 * Y - 1",
            lambda setup: replace(setup, Y=2 * setup.Y - 1),
            CERTAIN,
        )
    if task.kind != "values" or task.truth.shape[1] != 1 or not y.dtype.is_floating_point:
        return
    levels = np.unique(task.truth)
    steps = np.diff(levels)
    even = 3 <= len(levels) <= _FEW_LEVELS and np.allclose(
        steps / steps.min(), np.round(steps / steps.min()), atol=1e-3
    )
    if even and len(task.truth) >= 10 * len(levels) and steps.min() <= 1.5 / _BYTE:
        yield Suspicion(
            "label encoding",
            "data.Y",
            f"the label encoding is spoilt: {len(levels)} classes lie {steps.min():.2g} apart, "
            f"as class numbers divided by {1 / steps.min():.0f}",
            "class numbers, under CrossEntropyLoss",
            f"Y = (Y * {1 / steps.min():.0f}).round().long().flatten()",
            lambda setup: as_classes(setup, seen),
            CERTAIN,
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
    task = Lesson("classes", Y.numpy(), tuple(float(each) for each in levels))
    return replace(setup, Y=Y, loss=torch.nn.CrossEntropyLoss(), task=task)


def wider(old: Any, units: int) -> Any:
    """A linear layer like another one, with so many outputs."""
    return torch.nn.Linear(old.in_features, units, bias=old.bias is not None).to(old.weight.dtype)


def _as_values(setup: TrainingSetup, seen: Observations) -> TrainingSetup:
    last = seen.tape.last
    if last is not None and last.name in ("sigmoid", "softmax"):
        setup = without(setup, seen.tape, last)(setup)
    return replace(setup, loss=torch.nn.MSELoss())


def _outside(y: Any) -> bool:
    return bool(((y < -1e-6) | (y > 1 + 1e-6)).any())


def _listed(task: Lesson) -> str:
    shown = [f"{each:g}" for each in task.names[:3]]
    return ", ".join(shown) + (", …" if task.classes > 3 else "")
