"""Is a scalar function piecewise linear, where does it bend, and what is it in between?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
import sympy as sp

from pullback.ir.scalar.function import Scalar, symbol
from pullback.ir.scalar.primitives import primitive_of

Line = tuple[float, float]  # slope, value at 0
_RELATIONS: dict[str, Callable[[float], bool]] = {
    ">": lambda gap: gap > 0,
    ">=": lambda gap: gap > 0,  # the place of the bend itself belongs to either side
    "<": lambda gap: gap < 0,
    "<=": lambda gap: gap < 0,
}


@dataclass(frozen=True)
class LinearPieces:
    """A line on each interval between ``breaks``; there is one line more than breaks."""

    breaks: tuple[float, ...]
    lines: tuple[Line, ...]

    @property
    def middles(self) -> tuple[float, ...]:
        """A point inside each interval."""
        if not self.breaks:
            return (0.0,)
        inner = [(a + b) / 2 for a, b in pairwise(self.breaks)]
        return (self.breaks[0] - 1.0, *inner, self.breaks[-1] + 1.0)

    def index(self, z: Any) -> Any:
        """The interval of each z; a break belongs to the interval on its left."""
        return np.searchsorted(self.breaks, z, side="left")

    def at(self, x: float) -> float:
        """The value at a point that is no break."""
        slope, offset = self.lines[int(self.index(x))]
        return slope * x + offset

    def split(self, breaks: tuple[float, ...]) -> LinearPieces:
        """The same function with more breaks."""
        merged = tuple(sorted({*self.breaks, *breaks}))
        middles = LinearPieces(merged, ()).middles
        return LinearPieces(merged, tuple(self.lines[int(self.index(m))] for m in middles))

    def roots(self) -> tuple[float, ...]:
        """Where a line crosses 0 inside its interval."""
        edges = (-np.inf, *self.breaks, np.inf)
        found = []
        for (slope, offset), low, high in zip(self.lines, edges, edges[1:], strict=False):
            if slope and low < -offset / slope < high:
                found.append(0.0 - offset / slope)  # 0, not −0
        return tuple(found)

    def joined(self) -> LinearPieces:
        """Without breaks at which nothing changes."""
        breaks: list[float] = []
        lines = [self.lines[0]]
        for place, line in zip(self.breaks, self.lines[1:], strict=True):
            if line != lines[-1]:
                breaks.append(place)
                lines.append(line)
        return LinearPieces(tuple(breaks), tuple(lines))


def pieces(function: Scalar) -> LinearPieces | None:
    """The pieces of a piecewise linear function of one argument, else None.

    >>> from pullback.nn import LeakyReLU, Tanh
    >>> pieces(LeakyReLU(0.1).function)
    LinearPieces(breaks=(0.0,), lines=((0.1, 0.0), (1.0, 0.0)))
    >>> pieces(Tanh().function) is None
    True
    """
    found = _pieces(function.expr)
    return None if found is None else found.joined()


def _pieces(expr: Any) -> LinearPieces | None:
    if expr == symbol(0):
        return LinearPieces((), ((1.0, 0.0),))
    if expr.is_number:
        return LinearPieces((), ((0.0, float(expr)),))
    if isinstance(expr, sp.Piecewise):
        return _chosen(expr.args)
    parts = [_pieces(arg) for arg in expr.args]
    if any(part is None for part in parts):
        return None
    held = [part for part in parts if part is not None]
    if expr.is_Add:
        return reduce(_sum, held)
    if expr.is_Mul:
        return _product(held)
    if isinstance(expr, (sp.Max, sp.Min)):
        better = max if isinstance(expr, sp.Max) else min
        return reduce(lambda a, b: _pick(a, b, better), held)
    row = primitive_of(expr)
    return _by_name(row.name, held[0]) if row is not None else None


def _by_name(name: str, inside: LinearPieces) -> LinearPieces | None:
    """relu, abs, step and sign are lines on both sides of 0; no other row is."""
    sides: dict[str, Callable[[Line, bool], Line]] = {
        "relu": lambda line, up: line if up else (0.0, 0.0),
        "abs": lambda line, up: line if up else (-line[0], -line[1]),
        "step": lambda line, up: (0.0, float(up)),
        "sign": lambda line, up: (0.0, 1.0 if up else -1.0 if any(line) else 0.0),
    }
    if name not in sides:
        return None
    cut = inside.split(inside.roots())
    lines = (
        sides[name](line, line[0] * middle + line[1] > 0)
        for line, middle in zip(cut.lines, cut.middles, strict=True)
    )
    return LinearPieces(cut.breaks, tuple(lines))


def _sum(one: LinearPieces, other: LinearPieces) -> LinearPieces:
    a, b = one.split(other.breaks), other.split(one.breaks)
    lines = tuple((p[0] + q[0], p[1] + q[1]) for p, q in zip(a.lines, b.lines, strict=True))
    return LinearPieces(a.breaks, lines)


def _product(factors: list[LinearPieces]) -> LinearPieces | None:
    """Piecewise linear only if on each interval one factor at most is no constant."""
    found = factors[0]
    for factor in factors[1:]:
        a, b = found.split(factor.breaks), factor.split(found.breaks)
        lines = []
        for (p, q), (r, s) in zip(a.lines, b.lines, strict=True):
            if p * r:
                return None
            lines.append((p * s + q * r, q * s))
        found = LinearPieces(a.breaks, tuple(lines))
    return found


def _pick(one: LinearPieces, other: LinearPieces, better: Callable[..., float]) -> LinearPieces:
    gap = _sum(one, LinearPieces(other.breaks, tuple((-p, -q) for p, q in other.lines)))
    a, b = one.split((*gap.breaks, *gap.roots())), other.split((*gap.breaks, *gap.roots()))
    lines = tuple(
        p if better(p[0] * m + p[1], q[0] * m + q[1]) == p[0] * m + p[1] else q
        for p, q, m in zip(a.lines, b.lines, a.middles, strict=True)
    )
    return LinearPieces(a.breaks, lines)


def _chosen(branches: Any) -> LinearPieces | None:
    """A choice by comparisons of piecewise linear functions."""
    found: LinearPieces | None = None
    for value, condition in reversed(branches):
        here = _pieces(value)
        if here is None:
            return None
        if condition == sp.true:
            found = here
            continue
        sides = [_pieces(side) for side in condition.args]
        if found is None or None in sides or condition.rel_op not in _RELATIONS:
            return None
        left, right = (side for side in sides if side is not None)
        gap = _sum(left, LinearPieces(right.breaks, tuple((-p, -q) for p, q in right.lines)))
        cuts = (*gap.breaks, *gap.roots(), *here.breaks, *found.breaks)
        gap, here, found = gap.split(cuts), here.split(cuts), found.split(cuts)
        holds = _RELATIONS[condition.rel_op]
        lines = tuple(
            mine if holds(g[0] * m + g[1]) else other
            for mine, other, g, m in zip(
                here.lines, found.lines, gap.lines, gap.middles, strict=True
            )
        )
        found = LinearPieces(gap.breaks, lines)
    return found
