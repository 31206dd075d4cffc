"""How long a step of one peer takes: warmed up, long enough to look at, and undisturbed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from pullback.bench.peers import Peer
from pullback.bench.quiet import undisturbed

WARM_UP, LONG_ENOUGH = 0.03, 0.1  # seconds
PATIENCE = 4  # times that a disturbed measurement is made


@dataclass(frozen=True)
class Lap:
    """Seconds a pass, and whether nobody else used the machine meanwhile."""

    seconds: float
    quiet: bool


def timed(
    peer: Peer,
    long_enough: float = LONG_ENOUGH,
    warm_up: float = WARM_UP,
    patience: int = PATIENCE,
    clock: Callable[[], float] = time.perf_counter,
) -> Lap:
    """Time passes of a peer that together take at least so many seconds."""
    count = 1

    def warm() -> None:
        nonlocal count
        started, done = clock(), 0
        while (spent := clock() - started) < warm_up or not done:
            peer.passes(1)
            done += 1
        count = max(count, math.ceil(1.1 * long_enough * done / spent))

    while True:
        seconds, quiet = undisturbed(
            lambda: peer.passes(count),  # noqa: B023  called at once
            warm,
            patience,
            clock,
        )
        if seconds >= long_enough:
            return Lap(seconds / count, quiet)
        count *= 2  # the warm-up was slower than what came after it
