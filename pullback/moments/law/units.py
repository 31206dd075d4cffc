"""The law of an equation's units at infinite width, and that of the errors that come back to it.

Along *wide* axes, as channels or features, units are alike: they are averaged over. Along *kept*
axes, as positions or tokens, each place has moments of its own, and each pair of places a product.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from pullback.calculus.quadrature import Array
from pullback.ir import Axes, Axis, Node, Scalar


@dataclass(frozen=True)
class Placed:
    """First and second moments over kept axes: arrays are (cases, *kept).

    ``pairs`` (relations, cases, *kept, *kept) are E u u′ of one unit at two places: of one sample
    and, where there are two relations, of two samples. They are None where none are followed: two
    places are then taken as uncorrelated, apart from their means.
    """

    kept: Axes
    mean: Array
    second: Array
    pairs: Array | None = None

    @property
    def variance(self) -> Array:
        """Never below 0."""
        return np.asarray(np.maximum(self.second - self.mean**2, 0.0))

    @property
    def covariances(self) -> Array | None:
        """Of the pairs."""
        return None if self.pairs is None else self.pairs - outer(self.mean, self.mean)

    def renamed(self, kept: Axes) -> Placed:
        """The same with other names, or with axes that are split, in the same order."""
        sizes = [axis.size or 1 for axis in kept]
        mean, second = (v.reshape(len(v), *sizes) for v in (self.mean, self.second))
        pairs = self.pairs
        if pairs is not None:
            pairs = pairs.reshape(*pairs.shape[:2], *sizes, *sizes)
        return Placed(kept, mean, second, pairs)

    def along(self, kept: Axes) -> Placed:
        """The same with an index for more axes, in a new order.

        Along those that were not kept so far units are alike and uncorrelated, apart from means.
        """
        if kept == self.kept:
            return self
        old = {axis: at for at, axis in enumerate(self.kept)}
        order = [old[axis] for axis in kept if axis in old]
        new = [at for at, axis in enumerate(kept) if axis not in old]
        sizes = [axis.size or 1 for axis in kept]

        def spread(values: Array, lead: int, times: int) -> Array:
            n, m = len(self.kept), len(kept)
            places = [lead + k * n + at for k in range(times) for at in order]
            turned = np.transpose(values, (*range(lead), *places))
            gaps = tuple(lead + k * m + at for k in range(times) for at in new)
            return np.broadcast_to(
                np.expand_dims(turned, gaps), (*values.shape[:lead], *(sizes * times))
            )

        mean, second = spread(self.mean, 1, 1), spread(self.second, 1, 1)
        if self.pairs is None:
            return Placed(kept, mean, second)
        pairs, same = spread(self.pairs, 2, 2), np.ones((1,) * (2 * len(kept)), bool)
        for at in new:
            shape = [sizes[at] if i in (at, len(kept) + at) else 1 for i in range(2 * len(kept))]
            same = same & np.eye(sizes[at], dtype=bool).reshape(shape)
        if not same.all():
            pairs = np.where(same, pairs, outer(mean, mean))
        return Placed(kept, mean, second, pairs)

    def over(self, kept: Axes) -> Placed:
        """The mean over the places along all other axes."""
        gone = tuple(1 + at for at, axis in enumerate(self.kept) if axis not in kept)
        mean, second, pairs = self.mean.mean(gone), self.second.mean(gone), None
        if self.pairs is not None:
            names = list(range(len(self.kept)))
            primed = [n if self.kept[n] not in kept else n + 20 for n in names]
            ends = [n for n in names if self.kept[n] in kept]
            size = np.prod([s for n, s in enumerate(self.mean.shape[1:]) if n not in ends])
            pairs = np.einsum(
                self.pairs, [50, 51, *names, *primed], [50, 51, *ends, *(n + 20 for n in ends)]
            ) / (size or 1)
        left = tuple(axis for axis in self.kept if axis in kept)
        return Placed(left, mean, second, pairs).along(kept)


def outer(left: Array, right: Array) -> Array:
    """The products of values (cases, *kept) at all pairs of places."""
    ones = (1,) * (left.ndim - 1)
    return left.reshape(*left.shape, *ones) * right.reshape(len(right), *ones, *right.shape[1:])


def own(pairs: Array) -> Array:
    """Of (cases, *kept, *kept) the pairs of each place with itself."""
    names = list(range(1, (pairs.ndim - 1) // 2 + 1))
    found: Array = np.einsum(pairs, [0, *names, *names], [0, *names])
    return found


@dataclass(frozen=True)
class Activated:
    """a = φ(u) of Gaussian units u."""

    function: Scalar
    before: Units


@dataclass(frozen=True)
class Units:
    """The law of an equation: moments over what is kept of it.

    ``parts`` are, for each of its axes but the batch, the digits that its index is made of: itself,
    or several where axes were merged. ``origin`` are the equations whose units it shares, one by
    one. ``source`` is the function of Gaussian units that it is, if it is one.
    """

    law: Placed
    parts: Mapping[Axis, Axes]
    origin: frozenset[Node] = frozenset()
    gaussian: bool = False
    source: Activated | None = None

    @property
    def wide(self) -> Axes:
        """The digits that are averaged over."""
        kept = {*self.law.kept}
        return tuple(d for digits in self.parts.values() for d in digits if d not in kept)

    def with_law(self, law: Placed, gaussian: bool, source: Activated | None = None) -> Units:
        """The same units with other moments."""
        return replace(self, law=law, gaussian=gaussian, source=source)
