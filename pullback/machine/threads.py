"""Threads that run one compiled function together with the thread that asks for it."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any

_AWAKE = 0.002  # seconds that a thread looks for the next call before it sleeps


class Workers:
    """Worker 0 is the calling thread, the others are threads of their own.

    Between two calls that follow at once they stay awake: to wake a thread, and to have it moved to
    a processor of its own, costs more than many a step. They end with the object.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._desk = desk = _Desk(count)
        for worker in range(1, count):
            name = f"pullback worker {worker}"
            threading.Thread(target=desk.serve, args=(worker,), name=name, daemon=True).start()
        weakref.finalize(self, desk.close)

    def run(self, function: Callable[..., int], arguments: Sequence[Any]) -> int:
        """``function(worker, *arguments)`` on every worker at once; what worker 0 gives back."""
        number = self._desk.post(function, arguments)
        result = function(0, *arguments)
        self._desk.wait(number)
        return result


class _Desk:
    """Where calls lie for the threads."""

    def __init__(self, count: int) -> None:
        self._call: tuple[Callable[..., int], Sequence[Any]] | None = None
        self._number = 0
        self._done = [0] * count
        self._fault: BaseException | None = None
        self._changed = threading.Condition()

    def post(self, function: Callable[..., int], arguments: Sequence[Any]) -> int:
        with self._changed:
            self._call = (function, arguments)
            self._number += 1
            self._changed.notify_all()
        return self._number

    def wait(self, number: int) -> None:
        """Until every thread has done the call of this number."""
        while any(done != number for done in self._done[1:]):
            time.sleep(0)
        self._call = None
        if self._fault is not None:
            fault, self._fault = self._fault, None
            raise fault

    def close(self) -> None:
        with self._changed:
            self._call = None
            self._number += 1
            self._changed.notify_all()

    def serve(self, worker: int) -> None:
        number = 0
        while True:
            self._await(number)
            number = self._number
            if self._call is None:
                return
            function, arguments = self._call
            try:
                function(worker, *arguments)
            except BaseException as fault:
                self._fault = fault
            self._done[worker] = number

    def _await(self, number: int) -> None:
        until = time.perf_counter() + _AWAKE
        while self._number == number:
            if time.perf_counter() < until:
                time.sleep(0)
                continue
            with self._changed:
                self._changed.wait_for(lambda: self._number != number)


def processors() -> int:
    """How many processors this process may use: those of OPENBLAS_NUM_THREADS, else all.

    The variables are the ones that NumPy's and SciPy's own matrix products obey.
    """
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        if (text := os.environ.get(name, "")).isdecimal() and int(text) > 0:
            return min(here, int(text))
    return here
