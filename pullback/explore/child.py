"""Worker processes as the server holds them: JSON there and back, a deadline, and an end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import signal
from asyncio import AbstractEventLoop, Queue
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from importlib import import_module
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from threading import Thread
from typing import Any, TypeVar

from pullback.errors import PullbackError

DEADLINE = 60.0  # seconds that one view may take, on a machine that does other things too
STARTING = 120.0  # seconds that a process may take to load its libraries
WORKER = "pullback.explore.worker"  # by its name: this process loads nothing of what it loads
LOADED = (WORKER, "sklearn.datasets", "sklearn.model_selection")  # once, for all workers

T = TypeVar("T")


class WorkerError(PullbackError):
    """What a worker answered instead of a result; ``kind`` is the name of its own error."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def work(worker: str, line: Connection, given: Mapping[str, Any]) -> None:
    """What a new process does."""
    import_module(worker).main(line, given)


class Child:
    """One worker process; it ends with the server, however that ends.

    Only JSON goes over the line, so nothing that comes from a page is ever unpickled.
    """

    def __init__(self, context: Any, loop: AbstractEventLoop, given: Mapping[str, Any]) -> None:
        self._line, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(WORKER, theirs, given), daemon=True)
        self._process.start()
        theirs.close()
        self._loop = loop
        self._heard: Queue[dict[str, Any] | None] = Queue()
        self._ready = False
        Thread(target=self._listen, daemon=True).start()

    @property
    def pid(self) -> int:
        """The process's number."""
        number: int = self._process.pid
        return number

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return bool(self._process.is_alive())

    def tell(self, message: Mapping[str, Any]) -> None:
        """Send a message; a process that has ended does not hear it."""
        with contextlib.suppress(OSError):
            self._line.send_bytes(json.dumps(message).encode())

    async def hear(self) -> dict[str, Any]:
        """The next message; raises WorkerError for an error, and if the process has ended."""
        await self._readied()
        message = await self._next()
        if "error" in message:
            raise WorkerError(**message["error"])
        return message

    async def ask(self, message: Mapping[str, Any], within: float | None = None) -> dict[str, Any]:
        """The reply to a job; raises WorkerError, also where it takes too long."""
        await self._readied()
        self.tell(message)
        within = DEADLINE if within is None else within
        try:
            reply: dict[str, Any] = (await asyncio.wait_for(self.hear(), within))["reply"]
        except TimeoutError:
            await self.end()
            raise WorkerError(
                "TooSlow", f"it took more than {within:.0f} s and was given up"
            ) from None
        return reply

    async def end(self) -> None:
        """End the process at once, and wait until it is gone."""
        self._process.kill()
        await _apart(lambda _: self._process.join())

    async def _readied(self) -> None:
        if not self._ready:
            await asyncio.wait_for(self._next(), STARTING)
            self._ready = True

    async def _next(self) -> dict[str, Any]:
        message = await self._heard.get()
        if message is None:
            self._heard.put_nowait(None)  # for whoever asks again
            raise WorkerError("Ended", "the worker process has ended")
        return message

    def _listen(self) -> None:
        """Pass on what comes, from a thread of its own."""
        with contextlib.suppress(RuntimeError):  # the server's loop has closed
            try:
                while True:
                    message = json.loads(self._line.recv_bytes())
                    self._loop.call_soon_threadsafe(self._heard.put_nowait, message)
            except (EOFError, OSError):
                self._loop.call_soon_threadsafe(self._heard.put_nowait, None)


async def _apart(call: Callable[[AbstractEventLoop], T]) -> T:
    """What a call that blocks returns; should the server end meanwhile, it waits for nothing."""
    loop = asyncio.get_running_loop()
    found: Future[T] = Future()
    found.set_running_or_notify_cancel()

    def run() -> None:
        try:
            found.set_result(call(loop))
        except BaseException as problem:  # whatever it is, it is for whoever waits
            found.set_exception(problem)

    Thread(target=run, daemon=True).start()
    return await asyncio.wrap_future(found)


class Children:
    """Some workers for the views, each one job at a time, and as many as train.

    ``given`` are the arguments of ``Brought``: what the command line said, and no page may say.
    """

    def __init__(self, size: int, given: Mapping[str, Any] | None = None) -> None:
        self._given = given or {}
        forks = "forkserver" in multiprocessing.get_all_start_methods()
        self._context: Any = multiprocessing.get_context("forkserver" if forks else "spawn")
        if forks:  # the libraries load once, and a worker is there at once
            self._context.set_forkserver_preload(list(LOADED))
        self._size = size
        self._free: Queue[Child | None] = Queue()
        self._held: set[Child] = set()
        self._hiring = asyncio.Lock()
        for _ in range(size):
            self._free.put_nowait(None)  # started when first needed

    async def ask(
        self,
        message: Mapping[str, Any],
        gone: Callable[[], Awaitable[bool]] | None = None,
        within: float | None = None,
    ) -> dict[str, Any]:
        """The reply of a worker that is free, or is the next to be.

        Nothing is done for somebody who has ``gone`` in the meantime.
        """
        child = await self._free.get()
        try:
            if gone is not None and await gone():
                raise WorkerError("Gone", "nobody waits for this any more")
            if child is None or not child.alive:
                child = await self.hire()
            return await child.ask(message, within)
        except asyncio.CancelledError:
            if child is not None:  # its answer would be taken for the next one's
                await self.dismiss(child)
            raise
        finally:
            self._free.put_nowait(child if child is not None and child.alive else None)

    async def hire(self) -> Child:
        """A new worker, for whoever dismisses it."""
        async with self._hiring:
            child = await _apart(lambda loop: Child(self._context, loop, self._given))
        self._held = {each for each in self._held if each.alive} | {child}
        return child

    async def dismiss(self, child: Child) -> None:
        """End a worker."""
        self._held.discard(child)
        await child.end()

    def load(self) -> None:
        """Begin to load the libraries; from the main thread, since Ctrl-C is not for who loads."""
        if self._context.get_start_method() == "forkserver":
            resource_tracker.ensure_running()  # first: it unblocks signals when it has started
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            forkserver.ensure_running()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    async def warm(self) -> None:
        """Start the workers for the views before they are needed."""
        for _ in range(self._size):
            child = await self._free.get()
            self._free.put_nowait(child or await self.hire())

    async def close(self) -> None:
        """End every process."""
        await asyncio.gather(*(child.end() for child in self._held))
        self._held.clear()
