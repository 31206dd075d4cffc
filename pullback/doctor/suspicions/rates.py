"""The learning rate, the steps, the batches, the optimiser and the width: how it is trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from pullback.doctor.observe import Observations
from pullback.doctor.setup import TrainingSetup, parts
from pullback.doctor.surgery import module_at, put
from pullback.doctor.suspicion import CERTAIN, MEASURED, POSSIBLE, Change, Suspicion
from pullback.doctor.trials import ENOUGH
from pullback.interop.extras import Late

torch: Any = Late("torch", "torch")

_FEW = 150  # steps
_EDGE = 2.0  # of rate times λ_max: beyond it descent on a quadratic diverges
_JUMP = 3.0  # of the loss, over where it started
LONGEST = 5000  # steps of a trial


def suspect(seen: Observations) -> Iterator[Suspicion]:
    """Suspicions about the course of training."""
    if seen.loss is None:
        return
    yield from _never_cleared(seen)
    high = list(_too_high(seen))
    yield from high
    yield from _too_low(seen, -0.5 if high else 0.09)
    yield from _too_short(seen)
    yield from _batches(seen)
    yield from _optimizer(seen)
    yield from _width(seen)


def _too_high(seen: Observations) -> Iterator[Suspicion]:
    course, updates = seen.course, seen.setup.updates
    losses = np.asarray(course.losses) if course.losses else np.zeros(1)
    signs = []
    sharp = None if updates.adaptive else seen.sharpness
    start = float(np.abs(losses[:1]).max())
    peak = float(np.nanmax(losses)) if np.isfinite(losses).any() else np.inf
    if not course.finite:
        signs.append(f"the loss is not finite after {course.steps} steps")
    elif peak > _JUMP * start + 1e-12 and seen.name != "nll_loss":
        signs.append(f"the loss goes from {start:.3g} up to {peak:.3g}")
    if sharp is not None and updates.rate * sharp > _EDGE:
        signs.append(f"rate times curvature is {updates.rate * sharp:.3g}, and 2 is the limit")
    if not signs:
        return
    what = (
        f"the learning rate {updates.rate:g} is too high for {updates.name}: {', and '.join(signs)}"
    )
    weight = MEASURED + 0.25 if len(signs) > 1 or not course.finite or peak > _JUMP * start else 1.3
    for power in (1, 2, 3):
        yield _rate(seen, 10.0**-power, "rate too high", what, weight)


def _never_cleared(seen: Observations) -> Iterator[Suspicion]:
    """Steps that add their gradient to those before; a remark, where it learns all the same."""
    if seen.setup.accumulates:
        yield Suspicion(
            "gradients add up",
            "optimizer",
            "the training step never clears the gradients: each adds to all those before, so the "
            "updates follow their sum; zero_grad() is missing",
            "clear them in every step",
            "optimizer.zero_grad()",
            lambda setup: replace(setup, accumulates=False),
            CERTAIN + 0.5 if seen.course.share < ENOUGH else 0.0,
        )


def _too_low(seen: Observations, more: float) -> Iterator[Suspicion]:
    updates, course = seen.setup.updates, seen.course
    sharp = None if updates.adaptive else seen.sharpness
    room = (
        f"; rate times curvature is {updates.rate * sharp:.2g}, and up to 2 is stable"
        if sharp
        else ""
    )
    what = (
        f"the learning rate {updates.rate:g} is too low for {seen.setup.steps} steps: the loss "
        f"goes from {course.start:.4g} to {course.loss:.4g}{room}"
    )
    for power in (1, 2, 3):
        yield _rate(seen, 10.0**power, "rate too low", what, POSSIBLE + more)


def _rate(seen: Observations, factor: float, key: str, what: str, weight: float) -> Suspicion:
    rate = seen.setup.updates.rate * factor
    way = "lower it to" if factor < 1 else "raise it to"
    return Suspicion(
        key,
        "optimizer",
        what,
        f"{way} {rate:.3g}",
        f"lr={rate:.3g}",
        lambda setup: replace(setup, updates=setup.updates.times(factor)),
        weight,
    )


def _too_short(seen: Observations) -> Iterator[Suspicion]:
    setup, course = seen.setup, seen.course
    factor = min(max(4, 800 // setup.steps), max(LONGEST // setup.steps, 1))
    if factor < 2:
        return
    what = (
        f"too few epochs: {setup.steps} steps take the loss from {course.start:.4g} to "
        f"{course.loss:.4g}"
    )
    epochs = setup.epochs * factor
    few = setup.steps < _FEW
    yield Suspicion(
        "too few steps",
        "epochs",
        what,
        f"{epochs} epochs",
        f"epochs = {epochs}",
        lambda found: replace(found, epochs=epochs),
        POSSIBLE + (0.08 if few else 0.05),
    )


def _batches(seen: Observations) -> Iterator[Suspicion]:
    setup = seen.setup
    n = len(setup)
    if setup.batch > max(64, n // 8) and n > 64:
        batch = max(16, min(32, n // 10))
        what = (
            f"batches of {setup.batch} are too large: an epoch of {n} samples is "
            f"{-(-n // setup.batch)} steps"
        )
        yield Suspicion(
            "batch size",
            "batch_size",
            what,
            f"batches of {batch}",
            f"batch_size={batch}",
            lambda found: replace(found, batch=batch),
            POSSIBLE + 0.085 * (setup.steps < 20),
        )


def _optimizer(seen: Observations) -> Iterator[Suspicion]:
    updates = seen.setup.updates
    if updates.adaptive:
        return

    def adam(rate: float) -> Change:
        return lambda setup: replace(
            setup, updates=setup.updates.another(torch.optim.Adam, lr=rate)
        )

    for rate in (3e-3, 3e-2):
        yield Suspicion(
            "optimizer",
            "optimizer",
            f"plain {updates.name} is unsuited here: one rate for all parameters, whose gradients "
            f"differ {_spread(seen):.0f}-fold",
            f"Adam with {rate:g}",
            f"torch.optim.Adam(module.parameters(), lr={rate:g})",
            adam(rate),
            POSSIBLE + 0.03,
        )


def _spread(seen: Observations) -> float:
    """How much the RMS gradients of the parameters differ."""
    sizes = [
        float(p.grad.square().mean().sqrt())
        for p in seen.setup.updates.parameters
        if p.grad is not None
    ]
    sizes = [each for each in sizes if each > 0]
    return max(sizes) / min(sizes) if sizes else 1.0


def _width(seen: Observations) -> Iterator[Suspicion]:
    """Hidden layers of more units, where all of them are plain linear layers."""
    setup = seen.setup
    linear = [(path, part) for path, part in parts(setup.module) if type(part).__name__ == "Linear"]
    called = [layer.path for layer in seen.layers]
    if len(linear) < 2 or [path for path, _ in linear] != called or not _chained(linear):
        return
    widths = [part.out_features for _, part in linear[:-1]]
    wide = [max(4 * n, 16) for n in widths]
    count = sum(p.numel() for p in setup.updates.parameters)
    what = (
        f"too few units: hidden layers of {', '.join(map(str, widths))} and {count} parameters "
        f"for {len(setup)} samples end at {max(seen.course.share, 0):.0%} of what can be learnt"
    )
    small = POSSIBLE + (0.04 if min(widths) < 8 else -0.2)
    yield Suspicion(
        "too small",
        ", ".join(path for path, _ in linear),
        what,
        f"hidden layers of {', '.join(map(str, wide))}",
        f"nn.Linear(…, {wide[0]})",
        lambda found: widened(found, called, wide),
        small,
    )


def _chained(linear: list[tuple[str, Any]]) -> bool:
    outs = [part.out_features for _, part in linear[:-1]]
    return outs == [part.in_features for _, part in linear[1:]]


def widened(setup: TrainingSetup, paths: list[str], widths: list[int]) -> TrainingSetup:
    """The same chain of linear layers with other hidden widths, drawn anew."""
    torch.manual_seed(setup.seed)
    first, last = module_at(setup.module, paths[0]), module_at(setup.module, paths[-1])
    sizes = [first.in_features, *widths, last.out_features]
    for path, (n_in, n_out) in zip(paths, pairwise(sizes), strict=True):
        old = module_at(setup.module, path)
        new = torch.nn.Linear(n_in, n_out, bias=old.bias is not None).to(old.weight.dtype)
        setup = put(setup, path, new)
    return setup
