"""Text that fits the terminal: tables closer together, and lines broken between words only."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterator
from itertools import groupby

GAP = 2  # blanks between the columns of a table
INDENT = 4  # more blanks where a line goes on


def show(text: str) -> None:
    """Print a text, no wider than the terminal or than COLUMNS says; into a file as it is."""
    fits = sys.stdout.isatty() or "COLUMNS" in os.environ
    print(fitted(text, shutil.get_terminal_size().columns) if fits else text, flush=True)


def fitted(text: str, width: int) -> str:
    """The text in lines of at most so many characters, unless a single word is longer.

    >>> print(fitted("step      µs   share\\nforward   12    50 %", 16))
    step     µs  share
    forward  12  50 %
    """
    lines: list[str] = []
    for filled, group in groupby(text.splitlines(), key=lambda line: bool(line.strip())):
        block = list(group)
        lines += _narrowed(block, width) if filled and len(block) > 1 else block
    return "\n".join(part for line in lines for part in _broken(line, width))


def _narrowed(block: list[str], width: int) -> list[str]:
    """Lines of a table without the blanks between its columns that are more than the gap."""
    longest = max(map(len, block))
    if longest <= width:
        return block
    padded = [line.ljust(longest) for line in block]
    blank = [all(line[at] == " " for line in padded) for at in range(longest)]
    kept, run = [], 0
    for at, empty in enumerate(blank):
        run = run + 1 if empty else 0
        if run <= GAP:
            kept.append(at)
    return ["".join(line[at] for at in kept).rstrip() for line in padded]


def _broken(line: str, width: int) -> Iterator[str]:
    if len(line) <= width:
        yield line
        return
    indent = " " * (len(line) - len(line.lstrip()) + INDENT)
    yield from textwrap.wrap(
        line,
        width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )
