"""Queries, keys and values as the tokens of an equation, case by case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pullback.calculus.quadrature import Array
from pullback.errors import NotApplicableError
from pullback.ir import Axes, Axis, Node
from pullback.ir.source import bare
from pullback.moments.law.attention.head import Tokens
from pullback.moments.law.units import Placed, Units

_STEP = 1e-5  # of a mean square


@dataclass(frozen=True)
class Side:
    """An equation, its units, and the digits of the axis of its tokens."""

    node: Node
    units: Units
    digits: Axes

    @classmethod
    def of(cls, read: Node, axis: Axis, known: Mapping[Node, Units]) -> Side:
        """What is read, whose tokens are along this axis of it.

        Raises NotApplicableError where it has places of another kind too.
        """
        node = bare(read)
        units = known[node]
        digits = units.parts[dict(zip(read.axes, node.axes, strict=True))[axis]]
        if not {axis for axis in units.law.kept if axis.size != 1} <= {*digits}:
            raise NotApplicableError("it is attention with places beside its tokens")
        return cls(node, units, digits)

    @property
    def law(self) -> Placed:
        """Moments of each token; a single head is no place beside them."""
        return self.units.law.over(self.digits)

    @property
    def tokens(self) -> tuple[Tokens, ...]:
        """Of each case."""
        return tokens(self.law)

    def placed(self, found: Sequence[Tokens], order: Array | slice = slice(None)) -> Placed:
        """Tokens of mean 0 of each case, put in order, as moments along the digits."""
        squares = np.stack([each.square[order] for each in found])
        products = np.array([each.product for each in found])
        n, sizes = squares.shape[1], [axis.size or 1 for axis in self.digits]
        pairs = np.where(np.eye(n, dtype=bool), squares[:, :, None], products[:, None, None])
        second = squares.reshape(-1, *sizes)
        both = pairs.reshape(1, -1, *sizes, *sizes)
        return Placed(self.digits, np.zeros_like(second), second, both)


def tokens(law: Placed) -> tuple[Tokens, ...]:
    """The tokens of each case; pairs that are not followed are those of the means."""
    cases = len(law.second)
    means, squares = law.mean.reshape(cases, -1), _alike(law.second.reshape(cases, -1))
    n = squares.shape[1]
    if law.pairs is None:
        return tuple(Tokens(s, float(m.mean() ** 2)) for s, m in zip(squares, means, strict=True))
    apart = ~np.eye(n, dtype=bool)
    products = law.pairs[0].reshape(-1, n, n)
    return tuple(
        Tokens(square, float(each[apart].mean()) if n > 1 else 0.0)
        for square, each in zip(squares, products, strict=True)
    )


def _alike(values: Array) -> Array:
    """Values made the same where they differ by less than _STEP: each costs an integral."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.exp(_STEP * np.round(np.log(values) / _STEP)))
