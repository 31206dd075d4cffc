"""A chain from layer to layer: what lies between two, and on which axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from math import prod

import numpy as np

from pullback.closed.network.chain import Chain
from pullback.closed.network.items import Item
from pullback.closed.network.point import ChainPoint
from pullback.closed.record import Array
from pullback.ir import Axes

AGREES = 1e-10  # relative, on a random δ: a map that has not the form is apart by about 1


@dataclass(frozen=True)
class ChainStep:
    """Items from one layer to the next, the first of them at ``start``; channels come first."""

    items: tuple[Item, ...]
    out: Axes
    into: Axes
    start: int

    @property
    def sizes(self) -> tuple[list[int], list[int]]:
        """How long the axes are, behind it and before it."""
        out, into = ([axis.size or 1 for axis in axes] for axes in (self.out, self.into))
        return out, into

    def row(self, point: ChainPoint, at: Sequence[int]) -> Array:
        """What each channel (out, in, …places) reads at one place behind the step."""
        (channels, *places), into = self.sizes
        one = np.zeros((channels, channels, prod(places)))
        one[:, :, int(np.ravel_multi_index(tuple(at), places))] = np.eye(channels)
        return self.pulled(point, one.reshape(channels, -1)).reshape(channels, *into)

    def agrees(self, point: ChainPoint, other: Callable[[Array], Array]) -> bool:
        """Is another function of δ what the step does to it, at a random δ?"""
        out, _ = self.sizes
        delta = np.random.default_rng(0).standard_normal((1, prod(out)))
        expected = self.pulled(point, delta)
        return bool(np.linalg.norm(other(delta) - expected) <= AGREES * np.linalg.norm(expected))

    def pulled(self, point: ChainPoint, rows: Array) -> Array:
        """Rows (k, out) before the step, (k, in)."""
        return reduce(point.pulled, reversed(self.items), rows)


def steps(chain: Chain) -> Sequence[ChainStep]:
    """Those behind the first layer; none where that lies within a skip, or a layer has one axis."""
    ends = [(place.start, place.axes) for place in chain.places if not place.inside]
    if not ends or ends[-1][0] < len(chain.items):
        ends.append((len(chain.items), chain.axes))
    if chain.places[0].inside or any(len(axes) < 2 for _, axes in ends):
        return ()
    return [
        ChainStep(chain.items[start:stop], out, into, start)
        for (start, into), (stop, out) in pairwise(ends)
    ]


def together(each: Sequence[ChainStep]) -> ChainStep:
    """Several as one."""
    items = tuple(item for step in each for item in step.items)
    return ChainStep(items, each[-1].out, each[0].into, each[0].start)
