"""Dropout, batch norm and half precision: what is drawn, averaged or rounded away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pullback.doctor.observe import Observations
from pullback.doctor.setup import TrainingSetup, each, parts
from pullback.doctor.suspicion import CERTAIN, MEASURED, Suspicion
from pullback.interop.extras import Late

torch: Any = Late("torch", "torch")

_STRONG = 0.6
_LOST = 0.05  # of the gradient's numbers


def suspect(seen: Observations) -> Iterator[Suspicion]:
    """Suspicions about noise and rounding."""
    yield from _dropout(seen)
    yield from _batch_norm(seen)
    yield from _half(seen)


def dropouts(setup: TrainingSetup) -> list[tuple[str, Any]]:
    return [
        (path, part)
        for path, part in parts(setup.module)
        if type(part).__name__.startswith(("Dropout", "AlphaDropout")) and part.p > 0
    ]


def _dropout(seen: Observations) -> Iterator[Suspicion]:
    found = dropouts(seen.setup)
    if not found:
        return
    passed = 1.0
    for _, part in found:
        passed *= 1 - part.p
    strongest = max(part.p for _, part in found)
    what = (
        f"dropout of up to {strongest:g} in {len(found)} place{'s' * (len(found) > 1)}: "
        f"{passed:.1%} of the paths are left in a step"
    )
    weight = MEASURED + 0.4 if strongest >= _STRONG or passed < 0.1 else 0.8
    yield Suspicion(
        "dropout",
        tuple(path for path, _ in found),
        what,
        "0.1, behind the activations",
        "nn.Dropout(0.1)",
        _without_dropout,
        weight,
    )


def _without_dropout(setup: TrainingSetup) -> TrainingSetup:
    for _, part in dropouts(setup):
        part.p = min(part.p, 0.1)
    return setup


def _batch_norm(seen: Observations) -> Iterator[Suspicion]:
    setup = seen.setup
    norms = [
        path for path, part in parts(setup.module) if type(part).__name__.startswith("BatchNorm")
    ]
    if not norms:
        return
    rest = len(setup) % setup.batch
    small = setup.batch if setup.batch < 4 else rest if rest == 1 else 0
    if small:
        what = (
            f"a batch size of {small} is too few for the batch norm at {', '.join(norms[:3])}: a "
            "mean over so few samples is noise"
            + (", and over one torch refuses" if small == 1 else "")
        )
        better = max(setup.batch, 16)
        yield Suspicion(
            "batch size",
            ("batch_size",),
            what,
            "larger batches, without the short last one; or GroupNorm",
            f"DataLoader(…, batch_size={better}, drop_last=True)",
            _larger,
            CERTAIN - 0.4,
        )
    drops = {path for path, _ in dropouts(setup)}
    order = [call for call in seen.tape.calls if call.path in drops or call.path in norms]
    first = next((call.path for call in order), None)
    if first in drops:
        yield Suspicion(
            "dropout before norm",
            (first or "",),
            "dropout stands before a batch norm: its variance in "
            "training is not the one in evaluation",
            "dropout behind the last norm",
            "nn.Sequential(norm, nn.ReLU(), nn.Dropout(p))",
            None,
            0.0,
        )


def _larger(setup: TrainingSetup) -> TrainingSetup:
    batch = max(setup.batch, 16)
    if len(setup) % batch == 1:
        batch += 1
    return replace(setup, batch=min(batch, len(setup)))


def _half(seen: Observations) -> Iterator[Suspicion]:
    slopes = [p.grad for p in seen.setup.updates.parameters if p.grad is not None]
    half = [g for g in slopes if g.dtype == torch.float16]
    if not half:
        return
    lost = float(sum((g == 0).sum() for g in half)) / sum(g.numel() for g in half)
    if lost < _LOST:
        return
    yield Suspicion(
        "half precision",
        ("model",),
        f"{lost:.0%} of the gradient's numbers are 0 in float16: they underflow",
        "float32, or a GradScaler",
        "module.float()",
        _single,
        MEASURED,
    )


def _single(setup: TrainingSetup) -> TrainingSetup:
    setup.module.float()
    floats = each(setup.X, lambda x: x.float() if x.dtype.is_floating_point else x)
    Y = setup.Y.float() if setup.Y.dtype.is_floating_point else setup.Y
    return replace(setup, X=floats, Y=Y)
