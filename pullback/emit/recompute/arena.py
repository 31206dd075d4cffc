"""Where blocks lie in one piece of memory, so that those that are in use at a time lie apart.

Static allocation of blocks with known lives is NP-hard; placing the largest first, or those that
live longest, each as low as it fits, is within a few per cent of the bytes in use (Pisarchyk and
Lee, "Efficient memory management for deep neural net inference", 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LINE = 64  # bytes of a line of the cache: blocks begin where one does


@dataclass(frozen=True)
class Stay:
    """So many bytes, from one run to another, both included."""

    size: int
    begin: int
    end: int


def padded(size: int) -> int:
    """The bytes of whole lines."""
    return -(-size // LINE) * LINE


def placed(blocks: Sequence[Stay]) -> tuple[list[int], int]:
    """Where each block begins, in bytes, and how many bytes all of them take together.

    >>> placed([Stay(64, 0, 1), Stay(128, 1, 2), Stay(64, 2, 3)])
    ([128, 0, 128], 192)
    """
    size, begin, end = (
        np.array([getattr(each, name) for each in blocks], np.int64)
        for name in ("size", "begin", "end")
    )
    size = -(-size // LINE) * LINE
    keys = ((begin, -size), (begin - end, -size), (begin - end, -size * (end - begin + 1)))
    found = [_in_turn(size, begin, end, np.lexsort(key)) for key in keys]
    places, total = min(found, key=lambda each: each[1])
    return places.tolist(), total


def _in_turn(size: Any, begin: Any, end: Any, order: Any) -> tuple[Any, int]:
    """Blocks one after the other, each as low as it fits."""
    places = np.zeros(len(size), np.int64)
    there = np.empty(0, np.int64)  # those that are placed, by where they end
    total = 0
    for at in order:
        if size[at] == 0:
            continue
        near = there[(begin[there] <= end[at]) & (end[there] >= begin[at])]
        near = near[np.argsort(places[near], kind="stable")]
        starts, stops = places[near], np.maximum.accumulate(places[near] + size[near])
        floors = np.concatenate(([0], stops))
        fits = np.flatnonzero(starts - floors[:-1] >= size[at])
        places[at] = floors[fits[0]] if len(fits) else floors[-1]
        total = max(total, int(places[at] + size[at]))
        there = np.append(there, at)
    return places, total
