"""``export``: the playground as one file, with every program that it may need."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

from pullback.explore.play import NAMES, playground
from pullback.explore.programs import ENDINGS, program
from pullback.files import writable, write_atomically

MOST_HIDDEN = 12  # layers: the programs of more would make the file large


def export(path: str | Path, tell: Callable[[int, int], None] = lambda done, of: None) -> Path:
    """Write the playground as one file that works offline, every program in it.

    ``tell(done, of)`` is called as programs are derived. Raises StorageError where the file cannot
    be written, before any work.
    """
    path = writable(path)
    every = list(product(range(MOST_HIDDEN + 1), NAMES, ENDINGS))
    programs = {}
    for done, (hidden, activation, ending) in enumerate(every):
        tell(done, len(every))
        programs[f"{hidden}-{activation}-{ending}"] = program(hidden, activation, ending)
    return write_atomically(path, playground(programs, MOST_HIDDEN).encode())
