"""One connection to the page's server, for a browser that sends its requests at once."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_WITHIN = 3.0  # seconds for the head of a request
MOST = 100  # connections; a browser holds about six


class Connection(H11Protocol):
    """uvicorn's connection, which nobody holds open without a request.

    One whose request has not arrived in time is closed. Of too many, the one that has waited
    longest makes room: whoever opens hundreds loses them, and a page is answered all the same.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._since = self.loop.time()
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Take part, and make room for it."""
        super().connection_made(transport)
        self._expect()
        here = [each for each in self.connections if not each.transport.is_closing()]
        if len(here) > MOST:
            idle = [each for each in here if isinstance(each, Connection) and each.waiting]
            min(idle, key=lambda each: each._since).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline too."""
        self._relax()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; a head in pieces keeps the deadline of its first one."""
        super().data_received(data)
        if self.waiting:
            self._expect()
        else:
            self._relax()

    def _expect(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_WITHIN, self._give_up)

    def _relax(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if self.waiting:
            self.transport.close()
