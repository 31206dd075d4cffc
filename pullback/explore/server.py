"""``serve``: the page's server on this machine, from its start to Ctrl-C."""

from __future__ import annotations

import errno
import os
import secrets
import socket
import threading
import webbrowser
from collections.abc import Mapping
from types import FrameType
from typing import Any

import uvicorn

from pullback.errors import ConfigError
from pullback.explore.app import App
from pullback.explore.connection import Connection

ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
HOST, FIRST_PORT, TRIED = "127.0.0.1", 8150, 100


class Server(uvicorn.Server):
    """uvicorn, whose streams end when it is asked to end."""

    def __init__(self, app: App, port: int) -> None:
        super().__init__(
            uvicorn.Config(
                app.asgi,
                http=Connection,
                host=HOST,
                port=port,
                log_level="critical",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=2,
                ws="none",
            )
        )
        self._app = app

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note a signal, and let go of everybody who listens."""
        self._app.hub.hush()
        super().handle_exit(sig, frame)


def serve(
    port: int | None = None, open_browser: bool = True, given: Mapping[str, Any] | None = None
) -> None:
    """Serve the page until Ctrl-C; without a port, on the first free one from 8150.

    ``given`` are the arguments of ``Brought``; with them the study page comes first.
    Raises ConfigError for a port that is in use or is none, with one that is free.
    """
    held = bound(port)
    with held:
        number = held.getsockname()[1]
        os.environ.update(ONE_THREAD)  # of the workers, which share the cores
        app = App(secrets.token_urlsafe(16), number, given)
        address = f"http://{HOST}:{number}/{app.token}/{'study' if given else ''}"
        try:
            print(f"pullback explore is at {address}\nCtrl-C ends it.", flush=True)
            app.pool.load()
            if open_browser:
                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
            Server(app, number).run(sockets=[held])
        except KeyboardInterrupt:
            print("\npullback explore has ended.", flush=True)


def bound(port: int | None) -> socket.socket:
    """A socket on a port of this machine alone; raises ConfigError where that is in use."""
    if port is not None:
        if not 1 <= port <= 65535:
            raise ConfigError(f"port is {port}; expected 1 to 65535")
        held = _try(port)
        if held is not None:
            return held
        free = _first_free(range(port + 1, min(port + TRIED, 65536)))
        with free:
            other = free.getsockname()[1]
        raise ConfigError(
            f"port {port} is in use; {other} is free: pullback explore --port {other}"
        )
    return _first_free(range(FIRST_PORT, FIRST_PORT + TRIED))


def _first_free(ports: range) -> socket.socket:
    found = next((held for held in map(_try, ports) if held is not None), None)
    return found if found is not None else _any()


def _any() -> socket.socket:
    held = _try(0)
    if held is None:
        raise ConfigError("no port of this machine is free")
    return held


def _try(port: int) -> socket.socket | None:
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind((HOST, port))
        held.listen(128)
    except OSError as problem:
        held.close()
        if problem.errno == errno.EACCES:
            raise ConfigError(f"port {port} is not for this user; take one from 1024") from None
        return None
    return held
