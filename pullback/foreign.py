"""One guard around every reader of bytes that somebody else wrote."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pullback.errors import DataError, PullbackError


@contextmanager
def reading(path: str | Path, kind: str) -> Iterator[None]:
    """Whatever a parser of a file trips over becomes a DataError that names the file.

    ``kind`` says what the file should be, with its article. Errors of ours pass as they are.

    >>> with reading("net.onnx", "an ONNX model"):
    ...     raise KeyError(17)
    Traceback (most recent call last):
    pullback.errors.DataError: net.onnx is damaged, or not an ONNX model: KeyError: 17
    """
    try:
        yield
    except PullbackError:
        raise
    except Exception as fault:
        reason = str(fault).partition("\n")[0]
        raise DataError(
            f"{path} is damaged, or not {kind}: {type(fault).__name__}: {reason}"
        ) from fault


def regular_file(path: str | Path) -> Path:
    """The path, if it names a file that can be read to its end.

    Raises DataError for what is missing, a folder, a device, a pipe or a socket.
    """
    path = Path(path)
    try:
        if path.is_file():
            return path
        found = "is not a regular file" if path.exists() else "does not exist"
    except (OSError, ValueError) as fault:  # a name that is too long, or holds a zero byte
        found = f"cannot be opened: {fault}"
    raise DataError(f"{str(path)!r} {found}; expected a file")
