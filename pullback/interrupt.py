"""Ctrl-C as a question that is answered between two steps, so that no update is left half done."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Interrupt:
    """Notes a Ctrl-C while it is entered; a second one raises KeyboardInterrupt at once.

    One that another around it has noted counts. Signals reach the main thread only; elsewhere
    nothing is changed.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> Interrupt:
        here = threading.current_thread() is threading.main_thread()
        # a handler of SIG_IGN or of another language's stays as it is
        if here and callable(signal.getsignal(signal.SIGINT)):
            self._before = signal.signal(signal.SIGINT, self._note)
            around = getattr(self._before, "__self__", None)
            self.asked = isinstance(around, Interrupt) and around.asked
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)


class InterruptAtOnce(Interrupt):
    """Raises KeyboardInterrupt at each Ctrl-C, and remembers it: what loads may swallow it."""

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        raise KeyboardInterrupt
