"""The labels against the loss and the number of outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from pullback.doctor.lesson import CHANCES, YES_NO, Lesson
from pullback.doctor.observe import Observations
from pullback.doctor.outputs import ERRORS
from pullback.doctor.setup import TrainingSetup
from pullback.doctor.surgery import module_at, put, without
from pullback.doctor.suspicion import CERTAIN, MEASURED, Change, Suspicion
from pullback.doctor.tape import FAULTS
from pullback.interop.extras import Late

torch: Any = Late("torch", "torch")

_ELEMENTWISE = (*ERRORS, *YES_NO, "soft_margin_loss", "own")
_FEW_LEVELS = 20
_BYTE = 255


def suspect(seen: Observations) -> Iterator[Suspicion]:
    """Suspicions about shapes, encodings, and the kind of loss that the labels ask for."""
    if seen.output is None:
        return
    if seen.fault:
        yield from _refused(seen)
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


def _refused(seen: Observations) -> Iterator[Suspicion]:
    """Targets that the loss refuses as they are, and takes in another shape, type or numbering."""
    out, y = seen.output, seen.setup.Y
    least = int(y.min()) if y.numel() else 0
    ways: list[tuple[str, Change]] = []
    if seen.name in CHANCES:
        ways = [
            ("Y = Y.long()", lambda s: replace(s, Y=s.Y.long())),
            ("Y = Y.long().flatten()", lambda s: replace(s, Y=s.Y.long().flatten())),
            (f"Y = Y.long() - {least}", lambda s: replace(s, Y=s.Y.long().flatten() - least)),
        ]
    elif out.numel() == y[: len(out)].numel():
        shape = ", ".join(map(str, (-1, *out.shape[1:])))
        ways = [
            ("Y = Y.float()", lambda s: replace(s, Y=s.Y.to(out.dtype))),
            (
                f"Y = Y.float().reshape({shape})",
                lambda s: replace(s, Y=s.Y.to(out.dtype).reshape(len(s), *out.shape[1:])),
            ),
        ]
    for code, change in ways:
        if _computes(change(seen.setup), out):
            yield Suspicion(
                "label encoding",
                "data.Y",
                f"the label encoding does not fit: {type(seen.setup.loss).__name__} refuses "
                f"targets {tuple(y.shape)} of {y.dtype}, {float(y.min()):g} to {float(y.max()):g}, "
                f"for outputs {tuple(out.shape)}",
                "give the loss what it expects",
                code,
                change,
                CERTAIN + 0.3,
            )
            return
    units = out.shape[1] if out.dim() > 1 else 1
    if seen.name in CHANCES and seen.setup.task.classes > units and seen.tape.affine:
        yield Suspicion(
            "output units",
            seen.place(seen.tape.affine[-1]),
            f"too few output units: {units} for {seen.setup.task.classes} classes; torch says "
            f"{seen.fault!r}",
            f"{seen.setup.task.classes} output units",
            f"nn.Linear(…, {seen.setup.task.classes})",
            lambda setup: as_classes(setup, seen),
            CERTAIN + 0.3,
        )


def _computes(setup: TrainingSetup, out: Any) -> bool:
    try:
        return bool(torch.isfinite(setup.loss(out, setup.Y[: len(out)])))
    except FAULTS:
        return False


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
    elif class_numbers(seen):
        count = len(np.unique(task.truth))
        yield Suspicion(
            "output units",
            f"{where}, loss",
            f"one output unit with a {seen.tape.last.name if seen.tape.last else ''} for {count} "
            f"classes (0 to {count - 1}): {loss} is for real numbers",
            f"{count} output units under CrossEntropyLoss, with class numbers as targets",
            f"nn.Linear(…, {count}); loss = nn.CrossEntropyLoss(); Y = Y.long().flatten()",
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
            f"CrossEntropyLoss is for rows with a 1 in one place, and {several:.0%} of the rows "
            "have it in none or several: the loss does not fit many labels",
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


def class_numbers(seen: Observations) -> bool:
    """Are the targets 0, 1, … k − 1, many of each, and the output a number that is bounded?"""
    task, last = seen.setup.task, seen.tape.last
    if task.kind != "values" or task.truth.shape[1] != 1 or last is None:
        return False
    levels = np.unique(task.truth)
    return (
        last.name in ("sigmoid", "softmax", "tanh")
        and 3 <= len(levels) <= _FEW_LEVELS
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
