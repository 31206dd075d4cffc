"""Who listens and what is trained for whom: one stream a browser, one training a page."""

from __future__ import annotations

import asyncio
import contextlib
import json
from asyncio import Queue, Task
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pullback.errors import ConfigError
from pullback.explore.child import Child, Children, WorkerError

GRACE = 3.0  # seconds without a stream after which a browser counts as gone
QUIET = 10.0  # seconds between two signs of life on a stream
MOST_TRAININGS = 24
MOST_WAITING = 2000  # events that a slow browser may be behind
STOPPING = 3.0  # seconds that a training may take to stop by itself


@dataclass(eq=False)
class LiveTraining:
    """The training of one page, with all that was told of it."""

    page: str
    browser: str
    child: Child
    told: list[dict[str, Any]] = field(default_factory=list)
    task: Task[None] | None = None
    ended: bool = False

    def note(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Keep an event; of pictures and parameters only the last ones."""
        for before in self.told[-1:]:
            for name in ("map", "said", "params"):
                before.pop(name, None)
        kept = dict(event)
        self.told.append(kept)
        return kept


class Hub:
    """Streams and trainings by the names that browsers and pages give themselves."""

    def __init__(self, pool: Children) -> None:
        self._pool = pool
        self._streams: dict[str, Queue[str | None]] = {}
        self._trainings: dict[str, LiveTraining] = {}
        self._leaving: dict[str, Task[None]] = {}

    @property
    def running(self) -> int:
        """How many trainings run."""
        return sum(not each.ended for each in self._trainings.values())

    async def listen(self, browser: str) -> AsyncIterator[str]:
        """The events of a browser's pages, as server-sent events, until it goes."""
        queue: Queue[str | None] = Queue(MOST_WAITING)
        self._end_stream(browser)  # a browser that comes back has a new stream
        self._streams[browser] = queue
        if leaving := self._leaving.pop(browser, None):
            leaving.cancel()
        try:
            yield "retry: 500\n\n"
            for training in list(self._trainings.values()):
                if training.browser == browser:
                    yield _line({"page": training.page, "event": "again", "told": training.told})
            while True:
                try:
                    text = await asyncio.wait_for(queue.get(), QUIET)
                except TimeoutError:
                    text = ": still here\n\n"
                if text is None:
                    return
                yield text
        finally:
            if self._streams.get(browser) is queue:
                del self._streams[browser]
                self._leaving[browser] = asyncio.create_task(self._miss(browser))

    async def train(self, page: str, browser: str, setup: Any) -> int:
        """Begin a page's training, in place of one that it has; the worker's process number.

        Raises ConfigError for a browser that does not listen, or where too many train already.
        """
        if browser not in self._streams:
            raise ConfigError("this page does not listen; load it again")
        await self.leave(page)
        if self.running >= MOST_TRAININGS:
            raise ConfigError(f"{self.running} trainings run already; stop one of them first")
        training = LiveTraining(page, browser, await self._pool.hire())
        self._trainings[page] = training
        training.child.tell({"train": setup})
        training.task = asyncio.create_task(self._follow(training))
        return training.child.pid

    async def control(self, page: str, what: str) -> None:
        """Pause, resume or stop a page's training; raises ConfigError where there is none."""
        training = self._trainings.get(page)
        if training is None or training.ended:
            raise ConfigError("nothing is training on this page")
        training.child.tell({"do": what})
        if what == "stop" and training.task is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(training.task), STOPPING)
            if not training.ended:  # in the midst of a long epoch
                await self._end(training, {"event": "end", "why": "stopped", "rows": []})

    async def leave(self, page: str) -> None:
        """A page has gone: its training ends, and nothing of it is kept."""
        training = self._trainings.pop(page, None)
        if training is not None:
            training.ended = True
            if training.task is not None:
                training.task.cancel()
            await self._pool.dismiss(training.child)

    def hush(self) -> None:
        """End every stream, so that the server can end."""
        for browser in list(self._streams):
            self._end_stream(browser)

    async def close(self) -> None:
        """End every training."""
        self.hush()
        for task in self._leaving.values():
            task.cancel()
        for page in list(self._trainings):
            await self.leave(page)

    async def _follow(self, training: LiveTraining) -> None:
        """Pass on what a training tells, until it ends."""
        try:
            while True:
                message = await training.child.hear()
                if "event" not in message:
                    break
                self._tell(training, message)
            await self._end(training)
        except WorkerError as fault:
            told = {"event": "error", "error": {"kind": fault.kind, "message": str(fault)}}
            await self._end(training, told)

    async def _end(self, training: LiveTraining, event: Mapping[str, Any] | None = None) -> None:
        if training.ended:
            return
        training.ended = True
        if event is not None:
            self._tell(training, event)
        await self._pool.dismiss(training.child)

    def _tell(self, training: LiveTraining, event: Mapping[str, Any]) -> None:
        """To the browser's stream, and kept for one that comes back."""
        text = _line({"page": training.page} | training.note(event))
        queue = self._streams.get(training.browser)
        if queue is None:
            return
        if queue.full():  # it does not read; when it comes back it is told everything
            self._end_stream(training.browser)
        else:
            queue.put_nowait(text)

    def _end_stream(self, browser: str) -> None:
        queue = self._streams.get(browser)
        if queue is not None:
            while queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    async def _miss(self, browser: str) -> None:
        """Wait for a browser to come back; if it does not, its trainings end."""
        await asyncio.sleep(GRACE)
        self._leaving.pop(browser, None)
        for training in list(self._trainings.values()):
            if training.browser == browser:
                await self.leave(training.page)


def _line(event: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(event, ensure_ascii=False)}\n\n"
