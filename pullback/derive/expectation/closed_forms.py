"""Integrals over Gaussians that have a closed form: of exp, sin, cos, |x|ᵖ, and odd functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import gamma, pi, sqrt
from typing import Any

import sympy as sp

from pullback.derive.expectation.behaviour import power_of
from pullback.derive.expectation.monomial import Monomial, TensorEntry, carried, node_of
from pullback.ir import Constant, Node, Scalar, symbol
from pullback.ir.build import scalar_map

Apart = Callable[[Monomial], Monomial]
Covariances = Mapping[tuple[int, int], Node]
ODD = "an odd function of centred Gaussians has the mean 0"
WAVES = (
    "exp, sin and cos of a Gaussian u have closed forms: E of exp(u) is exp(E[u] + Var(u)/2), that "
    "of cos(u) is exp(-Var(u)/2) cos(E[u])"
)
POWERS = (
    "E of |u| of a centred Gaussian is its standard deviation times the root of 2/pi, that of its "
    "square the variance, and so on; of what is 0 below 0 half of it is left"
)
DETERMINANT = (
    "the determinant of a Gaussian matrix has the mean det E[X]: what the covariances of two "
    "entries would add has either sign once"
)
_MOST_WAVES = 8  # sines and cosines of one product: 128 of sums of their angles


def wave(
    function: Scalar, means: Sequence[Node], covariances: Covariances, fixed: Sequence[Node]
) -> Node | None:
    """E of sums of products of exp, sin and cos of jointly normal u; None of anything else.

    E exp(c·u) is exp(c·m + ½ cᵀ C c); products of sines and cosines are sums of such of sums of
    their angles.
    """
    found = _waves(function.expr, len(means), function.arity, covariances)
    if found is None:
        return None
    nodes = (*means, *fixed, *covariances.values())
    used = sorted(found.free_symbols, key=lambda sym: int(str(sym)[1:]))
    if not used:
        return Constant(float(found))
    places = {sym: symbol(at) for at, sym in enumerate(used)}
    args = (nodes[int(str(sym)[1:])] for sym in used)
    return scalar_map(found.xreplace(places), *args)


def absolute_power(
    function: Scalar, variance: Sequence[Monomial], stds: Container[Node], apart: Apart
) -> list[Monomial] | None:
    """E f(u) of a centred u, where f(x) is f(1) xᵖ above 0 and f(−1) |x|ᵖ below it, as of relu.

    It is ½ (f(1) + f(−1)) E|u|ᵖ. The root of the variance is taken of each of its factors.
    """
    found = power_of(function)
    if found is None:
        return None
    power, above, below = found
    moment = sqrt(2**power / pi) * gamma((power + 1) / 2)
    terms = [Monomial((above + below) / 2 * moment)]
    for _ in range(power // 2):
        terms = [each.times(apart(part)) for each in terms for part in variance]
    if power % 2:
        root = _root(variance, stds)
        terms = [each.times(apart(root)) for each in terms]
    return terms


def _root(variance: Sequence[Monomial], stds: Container[Node]) -> Monomial:
    """A standard deviation: σ of σ², which is not negative, and √ of whatever is no square."""
    front, rest = Monomial(), list(variance)
    if len(rest) == 1:
        (only,) = rest
        held = Counter(e for e in only.entries if e.node in stds and not {*e.at} & {*only.bound})
        squares = [entry for entry, times in held.items() for _ in range(times // 2)]
        left = Counter(only.entries)
        left.subtract([*squares, *squares])
        front = Monomial(sqrt(only.number), tuple(squares))
        rest = [replace(only, number=1.0, entries=tuple(left.elements()))]
        if rest == [Monomial()]:
            return front
    axes = tuple(sorted(carried(rest)))
    root = scalar_map(sp.sqrt(symbol(0)), node_of(rest, axes))
    return front.times(Monomial(entries=(TensorEntry(root, root.axes),)))


def _waves(expr: Any, count: int, arity: int, covariances: Covariances) -> Any | None:
    """E of sums of products of exp, sin and cos of what is affine in the first arguments."""
    names = {pair: symbol(arity + at) for at, pair in enumerate(covariances)}
    random = [symbol(at) for at in range(count)]
    total: Any = sp.Integer(0)
    for term in sp.Add.make_args(expr):
        number, factors = term.as_coeff_mul()
        grown: Any = sp.Integer(0)
        angles: list[tuple[Any, bool]] = []  # each with whether it is of a sine
        for factor in factors:
            base, times = factor.as_base_exp()
            if isinstance(factor, sp.exp):
                grown += factor.args[0]
            elif isinstance(base, (sp.sin, sp.cos)) and times.is_Integer and times > 0:
                angles += [(base.args[0], isinstance(base, sp.sin))] * int(times)
            else:
                return None
        if not factors or len(angles) > _MOST_WAVES:
            return None
        if not all(_is_affine(each, random) for each in (grown, *(angle for angle, _ in angles))):
            return None
        total += number * _wave(grown, angles, random, names)
    return total


def _is_affine(expr: Any, random: Sequence[Any]) -> bool:
    """Is it affine in the random arguments, with numbers as slopes?"""
    if not expr.is_polynomial(*random) or sp.Poly(expr, *random).total_degree() > 1:
        return False
    return not any(sp.diff(expr, each).free_symbols for each in random)


def _wave(
    grown: Any,
    angles: Sequence[tuple[Any, bool]],
    random: Sequence[Any],
    names: Mapping[tuple[int, int], Any],
) -> Any:
    """E of an exponential times sines and cosines: the mean of waves of all sums of angles.

    cos a cos b is ½ (cos(a + b) + cos(a − b)), and sin a is cos(a − ½ π).
    """
    if not angles:
        return sp.exp(grown + _spread(grown, grown, random, names) / 2)
    (first, is_sine), *rest = angles
    total: Any = sp.Integer(0)
    for signs in product((1, -1), repeat=len(rest)):
        angle = first + sum(s * a for s, (a, _) in zip(signs, rest, strict=True))
        quarters = int(is_sine) + sum(s for s, (_, sine) in zip(signs, rest, strict=True) if sine)
        # E exp(g) cos(a) = exp(g + ½ (Var g − Var a)) cos(a + Cov(g, a)), at the means of both
        bent = _spread(grown, grown, random, names) - _spread(angle, angle, random, names)
        shifted = angle + _spread(grown, angle, random, names)
        turned = (sp.cos(shifted), sp.sin(shifted), -sp.cos(shifted), -sp.sin(shifted))
        total += sp.exp(grown + bent / 2) * turned[quarters % 4]
    return total / 2 ** len(rest)


def _spread(
    one: Any, other: Any, random: Sequence[Any], names: Mapping[tuple[int, int], Any]
) -> Any:
    """The covariance of two affine expressions."""
    found: Any = sp.Integer(0)
    for (i, j), name in names.items():
        a, b = sp.diff(one, random[i]), sp.diff(other, random[j])
        found += a * b * name
        if i != j:
            found += sp.diff(one, random[j]) * sp.diff(other, random[i]) * name
    return found
