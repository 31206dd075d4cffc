"""One guard around every reader of bytes that somebody else wrote."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

from pullback.errors import DataError, PullbackError

_LONGEST = 300  # characters of a parser's message; it may quote the file


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
        reason = str(fault).partition("\n")[0][:_LONGEST]
        raise DataError(
            f"{path} is damaged, or not {kind}: {type(fault).__name__}: {reason}"
        ) from fault


def regular_file(path: str | Path) -> Path:
    """The path, if it names a file that can be read to its end.

    Raises DataError for what is missing, with the name beside it that is nearest, and for a folder,
    a device, a pipe or a socket.
    """
    path = Path(path)
    try:
        if path.is_file():
            if not os.access(path, os.R_OK):
                raise DataError(f"{str(path)!r} may not be read by this user")
            return path
        if path.exists():
            raise DataError(f"{str(path)!r} is not a regular file; expected a file")
        beside = [each.name for each in path.parent.glob(f"*{path.suffix}")]
        close = get_close_matches(path.name, beside, n=1)
    except PullbackError:
        raise
    except (OSError, ValueError, NotImplementedError) as fault:
        # the name is too long, or holds what no name can hold
        raise DataError(
            f"{str(path)[:_LONGEST]!r} cannot be opened: {type(fault).__name__}"
        ) from None
    hint = f": did you mean {close[0]!r}?" if close else ""
    raise DataError(f"there is no file {str(path)!r}{hint}")
