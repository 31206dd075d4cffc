"""Files written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from pullback.errors import DataError

PART = ".part"  # what a killed process leaves behind is known by this ending


def write_atomically(
    path: str | Path, write: Callable[[Path], object], mode: int | None = None
) -> Path:
    """Let ``write`` fill a temporary file, then move it to ``path``: never half a file.

    ``mode`` says who may read and write it; None is as for any new file.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise DataError(f"cannot write {path}: there is no folder {path.parent}")
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=PART)
    try:
        os.close(handle)
        os.chmod(temporary, 0o666 & ~_umask() if mode is None else mode)
        write(Path(temporary))
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _settle(path.parent)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def _settle(folder: Path) -> None:
    """Make the disk remember the names in a folder, where the system can be asked to."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
