"""Timing on a machine that others use too: a measurement that was disturbed is made again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

_STAT = Path("/proc/stat")
_TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_ALLOWED = 0.08  # processors that others may keep busy meanwhile


def others() -> float:
    """Seconds of processor time that everybody else has used so far; 0 where nobody says."""
    if not _STAT.exists():
        return 0.0
    user, nice, system, _idle, _wait, irq, soft, steal = map(
        int, _STAT.read_text().split("\n", 1)[0].split()[1:9]
    )
    own = sum(os.times()[:4])  # with the processes that it waited for
    return (user + nice + system + irq + soft + steal) / _TICK - own


def undisturbed(
    run: Callable[[], object],
    before: Callable[[], object] = lambda: None,
    patience: int = 40,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[float, bool]:
    """Seconds that a call takes while nobody else computes, and whether that could be had.

    A disturbed call is made again, ``patience`` calls at most; ``before`` goes before each.
    """
    for attempt in range(patience):
        if attempt:
            time.sleep(1.0 if attempt % 4 == 0 else 0.2)
        before()
        used, started = others(), clock()
        run()
        seconds = clock() - started
        if others() - used <= max(_ALLOWED * seconds, 1.5 / _TICK):
            return seconds, True
    return seconds, False
