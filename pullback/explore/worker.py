"""A process that works for the page: JSON comes and goes over one line, and nothing else.

It reads ``{"view": …, "setup": …}`` and answers ``{"reply": …}`` or ``{"error": …}``; of
``{"train": setup}`` it sends events until the end, and meanwhile reads
``{"do": "pause" | "resume" | "stop"}``. When nobody holds the other end any more the process ends
at once, whatever it is doing, so that none is left behind.
"""

from __future__ import annotations

import json
import os
import signal
import warnings
from collections.abc import Mapping
from functools import lru_cache
from multiprocessing.connection import Connection
from queue import Queue
from threading import Thread
from typing import Any

from pullback.errors import ConfigError, PullbackError, unknown
from pullback.explore.brought import Brought
from pullback.explore.formula import formula
from pullback.explore.page import page
from pullback.explore.programs import program
from pullback.explore.setup import Setup, work_of
from pullback.explore.training import Controls, train
from pullback.explore.views import VIEWS


class MessageLine:
    """The end of the line that leads to the page."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.jobs: Queue[dict[str, Any]] = Queue()
        self.controls = Controls()
        Thread(target=self._read, daemon=True).start()

    def send(self, message: Mapping[str, Any]) -> None:
        """One message."""
        self._connection.send_bytes(json.dumps(message, allow_nan=False).encode())

    def _read(self) -> None:
        while True:
            try:
                message = json.loads(self._connection.recv_bytes())
            except (EOFError, OSError):
                os._exit(0)  # whoever asked is gone
            if "do" in message:
                self.controls.ask(message["do"])
            else:
                self.jobs.put(message)


def main(connection: Connection, given: Mapping[str, Any]) -> None:
    """Work until the line ends, on what the command line has ``given``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends this
    warnings.simplefilter("ignore")  # an overflow shows on the page, not in the terminal
    line, brought = MessageLine(connection), Brought(**given)
    line.send({"ready": os.getpid()})
    while True:
        message = line.jobs.get()
        try:
            line.send({"reply": work(message, line, brought)})
        except PullbackError as fault:
            line.send({"error": {"kind": type(fault).__name__, "message": str(fault)}})
        except Exception as fault:  # a fault of ours: the page says so, and the process stays up
            told = f"{type(fault).__name__}: {fault}"
            line.send({"error": {"kind": "Fault", "message": f"a fault of pullback, {told}"}})


def work(message: Mapping[str, Any], line: MessageLine, given: Brought) -> dict[str, Any]:
    """Do one job; raises the errors of its setup, UnknownNameError for an unknown view."""
    if "train" in message:
        train(work_of(Setup.of(message["train"]), given), line.controls, line.send)
        return {}
    view = message.get("view")
    if view == "page":
        return {"html": page(given)}
    if not isinstance(view, str):
        raise ConfigError(f"view is {view!r}; expected a name")
    if view == "program":
        return {"source": _program(message.get("setup"))}
    if view == "formula":
        return formula(message.get("formula"))
    if view not in VIEWS:
        raise unknown("view", view, VIEWS)
    setup = Setup.of(message.get("setup"))
    rest = {name: message[name] for name in ("convention", "sample", "params") if message.get(name)}
    if "params" in rest:
        return VIEWS[view](work_of(setup, given), rest)
    return _seen(view, setup, given, json.dumps(rest))


def _program(wanted: Any) -> str:
    if not isinstance(wanted, Mapping) or set(wanted) != {"hidden", "activation", "ending"}:
        raise ConfigError("setup is no object with hidden, activation and ending")
    return program(**wanted)


@lru_cache(maxsize=64)
def _seen(view: str, setup: Setup, given: Brought, rest: str) -> dict[str, Any]:
    """A view; many pages look at the same, and one goes back to what it has seen."""
    return VIEWS[view](work_of(setup, given), json.loads(rest))
