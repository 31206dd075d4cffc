"""Suspicions, a file a subject: each reads the observations and says what may be wrong."""

from __future__ import annotations

from collections.abc import Iterator

from pullback.doctor.observe import Observations
from pullback.doctor.suspicion import Suspicion
from pullback.doctor.suspicions import (
    balance,
    capacity,
    data,
    finite,
    gradient,
    labels,
    noise,
    output,
    parameters,
    rates,
    signal,
    steps,
    task,
)

SUBJECTS = (
    finite, output, labels, task, data, balance, parameters, gradient, signal, noise, rates,
    steps, capacity,
)  # fmt: skip


def all_of(seen: Observations) -> Iterator[Suspicion]:
    """Those of all subjects."""
    for subject in SUBJECTS:
        yield from subject.suspect(seen)
