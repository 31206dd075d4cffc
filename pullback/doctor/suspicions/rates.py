"""The learning rate against the curvature and the steps, and the optimiser that it is given to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from pullback.doctor.observe import Observations
from pullback.doctor.suspicion import MEASURED, POSSIBLE, Change, Suspicion
from pullback.doctor.tape import record
from pullback.doctor.training import quiet
from pullback.interop.extras import Late

torch: Any = Late("torch", "torch")

FEW = 150  # steps
_MUCH, _LITTLE = 0.8, 0.2  # of the loss to lose: left at the rate given, and at 1/λ_max
_JUMP = 3.0  # of the loss, over where it started


def suspect(seen: Observations) -> Iterator[Suspicion]:
    """Suspicions about the course of training."""
    if not seen.course.losses or not seen.setup.updates.has_rate:
        return
    high = list(_too_high(seen))
    yield from high
    yield from _too_low(seen, -0.5 if high else 0.09)
    yield from _optimizer(seen)


def limit_of(seen: Observations) -> float | None:
    """2/λ_max, or 2(1 + μ)/λ_max under momentum: a rate beyond it diverges on a quadratic."""
    updates = seen.setup.updates
    if updates.adaptive or seen.modes is None:
        return None
    return 2 * (1 + updates.momentum) / seen.modes.largest


def _too_high(seen: Observations) -> Iterator[Suspicion]:
    course, updates = seen.course, seen.setup.updates
    losses = np.asarray(course.losses) if course.losses else np.zeros(1)
    signs = []
    edge = limit_of(seen)
    start = float(np.abs(losses[:1]).max())
    peak = float(np.nanmax(losses)) if np.isfinite(losses).any() else np.inf
    if not course.finite:
        signs.append(f"the loss is not finite after {course.steps} steps{_broken(seen)}")
    elif peak > _JUMP * start + 1e-12 and seen.name != "nll_loss":
        signs.append(f"the loss goes from {start:.3g} up to {peak:.3g}")
    if edge is not None and updates.rate > edge:
        signs.append(f"beyond {edge:.3g}, which is 2/λ of the curvature, descent runs away")
    if not signs:
        return
    what = (
        f"the learning rate {updates.rate:g} is too high for {updates.name}: {', and '.join(signs)}"
    )
    weight = MEASURED + 0.25 if len(signs) > 1 or not course.finite or peak > _JUMP * start else 1.3
    for power in (1, 2, 3):
        yield _rate(seen, 10.0**-power, "rate too high", what, weight)


def _broken(seen: Observations) -> str:
    """The first call that makes NaN or infinity, with the weights of that step."""
    if seen.course.broken is None:
        return ""
    setup, rows = seen.course.broken
    with quiet():
        call = record(setup, setup.rows(rows)).first_not_finite
    return "" if call is None else f", first at {call.name} in {seen.place(call)}"


def _too_low(seen: Observations, more: float) -> Iterator[Suspicion]:
    updates, course, edge = seen.setup.updates, seen.course, limit_of(seen)
    room, weight = "", POSSIBLE + more
    if edge is not None and seen.modes is not None and updates.descent is not None:
        left = seen.modes.left(updates.descent, seen.setup.steps)
        if left > _MUCH and seen.modes.left(1 / seen.modes.largest, seen.setup.steps) < _LITTLE:
            weight = MEASURED - 0.1
        room = (
            f"; linearised, {left:.0%} of the loss to lose is left at this rate (time constants "
            f"1/(ηλ) from {1 / (updates.descent * seen.modes.largest):.2g} steps on), and rates up "
            f"to 2/λ = {edge:.2g} are stable"
        )
    what = (
        f"the learning rate {updates.rate:g} is too low for {seen.setup.steps} steps: the loss "
        f"goes from {course.start:.4g} to {course.loss:.4g}{room}"
    )
    for power in (1, 2, 3):
        yield _rate(seen, 10.0**power, "rate too low", what, weight)


def _rate(seen: Observations, factor: float, key: str, what: str, weight: float) -> Suspicion:
    rate = seen.setup.updates.rate * factor
    way = "lower it to" if factor < 1 else "raise it to"
    return Suspicion(
        key,
        ("optimizer",),
        what,
        f"{way} {rate:.3g}",
        f"lr={rate:.3g}",
        lambda setup: replace(setup, updates=setup.updates.times(factor)),
        weight,
    )


def _optimizer(seen: Observations) -> Iterator[Suspicion]:
    updates = seen.setup.updates
    if updates.adaptive:
        return

    def adam(rate: float) -> Change:
        return lambda setup: replace(
            setup, updates=setup.updates.another(torch.optim.Adam, lr=rate)
        )

    modes, why, weight = seen.modes, "", POSSIBLE + 0.03
    if modes is not None and seen.setup.steps >= FEW:
        left = modes.left(1 / modes.largest, seen.setup.steps)
        if left > _MUCH:  # then no rate is enough, and this goes before higher ones
            why = f"; linearised, {left:.0%} of the loss to lose is left at any stable one"
            weight = POSSIBLE + 0.095
    for rate in (3e-3, 3e-2):
        yield Suspicion(
            "optimizer",
            ("optimizer",),
            f"plain {updates.name} is unsuited here: one rate for all parameters, whose gradients "
            f"differ {_spread(seen):.0f}-fold{why}",
            f"Adam with {rate:g}",
            f"torch.optim.Adam(module.parameters(), lr={rate:g})",
            adam(rate),
            weight,
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
