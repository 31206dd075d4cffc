"""How much memory there is, asked before a size from outside is believed."""

from __future__ import annotations

import os
from pathlib import Path

from pullback.errors import DataError, PullbackError

_LINUX = Path("/proc/meminfo")
_CGROUPS = (  # the limit of a container, and what it holds already
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)


def available_memory() -> int:
    """The bytes that can still be allocated: of the machine, or of the container if it has less."""
    limits = [_machine(), *(_container(*files) for files in _CGROUPS)]
    return min(limit for limit in limits if limit is not None)


def room_for(wanted: int, what: str, fix: str, error: type[PullbackError] = DataError) -> None:
    """Raise an error of ours unless so many bytes fit into memory.

    ``what`` is what would need them, and ``fix`` what to do.

    >>> room_for(2**60, "X", "take fewer samples")
    Traceback (most recent call last):
    pullback.errors.DataError: X needs 1,073,741,824 GiB of memory; there are ... GiB: take ...
    """
    free = available_memory()
    if wanted > free:
        raise error(f"{what} needs {_gib(wanted)} GiB of memory; there are {_gib(free)} GiB: {fix}")


def _machine() -> int:
    try:
        rows = (line.split() for line in _LINUX.read_text().splitlines())
        return next(int(row[1]) * 1024 for row in rows if row[0] == "MemAvailable:")
    except (OSError, ValueError, IndexError, StopIteration):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not a POSIX system
        return 2**63


def _container(limit: Path, used: Path) -> int | None:
    try:
        return int(limit.read_text()) - int(used.read_text())
    except (OSError, ValueError):  # no container, or "max"
        return None


def _gib(count: int) -> str:
    gib = count / 2**30
    return f"{gib:,.0f}" if gib >= 10 else f"{gib:.2g}"
