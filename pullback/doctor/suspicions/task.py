"""Whether the loss, and the number of outputs, are for labels of this kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from pullback.doctor.lesson import YES_NO, Lesson
from pullback.doctor.observe import Observations
from pullback.doctor.outputs import ERRORS
from pullback.doctor.setup import TrainingSetup
from pullback.doctor.surgery import without
from pullback.doctor.suspicion import CERTAIN, MEASURED, Suspicion
from pullback.doctor.suspicions.classes import as_classes, class_numbers
from pullback.interop.extras import Late

torch: Any = Late("torch", "torch")


def suspect(seen: Observations) -> Iterator[Suspicion]:
    """Suspicions about what the labels ask for."""
    if seen.output is None or seen.fault:
        return
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
            (where, "loss"),
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
            (where, "loss"),
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
            (where,),
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
            ("loss",),
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
            ("loss",),
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
                setup,
                loss=torch.nn.CrossEntropyLoss(),
                Y=torch.as_tensor(setup.task.truth).long(),
                task=setup.task.from_zero(),
            )
        return replace(setup, loss=torch.nn.BCEWithLogitsLoss(), Y=setup.Y.float())

    what = (
        f"{loss} on {task.classes or 'yes-or-no'} classes: its slope fades where an answer is "
        "most wrong"
    )
    fix = f"{better} on the raw output"
    return Suspicion(
        "wrong loss",
        ("loss",),
        what,
        fix,
        f"loss = nn.{better}()",
        changed,
        MEASURED + 0.1 if seen.name == "l1_loss" else 1.1,
    )


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
