"""The number of workers follows what is faster; every second here is a number that is made up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from pullback.machine.worker_count import LATE, TRIAL, WorkerCount

CALL = 0.05  # seconds for which whoever trains asks for steps
Pace = Callable[[int, float], float]  # seconds a step of so many workers takes at a time


def trained(
    count: WorkerCount, pace: Pace, begin: float, end: float, share: float = 1.0
) -> Counter[int]:
    """Seconds that each number of workers trains, and has such a share of its processor."""
    spent, now = Counter[int](), begin
    while now < end:
        workers, left = count.now, max(1, int(CALL / pace(count.now, now)))
        steps = min(left, count.limit or left)
        seconds = steps * pace(workers, now)
        count.took(steps, seconds, share * seconds)
        spent[workers] += seconds  # type: ignore[assignment]
        now += seconds
    return spent


@pytest.mark.parametrize("step", [1e-5, 1e-3, 0.005])
@pytest.mark.parametrize(("slow", "fast"), [(1, 3), (3, 1)])
def test_nearly_all_steps_are_those_of_the_faster_count(step: float, slow: int, fast: int) -> None:
    spent = trained(WorkerCount(3), lambda n, _: step * (1.8 if n == slow else 1.0), 0, 30)
    assert 0 < spent[slow] < 0.015 * spent[fast]


def test_workers_that_become_slow_are_left_at_once_and_come_back() -> None:
    def pace(workers: int, now: float) -> float:
        return 1e-4 if workers == 1 else 1e-2 if 5 <= now < 20 else 6e-5

    count = WorkerCount(2)
    trained(count, pace, 0, 5)
    assert count.now == 2
    spent = trained(count, pace, 5, 20)
    assert spent[2] < 0.4  # seconds, a call and some trials
    assert count.now == 1
    trained(count, pace, 20, 20 + LATE + CALL)
    assert count.now == 2


def test_one_that_becomes_slow_is_left_at_once() -> None:
    def pace(workers: int, now: float) -> float:
        return 2e-4 if workers == 2 else 1e-4 if now < 5 else 4e-4

    count = WorkerCount(2)
    trained(count, pace, 0, 5)
    assert count.now == 1
    trained(count, pace, 5, 5.2)
    assert count.now == 2


def test_a_first_trial_that_was_disturbed_is_made_again_soon() -> None:
    def pace(workers: int, now: float) -> float:
        return 5e-5 if workers == 2 else 6e-5 if now < 0.1 else 3e-5

    spent = trained(WorkerCount(2), pace, 0, 2)
    assert spent[2] < 0.3


def test_on_a_busy_machine_all_work_however_fast_one_was_for_a_moment() -> None:
    count = WorkerCount(2)
    trained(count, lambda n, _: 1e-4 * n, 0, 5)
    assert count.now == 1
    spent = trained(count, lambda n, _: 1e-4 * n, 5, 35, share=0.6)
    assert spent[1] < 0.03 * spent[2]
    trained(count, lambda n, _: 1e-4 * n, 35, 35 + LATE + CALL)
    assert count.now == 1


def test_long_steps_have_all_workers() -> None:
    seen = trained(WorkerCount(4), lambda n, _: 8 * TRIAL / n, 0, 10)
    assert set(seen) == {4}


def test_one_worker_does_not_keep_steps_that_are_long_for_it() -> None:
    def pace(workers: int, now: float) -> float:
        if workers == 1:
            return 0.009 if now < 5 else 0.015
        return 0.01 if now < 5 else 0.008

    count = WorkerCount(2)
    trained(count, pace, 0, 5)
    assert count.now == 1
    trained(count, pace, 5, 5 + LATE)
    assert count.now == 2


@pytest.mark.parametrize("most", [1, 3])
def test_a_number_that_is_given_stays(most: int) -> None:
    count = WorkerCount(most, most)
    assert set(trained(count, lambda n, now: 1e-4 * (1 + now), 0, 1)) == {most}
    assert count.limit is None
