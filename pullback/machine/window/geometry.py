"""Which place of its input each position of a window sees with each tap, as runs of equal steps.

A window sees, from position p with tap t, the place stride · p + dilation · t + offset. Given one
of the three, the other two go on in equal steps; so loops need where they start and how often they
go round, and nothing of padding, strides or dilations is left for them to ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Any, Literal, NamedTuple

import numpy as np

Side = Literal["places", "positions", "taps"]
Kind = Literal["convolution", "weights", "max_pool", "sum_pool", "max_pool_back", "sum_pool_back"]


class Spacing(NamedTuple):
    """A window along one axis; ``offset`` is minus the padding. Stride and dilation are not 0."""

    stride: int = 1
    dilation: int = 1
    offset: int = 0

    def runs(self, of: Side, places: int, positions: int, taps: int) -> Runs:
        """For each index on one side: what it meets on the two others.

        >>> Spacing(stride=2, offset=-1).runs("positions", places=5, positions=3, taps=3)
        Runs(starts=((0, 1, 2), (1, 0, 3), (3, 0, 2)), steps=(1, 1))
        >>> Spacing(stride=2, offset=-1).runs("places", places=5, positions=3, taps=3).starts
        ((0, 1, 1), (1, 0, 2), (1, 1, 1), (2, 0, 2), (2, 1, 1))
        """
        position, tap = (each.ravel() for each in np.indices((positions, taps)))
        place = self.stride * position + self.dilation * tap + self.offset
        there = (place >= 0) & (place < places)
        met = {"places": place[there], "positions": position[there], "taps": tap[there]}
        step = gcd(self.stride, self.dilation)
        along: dict[Side, tuple[Side, Side, int, int]] = {
            "positions": ("places", "taps", self.dilation, 1),
            "places": ("positions", "taps", -self.dilation // step, self.stride // step),
            "taps": ("places", "positions", self.stride, 1),
        }
        one, other, *steps = along[of]
        count = {"places": places, "positions": positions, "taps": taps}[of]
        order = np.lexsort((met[other] * np.sign(steps[1]), met[of]))
        index, first, second = (met[side][order] for side in (of, one, other))
        times = np.bincount(index, minlength=count)
        begin = np.cumsum(times) - times
        starts = np.zeros((count, 3), np.int64)
        some = times > 0
        starts[some] = np.stack([first[begin[some]], second[begin[some]], times[some]], 1)
        return Runs(tuple((a, b, n) for a, b, n in starts.tolist()), (steps[0], steps[1]))


@dataclass(frozen=True)
class Runs:
    """For each index: where it begins on two other sides, and how often both make their steps."""

    starts: tuple[tuple[int, int, int], ...]
    steps: tuple[int, int]


class Fields:
    """The whole numbers that a kernel reads, by name: lengths, strides, and tables of runs.

    ``fields`` come first, each under its number; tables stand behind them.
    """

    def __init__(self, fields: tuple[str, ...]) -> None:
        self.fields = fields
        self.place = {name: at for at, name in enumerate(fields)}

    def filled(self, values: dict[str, int], tables: dict[str, Runs]) -> Any:
        """The numbers as an array; a field named as a table holds where the table begins."""
        numbers, at, rows = dict(values), len(self.fields), list[int]()
        for name, runs in tables.items():
            numbers[name] = at + len(rows)
            rows += [number for start in runs.starts for number in start]
        return np.array([*(numbers[name] for name in self.fields), *rows], np.int64)
