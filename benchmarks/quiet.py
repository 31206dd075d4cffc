"""Timing on a machine that others use too: a measurement that was disturbed is made again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

_STAT = Path("/proc/stat")
_TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_ALLOWED = 0.08  # processors that others may keep busy meanwhile
_PATIENCE = 40  # times that a disturbed measurement is made again


def others() -> float:
    """Seconds of processor time that everybody else has used so far; 0 where nobody says."""
    if not _STAT.exists():
        return 0.0
    user, nice, system, _idle, _wait, irq, soft, steal = map(
        int, _STAT.read_text().split("\n", 1)[0].split()[1:9]
    )
    own = sum(os.times()[:4])  # with the processes that it waited for
    return (user + nice + system + irq + soft + steal) / _TICK - own


def undisturbed(run: Callable[[], object]) -> tuple[float, bool]:
    """Seconds that a call takes while nobody else computes, and whether that could be had."""
    for attempt in range(_PATIENCE):
        before, started = others(), time.perf_counter()
        run()
        seconds = time.perf_counter() - started
        if others() - before <= max(_ALLOWED * seconds, 1.5 / _TICK):
            return seconds, True
        time.sleep(0.2 if attempt % 4 else 1.0)
    return seconds, False
