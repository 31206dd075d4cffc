"""The law of max pooling: forward E max², backward the error goes to the largest entry alone.

The largest of n Gaussian units with one correlation ρ, √ρ g + √(1 − ρ) max of n independent ones,
is integrated. max φ(u) = φ(max u) for a rising φ, so the slope behind a pool is that at the
largest: for ReLU E φ′² is P(max > 0) = 1 − 2⁻ⁿ, not ½. Windows that
overlap add what comes from each.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import ndtr

from pullback.calculus.quadrature import Array
from pullback.errors import NotApplicableError
from pullback.ir import Axis, Named, Node, Scalar
from pullback.ir.linear import LinearTerm
from pullback.ir.window import Window
from pullback.moments.law.activation import evaluator
from pullback.moments.law.layers import IDENTITY
from pullback.moments.law.lines import homogeneous
from pullback.moments.law.pointwise import pointwise
from pullback.moments.law.units import Placed, Units, outer, own
from pullback.moments.law.wiring import Wiring, wired

_NODES = 128
_MANY = 512  # places, from which on those that differ by 0.001 are taken as one
_REACH = 8.0


@lru_cache(maxsize=4096)
def largest(
    function: Scalar, n: float, mean: float, variance: float, rho: float
) -> tuple[float, ...]:
    """E φ(m), E φ(m)², E φ′(m), E φ′(m)² of the largest m of n units with one correlation.

    >>> from pullback.nn import ReLU
    >>> found = largest(ReLU().function, 4, 0.0, 1.0, 0.0)
    >>> round(found[1], 4), found[3].__round__(4)
    (1.5438, 0.9375)
    """
    x, weight = _gauss(_NODES)
    density = n * ndtr(x) ** (n - 1) * weight
    density /= density.sum()
    if rho > 1e-9:
        y, other = _gauss(65)
        m = (np.sqrt(rho) * y[:, None] + np.sqrt(1 - rho) * x).ravel()
        density = (other[:, None] / other.sum() * density).ravel()
    else:
        m = x
    with np.errstate(all="ignore"):
        f, slope = evaluator(function)(mean + np.sqrt(variance) * m)
    return tuple(float(density @ v) for v in (f, f**2, slope, slope**2))


@lru_cache(maxsize=4)
def _gauss(nodes: int) -> tuple[Array, Array]:
    """Nodes and weights of the Gaussian, finer around 0, where activations have their kinks."""
    points, weights = np.polynomial.legendre.leggauss(16)
    edges = np.linspace(-_REACH, _REACH, 1 + 2 * (nodes // 16))
    half = np.diff(edges)[:, None] / 2
    x = (edges[:-1, None] + half * (1 + points)).ravel()
    return x, (half * weights).ravel() * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


@dataclass(frozen=True)
class Pooled:
    """Windows, the largest entry of each, and the slope there over that anywhere."""

    read: Node
    units: Units
    before: Units
    wiring: Wiring
    count: Array
    slopes: tuple[Array, Array]

    def backward(self, error: Placed) -> list[tuple[Node, Placed]]:
        """Each entry has the error of a window with the chance that it is the largest."""
        w = self.wiring
        error = error.over(self.units.law.kept).renamed(w.out)
        mean = w.backward(self.slopes[0] * error.mean / self.count, 1)
        second = w.backward(self.slopes[1] * error.second / self.count, 1)
        pairs = None
        if error.pairs is not None:
            each = error.pairs * outer(self.slopes[0] / self.count, self.slopes[0] / self.count)
            pairs = w.backward_pairs(each)
        found = Placed(w.into, mean, second, pairs)
        return [(self.read, found.renamed(self.before.law.kept))]


def max_pool(equation: Named, form: Window, units: Units, batch: Axis | None) -> Pooled:
    """The law of the largest entry of each window.

    Raises NotApplicableError where the units are neither Gaussian nor a rising function of such.
    """
    function, before = IDENTITY, units
    if units.source is not None:
        function, before = units.source.function, units.source.before
    rising = evaluator(function)(np.linspace(-6, 6, 241))[0]
    if (np.diff(rising) < 0).any() or (units.source is None and not units.gaussian):
        raise NotApplicableError(f"{equation.name} is the largest of units of an unknown law")
    term = LinearTerm((form.arg,), (), form.patterns, 1.0, equation.axes)
    w = wired(term, form.arg, units.parts, units.law.kept, batch, ())
    if w.fan_in != 1 or any(
        len([d for d in parts if d.size != 1]) > 1 for parts in w.parts.values()
    ):
        raise NotApplicableError(f"{equation.name} is the largest over features")
    law = before.law.renamed(w.into)
    ones = np.ones_like(law.mean)
    count = w.forward(ones, 1)
    mean, variance = w.forward(law.mean, 1) / count, w.forward(law.variance, 1) / count
    rho = np.zeros_like(mean)
    if law.covariances is not None:
        several = count > 1
        spread = own(w.forward_pairs(law.covariances)[0]) - w.forward(law.variance, 1)
        rest = np.where(several, count * (count - 1) * variance, 1.0)
        rho = np.clip(np.where(several & (rest > 0), spread / rest, 0.0), 0.0, 1.0)
    first, second, slope, steep = _largest(function, count, mean, variance, rho)
    pairs = None
    if units.law.pairs is not None:
        pairs = _between(units.law.renamed(w.into), w, count, first, second)
    names = {digit: axis for axis, parts in w.parts.items() for digit in parts}
    out = tuple(names[digit] for digit in w.out)
    parts = {axis: (axis,) for axis in w.parts}
    found = Units(Placed(out, first, second, pairs), parts, units.origin)
    usual = pointwise(function, before)[1]
    ratio = []
    for at, here in ((usual.mean, slope), (usual.second, steep)):
        typical = w.forward(at.reshape(law.mean.shape), 1) / count
        ratio.append(np.divide(here, typical, out=np.ones_like(here), where=typical != 0))
    return Pooled(form.arg, found, units, w, count, (ratio[0], ratio[1]))


def _largest(function: Scalar, *laws: Array) -> tuple[Array, ...]:
    """Moments of φ(max) and of φ′ there, at each place."""
    rows = np.stack([a.ravel() for a in laws], axis=1)
    size = np.ones(len(rows))
    if homogeneous(function) is not None:
        size = np.sqrt(np.where(rows[:, 2] > 0, rows[:, 2], 1.0))
        rows[:, 1], rows[:, 2] = rows[:, 1] / size, np.where(rows[:, 2] > 0, 1.0, 0.0)
    rows = np.round(rows, 12 if len(rows) < _MANY else 3)
    some, back = np.unique(rows, axis=0, return_inverse=True)
    found = np.array([largest(function, *map(float, row)) for row in some])[back.ravel()]
    found[:, 0] *= size
    found[:, 1] *= size**2
    return tuple(found[:, k].reshape(laws[0].shape) for k in range(4))


def _between(law: Placed, w: Wiring, count: Array, mean: Array, second: Array) -> Array:
    """E m m′ of two windows: their entries' mean correlation is taken as that of the largest."""
    assert law.covariances is not None
    spread = w.forward_pairs(law.covariances) / outer(count, count)
    std = np.sqrt(w.forward(law.variance, 1) / count)
    size = outer(std, std)
    rho = np.clip(np.divide(spread, size, out=np.zeros_like(spread), where=size > 0), -1, 1)
    spread = np.sqrt(np.maximum(second - mean**2, 0.0))
    found = np.asarray(outer(mean, mean) + rho * outer(spread, spread))
    same = np.eye(int(np.prod(mean.shape[1:])), dtype=bool).reshape(*mean.shape[1:] * 2)
    flat = outer(np.sqrt(second), np.sqrt(second))
    found[0] = np.where(same, flat, found[0])
    return found
