"""Threads that run one compiled function together with the thread that asks for it."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from queue import SimpleQueue
from typing import Any


class Workers:
    """Worker 0 is the calling thread, the others are threads of their own.

    Between two calls they sleep. They end with the object.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._desks = [SimpleQueue[_Call | None]() for _ in range(1, count)]
        for worker, desk in enumerate(self._desks, 1):
            name = f"pullback worker {worker}"
            threading.Thread(target=_serve, args=(worker, desk), name=name, daemon=True).start()
        weakref.finalize(self, _close, self._desks)

    def run(self, function: Callable[..., int], arguments: Sequence[Any]) -> int:
        """``function(worker, *arguments)`` on every worker at once; what worker 0 gives back."""
        calls = [_Call(function, arguments) for _ in self._desks]
        for desk, call in zip(self._desks, calls, strict=True):
            desk.put(call)
        result = function(0, *arguments)
        for call in calls:
            call.wait()
        return result


class _Call:
    """What one worker is to do; a lock is what another thread waits for in the shortest time."""

    def __init__(self, function: Callable[..., int], arguments: Sequence[Any]) -> None:
        self._function, self._arguments = function, arguments
        self._fault: BaseException | None = None
        self._going = threading.Lock()
        self._going.acquire()

    def run(self, worker: int) -> None:
        try:
            self._function(worker, *self._arguments)
        except BaseException as fault:
            self._fault = fault
        finally:
            self._going.release()

    def wait(self) -> None:
        """Until it has been run; raises what was raised there."""
        self._going.acquire()
        if self._fault is not None:
            raise self._fault


def _serve(worker: int, desk: SimpleQueue[_Call | None]) -> None:
    """Run the calls that are laid on a desk until one is None."""
    while (call := desk.get()) is not None:
        call.run(worker)
        del call  # its arrays may go before the next one comes


def _close(desks: Iterable[SimpleQueue[_Call | None]]) -> None:
    for desk in desks:
        desk.put(None)


def processors() -> int:
    """How many processors this process may use: those of OPENBLAS_NUM_THREADS, else all.

    The variables are the ones that NumPy's and SciPy's own matrix products obey.
    """
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        if (text := os.environ.get(name, "")).isdecimal() and int(text) > 0:
            return min(here, int(text))
    return here
