"""The command line: thin commands over the library."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

__all__ = ["main"]


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run a command line and leave with its exit code: 2 for bad input, in one line on stderr.

    Ctrl-C ends it with one line and code 130, while the commands are being loaded, too.
    """
    try:
        from pullback.interrupt import InterruptAtOnce

        with InterruptAtOnce():
            from pullback.cli.app import run

            run(args)
    except KeyboardInterrupt:
        print("\npullback: interrupted", file=sys.stderr)
        sys.exit(130)
