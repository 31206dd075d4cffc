"""What an equation with a law hands on: its units forward, and the errors at what it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pullback.ir import Named, Node, Scalar
from pullback.ir.source import bare
from pullback.moments.law.batch_norm import BatchBend, batch_moments
from pullback.moments.law.linear import Total
from pullback.moments.law.normalise import Normalised
from pullback.moments.law.pointwise import Bend
from pullback.moments.law.units import Placed, Units


class Passed(Protocol):
    """An equation with its law: the units forward, and what it does to an error."""

    @property
    def units(self) -> Units: ...
    def backward(self, error: Placed) -> list[tuple[Node, Placed]]: ...


@dataclass(frozen=True)
class Picked:
    """What nothing goes back from: rows of a table."""

    units: Units

    def backward(self, error: Placed) -> list[tuple[Node, Placed]]:
        """Nothing: an index has no error."""
        return []


@dataclass(frozen=True)
class Bent:
    """An activation."""

    side: Total
    units: Units
    slopes: Bend | BatchBend

    def backward(self, error: Placed) -> list[tuple[Node, Placed]]:
        """φ′(z) δ."""
        return self.side.backward(self.slopes.backward(error))

    @property
    def rough(self) -> bool:
        """Is it a bend of units that are not Gaussian?"""
        return not self.side.units.gaussian and self.slopes.bends


@dataclass(frozen=True)
class Rescaled:
    """A norm, and what is linear behind it."""

    norm: Normalised
    outer: Total

    @property
    def units(self) -> Units:
        """Those of the whole."""
        return self.outer.units

    def backward(self, error: Placed) -> list[tuple[Node, Placed]]:
        """Through both."""
        return [found for _, e in self.outer.backward(error) for found in self.norm.backward(e)]


def behind_batch_norm(node: Node, laws: Mapping[Named, Passed]) -> int:
    """Over how many samples an equation is normalised, with a gain of 1 and a bias of 0; else 0."""
    node = bare(node)
    while isinstance(node, Named):
        law = laws.get(node)
        outer = law.outer if isinstance(law, Rescaled) else law
        if not isinstance(outer, Total):
            return 0
        (first, *rest) = sorted(outer.shares, key=lambda share: share.read is None)
        plain = not first.wiring.mixes and abs(first.wiring.scale * first.mean) == 1
        if (
            first.read is None
            or not plain
            or first.variance
            or any(s.mean or s.variance for s in rest)
        ):
            return 0
        if isinstance(law, Rescaled):
            return law.norm.batch
        node = first.read
    return 0


def over_batch(function: Scalar, side: Total, samples: int) -> Bent:
    """An activation of units that are normalised over the batch."""
    found, law = batch_moments(function, samples), side.units.law
    ones = np.ones_like(law.mean)
    pairs = None
    if law.pairs is not None:
        both = np.ones(law.pairs.shape[1:])
        pairs = np.stack([found.second * both, found.product * both])
    units = side.units.with_law(
        Placed(law.kept, found.mean * ones, found.second * ones, pairs), False
    )
    return Bent(side, units, BatchBend(found, samples))
