"""Several processes, on one machine or many, joined by jax's distributed runtime."""

from __future__ import annotations

import atexit
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np

from pullback.errors import ConfigError, ProcessError, PullbackError, positive, shown, whole
from pullback.interop.extras import library
from pullback.train.checkpoint import packed, unpacked
from pullback.train.member import Member, Saved

_HEARTBEAT = 40  # seconds without a sign of life after which a process counts as gone
_NOTHING, _CONTENT, _FAULT = b"\0", b"\1", b"\2"  # what follows in a message of the first process


def join_processes(
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    *,
    timeout: float = 60.0,
) -> tuple[int, int]:
    """Make this process one of several that train together: its number and how many there are.

    ``coordinator`` is "HOST:PORT" of process 0. What is None is found by jax: under SLURM, Open MPI
    and Kubernetes all three; where it finds nothing this process is alone. Call it before anything
    else of jax; ``fit(…, engine="jax")`` then trains on the devices of all of them. Raises
    ConfigError for what makes no sense, a port that is in use, a coordinator that does not answer
    within ``timeout`` seconds, and where jax has begun already.

    >>> join_processes(processes=1)
    (0, 1)
    """
    _check(coordinator, processes, process)
    if processes == 1:
        return 0, 1
    jax = library("jax", "jax")
    if jax.distributed.is_initialized():
        raise ConfigError("the processes have been joined already; call join_processes once")
    if coordinator is not None and process is not None:
        host, port = _address(coordinator)
        if process == 0:
            _check_free(host, port)
        else:
            _wait_for(host, port, positive("timeout", timeout))
    given = None not in (coordinator, processes, process)
    try:
        jax.distributed.initialize(
            coordinator, processes, process,
            cluster_detection_method="deactivate" if given else None,
            initialization_timeout=max(1, int(timeout)),
            heartbeat_timeout_seconds=_HEARTBEAT,
        )  # fmt: skip
    except (RuntimeError, ValueError, TypeError) as fault:
        if (coordinator, processes, process) == (None,) * 3 and "should be defined" in str(fault):
            return 0, 1
        raise ConfigError(
            f"this process cannot join the others: {fault}; give coordinator, processes and "
            "process, before anything else of jax, or processes=1 to train alone"
        ) from fault
    atexit.register(_leave_if_failed)
    return jax.process_index(), jax.process_count()


def _check(coordinator: str | None, processes: int | None, process: int | None) -> None:
    if coordinator is not None:
        _address(coordinator)
    if processes is not None:
        whole("processes", processes)
    if process is not None and whole("process", process, least=0) >= (processes or process + 1):
        raise ConfigError(f"process is {process} of {processes}; expected one from 0")


def _address(coordinator: str) -> tuple[str, int]:
    host, _, port = str(coordinator).rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ConfigError(f"coordinator is {shown(coordinator)}; expected HOST:PORT of process 0")
    return host.strip("[]"), int(port)


def _check_free(host: str, port: int) -> None:
    """Raise ConfigError where process 0 could not listen."""
    family = socket.AF_INET6 if socket.has_ipv6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            place.bind(("", port))
        except OSError as fault:
            raise ConfigError(
                f"process 0 cannot listen at {host}:{port}: {fault.strerror}; take another port "
                "in --coordinator, the same for all processes"
            ) from None


def _wait_for(host: str, port: int, timeout: float) -> None:
    """Return when somebody listens there; jax itself would end this process if nobody does."""
    until = time.monotonic() + timeout
    while True:
        try:
            socket.create_connection((host, port), timeout=max(0.1, timeout)).close()
            return
        except OSError as fault:
            if time.monotonic() > until:
                raise ConfigError(
                    f"the coordinator at {host}:{port} has not answered for {timeout:g} s: "
                    f"{fault.strerror or fault}; is process 0 running, and may this machine reach "
                    "that port?"
                ) from None
        time.sleep(0.1)


class Hosts(Member):
    """One of several processes, over jax's runtime: each call is made by all of them alike."""

    def largest(self, *numbers: int) -> list[int]:
        with meeting(self):
            found = _utilities().process_allgather(np.array(numbers, np.int32))
        return [int(each) for each in found.max(axis=0)]

    def gathered(self, text: str) -> list[str]:
        content = np.frombuffer(text.encode(), np.uint8)
        (longest,) = self.largest(len(content))
        row = np.zeros(4 + longest, np.uint8)
        row[:4] = np.frombuffer(len(content).to_bytes(4, "little"), np.uint8)
        row[4 : 4 + len(content)] = content
        with meeting(self):
            rows = _utilities().process_allgather(row)
        said = [(bytes(row[4:]), int.from_bytes(bytes(row[:4]), "little")) for row in rows]
        return [content[:length].decode() for content, length in said]

    def from_first(self, read: Callable[[], Saved | None]) -> Saved | None:
        content, fault = b"", None
        if self.process == 0:
            try:
                found = read()
                content = _NOTHING if found is None else _CONTENT + packed(*found)
            except PullbackError as refusal:
                content, fault = _FAULT + str(refusal).encode(), refusal
        content = self._broadcast(content)
        if fault is not None:
            raise fault
        if content[:1] == _FAULT:
            raise ConfigError(f"process 0 cannot resume: {content[1:].decode()}")
        return unpacked("the checkpoint of process 0", content[1:]) if content[1:] else None

    def _broadcast(self, content: bytes) -> bytes:
        (length,) = self.largest(len(content))
        row = np.zeros(length, np.uint8)
        row[: len(content)] = np.frombuffer(content, np.uint8)
        with meeting(self):
            return bytes(_utilities().broadcast_one_to_all(row))


def _utilities() -> Any:
    return library("jax.experimental.multihost_utils", "jax")


@contextmanager
def meeting(member: Member) -> Iterator[None]:
    """Where processes meet: raises ProcessError for what jax says when one of them is gone."""
    try:
        yield
    except (RuntimeError, ValueError) as fault:
        if member.processes == 1 or isinstance(fault, PullbackError):
            raise
        atexit.register(_leave)  # jax would wait for the lost one, and then abort
        raise ProcessError(
            f"process {member.process} of {member.processes} cannot go on, for another one is gone "
            f"({str(fault).partition(chr(10))[0][:200]}); see what that one said. The last "
            "checkpoint is whole: start all processes again with resume"
        ) from fault


def _leave_if_failed() -> None:
    """Leave at once after an error that nobody caught, so that the others learn of it.

    jax would first wait for them.
    """
    if hasattr(sys, "last_value"):
        _leave()


def _leave() -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(1)
