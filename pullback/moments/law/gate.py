"""The law of what joins several equations unit by unit: gates, dropout, and other functions.

Of a product of functions of independent units E Π f² = Π E f², and backward
E δ_i² = E f_i′² Π_(j≠i) E f_j² · E δ². Dropout is a gate whose other side is noise, 1 with the
probability ρ and divided by it: 1/ρ both ways. Other functions are integrated over their units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from pullback.calculus.quadrature import Array
from pullback.errors import NotApplicableError
from pullback.ir import Node, Scalar, symbol
from pullback.moments.law.linear import Total
from pullback.moments.law.pointwise import Bend, pointwise
from pullback.moments.law.units import Placed, Units, outer

_NODES = {2: 121, 3: 41}  # a side, of an integral over so many units
_REACH = 7.0
_LAWS = 4096  # that are integrated, at most


@dataclass(frozen=True)
class Joined:
    """The sides, each along all axes of the result, and the law of the error of each.

    ``slopes`` are those of the result with respect to a side: moments over all others.
    """

    sides: tuple[Total, ...]
    slopes: tuple[Bend, ...]
    units: Units

    def backward(self, error: Placed) -> list[tuple[Node, Placed]]:
        """The error at each side."""
        return [
            found
            for side, slopes in zip(self.sides, self.slopes, strict=True)
            for found in side.backward(slopes.backward(error))
        ]


def gate(function: Scalar, sides: Sequence[Total]) -> Joined:
    """The law of a product of functions of several equations.

    Raises NotApplicableError where it is no product, or two sides depend on the same units.
    """
    scale, functions = factors(function, len(sides))
    laws = _together(sides)
    found = [
        pointwise(f, side.units.with_law(law, side.units.gaussian))
        for f, side, law in zip(functions, sides, laws, strict=True)
    ]
    here = [units.law for units, _ in found]
    slopes = []
    for at, (_, own) in enumerate(found):
        others = _product([law for n, law in enumerate(here) if n != at], scale)
        pairs = None
        if own.pairs is not None and others.pairs is not None:
            pairs = own.pairs * others.pairs
        slopes.append(Bend(own.mean * others.mean, own.second * others.second, pairs))
    return Joined(tuple(sides), tuple(slopes), _units(sides, _product(here, scale)))


def join(function: Scalar, sides: Sequence[Total]) -> Joined:
    """The law of any function of two or three equations, whose units are independent.

    Raises NotApplicableError for more, and where two sides depend on the same units.
    """
    count = len(sides)
    laws = _together(sides)
    shape = np.broadcast_shapes(*(law.mean.shape for law in laws))
    sides_of = [np.broadcast_to(each, shape).ravel() for w in laws for each in (w.mean, w.variance)]
    rows = np.stack(sides_of, axis=1)
    rows, back = np.unique(np.round(rows, 12), axis=0, return_inverse=True)
    if count not in _NODES or len(rows) > _LAWS:
        raise NotApplicableError(f"it is a function of {count} equations at {len(rows)} places")
    points = np.linspace(-_REACH, _REACH, _NODES[count])
    weight = np.exp(-(points**2) / 2)
    shares = np.meshgrid(*[weight / weight.sum()] * count, indexing="ij")
    weights = np.asarray(prod(shares))
    x = np.meshgrid(*[points] * count, indexing="ij")
    parts = [function, *(function.partial(at) for at in range(count))]
    found = []
    for row in rows:
        at = [row[2 * n] + np.sqrt(row[2 * n + 1]) * x[n] for n in range(count)]
        with np.errstate(all="ignore"):
            values = [np.broadcast_to(part(*at), weights.shape) for part in parts]
        found.append([float((weights * v**k).sum()) for v in values for k in (1, 2)])
    moments = np.array(found)[back.ravel()].T.reshape(-1, *shape)
    mean, second, pairs = moments[0], moments[1], None
    if all(law.pairs is not None for law in laws):
        pairs = _first_order(laws, mean, second, moments[2::2])
    slopes = tuple(
        Bend(a, b, None if pairs is None else np.broadcast_to(outer(a, a), pairs.shape))
        for a, b in zip(moments[2::2], moments[3::2], strict=True)
    )
    return Joined(tuple(sides), slopes, _units(sides, Placed(laws[0].kept, mean, second, pairs)))


def _first_order(laws: Sequence[Placed], mean: Array, second: Array, slopes: Array) -> Array:
    """E f f′ at two places, to first order in the covariances of the sides."""
    spread = sum(outer(s, s) * law.covariances for s, law in zip(slopes, laws, strict=True))
    found = np.asarray(outer(mean, mean) + spread)
    places = int(np.prod(mean.shape[1:]))
    same = np.eye(places, dtype=bool).reshape((*mean.shape[1:], *mean.shape[1:]))
    root = np.sqrt(second)
    found[0] = np.where(same, outer(root, root), found[0])
    return found


def _together(sides: Sequence[Total]) -> list[Placed]:
    """The sides' laws over the same places.

    Raises NotApplicableError where two sides are the same units, or functions of them.
    """
    origins = [side.units.origin for side in sides]
    if any(a & b for n, a in enumerate(origins) for b in origins[:n]):
        raise NotApplicableError("it joins units with others that depend on them")
    if any(side.units.parts != sides[0].units.parts for side in sides):
        raise NotApplicableError("its sides put the same axis together in different ways")
    kept_by = {d for side in sides for d in side.units.law.kept}
    kept = tuple(d for parts in sides[0].units.parts.values() for d in parts if d in kept_by)
    return [side.units.law.along(kept) for side in sides]


def _units(sides: Sequence[Total], law: Placed) -> Units:
    origin = frozenset().union(*(side.units.origin for side in sides))
    return Units(law, sides[0].units.parts, origin)


def factors(function: Scalar, arity: int) -> tuple[float, list[Scalar]]:
    """c and f_i of a product c Π f_i(x_i).

    Raises NotApplicableError where it is no such product.
    """
    scale, parts = function.expr.as_coeff_mul()
    found: list[Any] = [1] * arity
    for part in parts:
        free = [at for at in range(arity) if symbol(at) in part.free_symbols]
        if len(free) > 1:
            raise NotApplicableError("it is no product of functions of one equation each")
        if not free:
            scale = scale * part
            continue
        found[free[0]] = found[free[0]] * part.subs(symbol(free[0]), symbol(0))
    return float(scale), [Scalar.of(expr, 1) for expr in found]


def _product(laws: Sequence[Placed], scale: float) -> Placed:
    """Moments of the product of independent units."""
    mean = np.asarray(scale * prod(law.mean for law in laws))
    second = np.asarray(scale**2 * prod(law.second for law in laws))
    several = [law.pairs for law in laws if law.pairs is not None]
    pairs = np.asarray(scale**2 * prod(several)) if len(several) == len(laws) else None
    return Placed(laws[0].kept, mean, second, pairs)
