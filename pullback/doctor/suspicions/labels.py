"""The labels as they are written: their shapes, types, numbering and range."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from pullback.doctor.lesson import CHANCES, YES_NO
from pullback.doctor.observe import Observations
from pullback.doctor.outputs import ERRORS
from pullback.doctor.setup import TrainingSetup
from pullback.doctor.surgery import first_of
from pullback.doctor.suspicion import CERTAIN, Change, Suspicion
from pullback.doctor.suspicions.classes import FEW_LEVELS, as_classes
from pullback.doctor.tape import FAULTS
from pullback.interop.extras import Late

torch: Any = Late("torch", "torch")

_ELEMENTWISE = (*ERRORS, *YES_NO, "soft_margin_loss", "own")
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
    yield from _encodings(seen)


def _constant(seen: Observations) -> Iterator[Suspicion]:
    truth = seen.setup.task.truth
    if len(truth) > 1 and truth.size and (truth == truth[:1]).all():
        one = seen.setup.Y.reshape(-1)[0].item()
        yield Suspicion(
            "constant labels",
            ("data.Y",),
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
            ("data.Y",),
            what,
            "give the targets the shape of the output",
            f"Y = Y.reshape({', '.join(map(str, (-1, *out.shape[1:])))})",
            lambda setup: replace(setup, Y=setup.Y.reshape(len(setup.Y), *out.shape[1:])),
            CERTAIN,
        )


def _refused(seen: Observations) -> Iterator[Suspicion]:
    """Targets that the loss refuses as they are, and takes in another shape, type or numbering."""
    out, y = seen.output, seen.setup.Y
    if not isinstance(seen.tape.given, torch.Tensor) and _computes(seen.setup, out):
        yield Suspicion(
            "several outputs",
            ("model", "loss"),
            f"the module gives a {type(seen.tape.given).__name__}, and "
            f"{type(seen.setup.loss).__name__} takes one tensor",
            "give the loss the prediction alone",
            "loss(module(x)[0], y)",
            lambda setup: replace(setup, module=first_of(setup.module)),
            CERTAIN + 0.3,
        )
        return
    least = int(y.min()) if y.numel() else 0
    ways: list[tuple[str, Change]] = []
    if (many := _no_number(seen)) is not None:
        yield many
        return
    if seen.name in CHANCES:
        ways = [
            ("Y = Y.long()", lambda s: replace(s, Y=s.Y.long())),
            ("Y = Y.long().flatten()", lambda s: replace(s, Y=s.Y.long().flatten())),
            (f"Y = Y.long() - {least}", lambda s: _numbered_from(s, least)),
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
                ("data.Y",),
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
            (seen.place(seen.tape.affine[-1]),),
            f"too few output units: {units} for {seen.setup.task.classes} classes; torch says "
            f"{seen.fault!r}",
            f"{seen.setup.task.classes} output units",
            f"nn.Linear(…, {seen.setup.task.classes})",
            lambda setup: as_classes(setup, seen),
            CERTAIN + 0.3,
        )


def _no_number(seen: Observations) -> Suspicion | None:
    """A loss that gives something else than one number."""
    setup = seen.setup
    try:
        value = setup.loss(seen.tape.given, setup.Y[: len(seen.output)])
    except FAULTS:
        return None
    is_tensor = isinstance(value, torch.Tensor)
    if is_tensor and value.numel() == 1:
        return None
    named = getattr(setup.loss, "reduction", "") == "none"
    given = f"{value.numel()} numbers" if is_tensor else f"a {type(value).__name__}"
    return Suspicion(
        "no number",
        ("loss",),
        f"the loss gives {given}, and a backward pass begins at one that is computed by torch",
        "take the mean" if is_tensor else "compute it by torch, of what the module gives",
        'reduction="mean"' if named else "loss(z, y).mean()",
        (lambda found: replace(found, loss=_mean_of(found.loss))) if is_tensor else None,
        CERTAIN + 0.3,
    )


def _mean_of(loss: Any) -> Any:
    """The mean of what a loss gives."""
    if getattr(loss, "reduction", "") == "none":
        loss = copy.deepcopy(loss)
        loss.reduction = "mean"
        return loss
    return lambda z, y: loss(z, y).mean()


def _numbered_from(setup: TrainingSetup, least: int) -> TrainingSetup:
    """The set-up with class numbers that begin at 0."""
    names = tuple(each - least for each in setup.task.names)
    Y = setup.Y.long().flatten() - least
    return replace(setup, Y=Y, task=replace(setup.task, names=names))


def _computes(setup: TrainingSetup, out: Any) -> bool:
    try:
        return bool(torch.isfinite(setup.loss(out, setup.Y[: len(out)])))
    except FAULTS:
        return False


def _encodings(seen: Observations) -> Iterator[Suspicion]:
    task, y = seen.setup.task, seen.setup.Y
    if seen.name == "soft_margin_loss" and task.kind == "classes" and float(y.min()) == 0:
        yield Suspicion(
            "label encoding",
            ("data.Y",),
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
    even = 3 <= len(levels) <= FEW_LEVELS and np.allclose(
        steps / steps.min(), np.round(steps / steps.min()), atol=1e-3
    )
    if even and len(task.truth) >= 10 * len(levels) and steps.min() <= 1.5 / _BYTE:
        yield Suspicion(
            "label encoding",
            ("data.Y",),
            f"the label encoding is spoilt: {len(levels)} classes lie {steps.min():.2g} apart, "
            f"as class numbers divided by {1 / steps.min():.0f}",
            "class numbers, under CrossEntropyLoss",
            f"Y = (Y * {1 / steps.min():.0f}).round().long().flatten()",
            lambda setup: as_classes(setup, seen),
            CERTAIN,
        )
