"""The steps: how many there are, of how many samples, and whether each begins with no gradient."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pullback.doctor.observe import Observations
from pullback.doctor.suspicion import CERTAIN, POSSIBLE, Suspicion
from pullback.doctor.suspicions.rates import FEW
from pullback.doctor.tape import FAULTS, said
from pullback.doctor.training import quiet
from pullback.doctor.trials import ENOUGH, LONGER

_MOST = 0.9  # of the loss to lose
LONGEST = 5000  # steps of a trial


def suspect(seen: Observations) -> Iterator[Suspicion]:
    """Suspicions about how often, and on what, the weights are moved."""
    if seen.loss is None:
        return
    yield from _refused(seen)
    yield from _never_cleared(seen)
    if seen.course.losses:
        yield from _too_short(seen)
    yield from _batches(seen)


def _refused(seen: Observations) -> Iterator[Suspicion]:
    """A module that takes all samples at once, and not a batch of them, as of a graph."""
    setup = seen.setup
    if not seen.course.fault or setup.batch == len(setup):
        return
    rows = slice(0, setup.batch)
    try:
        with quiet():
            setup.loss(setup.call(setup.rows(rows)), setup.Y[rows])
    except FAULTS as fault:
        yield Suspicion(
            "batch size",
            ("batch_size",),
            f"it runs on all {len(setup)} samples and not on a batch of {setup.batch}: torch says "
            f"{said(fault)!r}",
            f"all {len(setup)} samples in every step, or a forward that takes some of them",
            f"batch_size={len(setup)}",
            lambda found: replace(found, batch=len(found)),
            CERTAIN - 0.5,  # behind a norm that refuses one sample
        )


def _never_cleared(seen: Observations) -> Iterator[Suspicion]:
    """Steps that add their gradient to those before; a remark, where it learns all the same."""
    if seen.setup.accumulates:
        yield Suspicion(
            "gradients add up",
            ("optimizer",),
            "the training step never clears the gradients: each adds to all those before, so the "
            "updates follow their sum; zero_grad() is missing",
            "clear them in every step",
            "optimizer.zero_grad()",
            lambda setup: replace(setup, accumulates=False),
            CERTAIN + 0.5 if seen.course.share < ENOUGH else 0.0,
        )


def _too_short(seen: Observations) -> Iterator[Suspicion]:
    setup, course = seen.setup, seen.course
    factor = min(max(4, 800 // setup.steps), max(LONGEST // setup.steps, 1))
    if factor < 2:
        return
    rate, times = setup.updates.descent, ""
    if rate is not None and seen.modes is not None:
        needed = seen.modes.needed(rate, 1 - _MOST)
        times = f"; linearised, {_MOST:.0%} of the loss to lose is gone after {needed:,.0f}"
    what = (
        f"too few epochs: {setup.steps} steps take the loss from {course.start:.4g} to "
        f"{course.loss:.4g}{times}"
    )
    epochs = setup.epochs * factor
    few = setup.steps < FEW
    yield Suspicion(
        LONGER,
        ("epochs",),
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
            ("batch_size",),
            what,
            f"batches of {batch}",
            f"batch_size={batch}",
            lambda found: replace(found, batch=batch),
            POSSIBLE + 0.085 * (setup.steps < 20),
        )
