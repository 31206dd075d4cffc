"""A measurement is warmed up, long enough, and made again where others disturbed it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pullback.bench import quiet
from pullback.bench.stopwatch import timed


class Clock:
    """A clock that only a peer's passes move."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Passing:
    """A peer whose passes take so long on a clock; ``counts`` are those that it was asked for."""

    def __init__(self, clock: Clock, seconds: Callable[[int], float]) -> None:
        self.clock, self.seconds, self.counts = clock, seconds, list[int]()

    def first_pass(self) -> None: ...

    def passes(self, count: int) -> None:
        self.clock.now += count * self.seconds(len(self.counts))
        self.counts.append(count)


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """How many measurements others disturb; nobody waits in earnest."""
    state: dict[str, Any] = {"disturbed": 0, "used": 0.0, "waited": 0}
    looks = iter(range(10**6))

    def others() -> float:
        if next(looks) % 2 and state["disturbed"]:  # the second look, after a run
            state["disturbed"] -= 1
            state["used"] += 100.0
        return float(state["used"])

    def sleep(seconds: float) -> None:
        state["waited"] += 1

    monkeypatch.setattr(quiet, "others", others)
    monkeypatch.setattr(quiet.time, "sleep", sleep)
    return state


def test_passes_are_warmed_up_and_timed_for_long_enough(busy: dict[str, Any]) -> None:
    clock = Clock()
    peer = Passing(clock, lambda call: 0.01)
    lap = timed(peer, long_enough=0.1, warm_up=0.03, clock=clock)
    assert lap.seconds == pytest.approx(0.01)
    assert lap.quiet
    *warm, count = peer.counts
    assert sum(warm) * 0.01 == pytest.approx(0.03)
    assert count * 0.01 >= 0.1


def test_a_slow_start_does_not_make_the_measurement_short(busy: dict[str, Any]) -> None:
    clock = Clock()
    peer = Passing(clock, lambda call: 1.0 if call == 0 else 0.001)
    lap = timed(peer, long_enough=0.1, warm_up=0.03, clock=clock)
    assert lap.seconds == pytest.approx(0.001)
    assert peer.counts[-1] * 0.001 >= 0.1


@pytest.mark.parametrize(("disturbed", "quiet_at_last"), [(0, True), (2, True), (5, False)])
def test_a_disturbed_measurement_is_made_again_a_limited_number_of_times(
    busy: dict[str, Any], disturbed: int, quiet_at_last: bool
) -> None:
    busy["disturbed"], clock = disturbed, Clock()
    peer = Passing(clock, lambda call: 0.2)
    lap = timed(peer, long_enough=0.1, warm_up=0.03, patience=4, clock=clock)
    assert lap.quiet is quiet_at_last
    assert lap.seconds == pytest.approx(0.2)
    attempts = min(disturbed + 1, 4)
    assert len(peer.counts) == 2 * attempts  # a warm-up before each
    assert busy["waited"] == attempts - 1
