"""Where a command writes: looked at before the work, never lost after it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from pullback.errors import ConfigError, StorageError
from pullback.files import writable


def output(path: Path | None, *inputs: str | Path | None) -> None:
    """Raise StorageError where no file can be written, ConfigError for one that is also read."""
    if path is None:
        return
    writable(path)
    for each in inputs:
        if each and _same(path, Path(each)):
            raise ConfigError(f"{path} is read by this command; write to another file")


def store(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` write the file; where that fails, to a new temporary folder.

    Raises StorageError, which says where the file is now.
    """
    try:
        write(path)
    except StorageError as fault:
        spare = Path(tempfile.mkdtemp(prefix="pullback-")) / path.name
        write(spare)
        raise StorageError(f"{fault}; it is in {spare} instead") from fault


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except (OSError, ValueError):  # at least one is no file
        return False
