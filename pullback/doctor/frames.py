"""The code that stands outside: the caller's frames, the nearest first."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

_OURS = ("pullback", "torch")


def outside() -> Iterator[FrameType]:
    """The frames that are neither pullback's nor torch's."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if not any(name == own or name.startswith(f"{own}.") for own in _OURS):
            yield frame
        frame = frame.f_back


def line_of(frame: FrameType | None) -> str:
    """``file.py:12``, or nothing."""
    return "" if frame is None else f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
