"""Threads that run one function together: each once a call, until the pool is let go."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest

from pullback.machine.threads import Workers


@pytest.mark.parametrize("count", [1, 2, 5])
def test_each_worker_runs_every_call_once(count: int) -> None:
    pool, seen = Workers(count), list[tuple[int, int, int]]()

    def work(worker: int, call: int) -> int:
        seen.append((call, worker, threading.get_ident()))
        return 10 * call + worker

    assert [pool.run(work, [call]) for call in range(20)] == [10 * call for call in range(20)]
    assert sorted(each[:2] for each in seen) == [(c, w) for c in range(20) for w in range(count)]
    assert len({ident for _, _, ident in seen}) == count


def test_a_fault_of_any_worker_is_raised_and_the_next_call_runs() -> None:
    pool = Workers(3)

    def work(worker: int, wrong: int) -> int:
        if worker == wrong:
            raise ValueError(f"worker {worker}")
        return worker

    for wrong in (1, 2):
        with pytest.raises(ValueError, match=f"worker {wrong}"):
            pool.run(work, [wrong])
        assert pool.run(work, [7]) == 0


def test_threads_end_with_the_crew_and_hold_no_array_of_a_call() -> None:
    before = set(threading.enumerate())
    pool = Workers(3)
    started = set(threading.enumerate()) - before
    assert len(started) == 2

    class Array:
        pass

    held = weakref.ref(array := Array())
    pool.run(lambda worker, _: 0, [array])
    del pool, array
    gc.collect()
    for thread in started:
        thread.join()
    assert held() is None
