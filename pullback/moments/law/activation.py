"""What a forecast needs to know of an activation: its Gaussian moments, split at its kinks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import sympy as sp
from scipy.optimize import brentq

from pullback.calculus import local_map
from pullback.calculus.quadrature import Array, Grid, grid
from pullback.errors import NonFiniteError
from pullback.ir import Axis, Input, Map, Named, Scalar, simplify, symbol
from pullback.ir.build import spread
from pullback.ir.scalar.function import evaluate_expr
from pullback.ir.scalar.primitives import primitive_of
from pullback.net.program import compile_program

_X = symbol(0)
_KINKED = {"step", "sign", "heaviside", "abs", "relu", "elu", "selu"}
_SEARCHED = np.concatenate([np.linspace(-40, 40, 4001), np.geomspace(40, 1e4, 200)])
_TOLERANCE = 1e-9
_FINEST = 5
_NEGLIGIBLE = 1e-12  # beside E z², and beside a slope of 1


@lru_cache(maxsize=256)
def kinks(function: Scalar) -> tuple[float, ...]:
    """Where the function of one argument or its slope jumps: exactly if SymPy can, else by search.

    >>> from pullback.nn import Activation, ReLU
    >>> kinks(ReLU().function), kinks(Activation("abs(x**2 - 4)").function)
    ((0.0,), (-2.0, 2.0))
    """
    found: set[float] = set()
    for inner in _switching(function.expr):
        if inner.is_polynomial(_X) and sp.degree(inner, _X) > 0:
            found |= {float(r) for r in sp.real_roots(sp.Poly(sp.nsimplify(inner), _X))}
        else:
            found |= _searched(inner)
    return tuple(sorted(found))


def _switching(expr: Any) -> set[Any]:
    """The inner expressions whose sign decides which branch of the function holds."""
    inner: set[Any] = set()
    for part in sp.preorder_traversal(expr):
        row = primitive_of(part)
        if row is not None and row.name in _KINKED:
            inner.add(part.args[0])
        elif isinstance(part, (sp.Max, sp.Min)):
            inner |= {a - b for a in part.args for b in part.args if a != b}
        elif isinstance(part, sp.core.relational.Relational):
            inner.add(part.lhs - part.rhs)
    return {each for each in inner if each.free_symbols}


def _searched(inner: Any) -> set[float]:
    def value(x: Any) -> Any:
        return evaluate_expr(inner, {_X: np.asarray(x, float)})

    at = np.unique(np.concatenate([_SEARCHED, -_SEARCHED]))
    with np.errstate(all="ignore"):
        sign = np.sign(value(at))
    exact = {float(x) for x in at[sign == 0]}
    turns = np.flatnonzero(sign[:-1] * sign[1:] < 0)
    return exact | {float(brentq(value, at[i], at[i + 1], xtol=1e-14)) for i in turns}


@lru_cache(maxsize=256)
def evaluator(function: Scalar) -> Callable[[Array], tuple[Array, Array]]:
    """f and f' at an array of any shape, as one emitted program in which they share.

    >>> from pullback.nn import Tanh
    >>> [float(v.round(4)) for v in evaluator(Tanh().function)(np.array(0.5))]
    [0.4621, 0.7864]
    """
    z = Input("z", (Axis("nodes"),))
    a = Named("a", Map(function, (z,)), "a")
    slope = spread(local_map(a, z).tensor, a.axes)
    roots = dict(zip(("f", "slope"), simplify(a, slope), strict=True))
    program = compile_program(roots, f"The activation {function} and its slope.", leaves=(z,))

    def evaluate(at: Array) -> tuple[Array, Array]:
        found = program({}, {"z": np.ascontiguousarray(at).reshape(-1)})
        return found["f"].reshape(at.shape), found["slope"].reshape(at.shape)

    return evaluate


@dataclass(frozen=True)
class Moments:
    """φ and φ' at the nodes of z ~ Normal(mean, variance), one row a case; expectations of both."""

    function: Scalar
    mean: Array
    variance: Array
    grid: Grid
    f: Array
    slope: Array

    def expect(self, values: Array) -> Array:
        """E of values at the nodes (cases, nodes)."""
        return self.grid.expect(values)

    @cached_property
    def m1(self) -> Array:
        """E φ."""
        return self.expect(self.f)

    @cached_property
    def m2(self) -> Array:
        """E φ²."""
        return self.expect(self.f**2)

    @cached_property
    def s1(self) -> Array:
        """E φ'."""
        return self.expect(self.slope)

    @cached_property
    def s2(self) -> Array:
        """E φ'²."""
        return self.expect(self.slope**2)

    @cached_property
    def centre(self) -> tuple[Array, Array]:
        """φ and φ' at z = mean."""
        return evaluator(self.function)(self.mean)

    def by_variance(self, values: Array, at_mean: Array) -> Array:
        """∂E[values]/∂variance = E[values (x² − 1)] / (2 variance): right for kinks too.

        ``at_mean`` is the value at z = mean, which is taken off first: E[x² − 1] = 0.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            change = self.expect((values - at_mean[:, None]) * (self.grid.x**2 - 1))
            return np.asarray(change / (2 * self.variance))

    @cached_property
    def m2_by_variance(self) -> Array:
        """∂E[φ²]/∂variance = E[φ'² + φ φ'']."""
        centre, slope = self.centre
        found = self.by_variance(self.f**2, centre**2)
        if (self.variance == 0).any():
            bend = self.function.partial(0).partial(0)(self.mean) * centre + slope**2
            found = np.where(self.variance == 0, bend, found)
        return found

    @cached_property
    def s2_by_variance(self) -> Array:
        """∂E[φ'²]/∂variance; 0 where nothing varies."""
        found = self.by_variance(self.slope**2, self.centre[1] ** 2)
        return np.where(self.variance == 0, 0.0, found)


def moments(function: Scalar, mean: Any, variance: Any, level: int | None = None) -> Moments:
    """The moments of an activation at each case (cases,) of mean and variance.

    Panels are halved (``level`` times) until E φ² and E φ'² change by less than 1e-9.
    Raises NonFiniteError if they are infinite: the integrand does not die out with the Gaussian.

    >>> from pullback.nn import Erf
    >>> q = 1.7
    >>> found = moments(Erf().function, 0.0, q)
    >>> bool(abs(found.m2[0] - 2 / np.pi * np.arcsin(2 * q / (1 + 2 * q))) < 1e-14)
    True
    """
    mean, variance = np.broadcast_arrays(
        np.atleast_1d(np.asarray(mean, float)), np.atleast_1d(np.asarray(variance, float))
    )
    if not (np.isfinite(mean).all() and np.isfinite(variance).all()):
        raise NonFiniteError(f"the variance of z is no longer finite in front of {function}")
    if level is None:
        level = needed_level(function, *_extremes(mean, variance))[0]
    return _moments(function, mean, variance, level)


def _moments(function: Scalar, mean: Array, variance: Array, level: int) -> Moments:
    nodes = grid(mean, variance, tuple({0.0, *kinks(function)}), level)
    with np.errstate(all="ignore"):
        f, slope = evaluator(function)(nodes.z)
    found = Moments(function, mean, variance, nodes, f, slope)
    _refuse_divergent(found)
    return found


def _refuse_divergent(found: Moments) -> None:
    """The last panels must not matter: else the integral is infinite, or beyond our reach."""
    outer = np.abs(found.grid.x) > 10
    size = found.variance + found.mean**2
    with np.errstate(all="ignore"):
        for name, whole, values, unit in (
            ("φ", found.m2, found.f, size),
            ("φ'", found.s2, found.slope, np.ones_like(size)),
        ):
            tail = np.sum(found.grid.weight * values**2, axis=1, where=outer)
            # of a ReLU far below 0 only the tail is left, and it does not matter either
            dies_out = (tail <= 1e-6 * whole) | (whole <= _NEGLIGIBLE * unit)
            if not (np.isfinite(whole) & dies_out).all():
                raise NonFiniteError(
                    f"E {name}(z)² of {name[0]}(x0) = {found.function} is infinite, or has its "
                    f"mass beyond 10 standard deviations, at variance {found.variance.max():.3g}"
                )


def _extremes(mean: Array, variance: Array) -> tuple[tuple[float, float], ...]:
    """The cases with the smallest and the largest spread: where quadrature is tried."""
    chosen = {int(np.argmin(variance)), int(np.argmax(variance))}
    # rounded up to powers of two, so that neighbouring layers share one trial
    return tuple(sorted({(_coarse(mean[i]), _coarse(variance[i])) for i in chosen}))


def _coarse(value: float) -> float:
    return float(np.sign(value) * 2.0 ** np.ceil(np.log2(abs(value)))) if value else 0.0


@lru_cache(maxsize=4096)
def needed_level(function: Scalar, *cases: tuple[float, float]) -> tuple[int, float]:
    """How often panels have to be halved at those (mean, variance), and the error that is left."""
    mean, variance = np.array(cases).T
    last = _moments(function, mean, variance, 0)
    for level in range(_FINEST):
        finer = _moments(function, mean, variance, level + 1)
        error = max(_apart(last.m2, finer.m2), _apart(last.s2, finer.s2))
        if error < _TOLERANCE:
            return level, error
        last = finer
    return _FINEST, error


def _apart(a: Array, b: Array) -> float:
    return float(np.max(np.abs(a - b) / np.maximum(np.abs(b), 1e-300)))


def convergence(function: Scalar, mean: Any, variance: Any) -> float:
    """The relative change of E φ² and E φ'² when every panel is halved once more."""
    cases = _extremes(np.atleast_1d(mean), np.atleast_1d(variance))
    return needed_level(function, *cases)[1]
