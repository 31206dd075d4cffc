"""The backward recursion at infinite width: the law of δ at a unit, given the unit's own value.

A cotangent is a function of the unit's value plus independent noise. The weights carry δ back *and*
made the values that it depends on; by Stein's lemma this adds a term in the trace of ∂δ/∂z, so the
recursion carries three numbers a layer: E δ, E δ² and the trace per unit. Without the trace it is
the usual independence assumption (Schoenholz et al. 2017, section 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pullback.calculus.quadrature import Array, Grid, hermite
from pullback.errors import NotApplicableError
from pullback.moments.law.activation import Moments
from pullback.moments.law.forward import Signal, Stage
from pullback.moments.law.layers import Applied, Branch, Layer
from pullback.moments.law.weights import Weights

_PLAIN_TERMS = 2  # E δ and the trace
_SKIP_TERMS = 32  # across a skip the whole function of the unit matters


@dataclass(frozen=True)
class OnUnit:
    """A cotangent of a Gaussian unit h: E[· | h] by its Hermite coefficients, and E of its square.

    ``terms`` is (terms, cases): the first is the mean, the second is std · E ∂(·)/∂h.
    """

    terms: Array
    square: Array


@dataclass(frozen=True)
class CotangentLine:
    """A cotangent that is  offset + slope · a  of its unit's value a, plus noise of a variance."""

    offset: Array
    slope: Array
    noise: Array


Cotangent = OnUnit | CotangentLine


@dataclass(frozen=True)
class DeltaMoments:
    """δ at one Linear for each case: E δ, E δ², and the trace of ∂δ/∂z per unit."""

    mean: Array
    square: Array
    trace: Array


def backward(
    steps: Sequence[Stage],
    start: Cotangent,
    weights: Sequence[Weights],
    coupled: bool,
) -> dict[int, DeltaMoments]:
    """δ at every Linear by its index, from the cotangent of the last output.

    ``coupled`` carries the trace; else it is taken as 0, which is independence.
    """
    sweep = _Sweep(weights, coupled, terms_needed(steps))
    sweep.through(steps, start)
    return sweep.found


def terms_needed(steps: Sequence[Stage]) -> int:
    """How many Hermite coefficients of a cotangent matter in this network."""
    return _SKIP_TERMS if any(isinstance(step.op, Branch) for step in steps) else _PLAIN_TERMS


class _Sweep:
    def __init__(self, weights: Sequence[Weights], coupled: bool, terms: int) -> None:
        self.weights, self.coupled, self.terms = weights, coupled, terms
        self.found: dict[int, DeltaMoments] = {}

    def through(self, steps: Sequence[Stage], arriving: Cotangent) -> Cotangent:
        for step in reversed(steps):
            if isinstance(step.op, Layer):
                arriving = self.affine(step.op, step.after, arriving)
            elif isinstance(step.op, Applied):
                assert step.moments is not None
                arriving = self.pointwise(step.moments, arriving)
            else:
                arriving = self.skip(step, step.op, arriving)
        return arriving

    def affine(self, op: Layer, z: Signal, arriving: Cotangent) -> CotangentLine:
        """Wᵀδ = n⁺ (μ E δ + σ² trace · a) + noise of variance n⁺ σ² E δ²."""
        delta = self.found[op.index] = _delta(arriving, z)
        law = self.weights[op.index]
        trace = delta.trace if self.coupled else np.zeros_like(delta.trace)
        return CotangentLine(
            offset=op.n_out * law.mean * delta.mean,
            slope=op.n_out * law.variance * trace,
            noise=op.n_out * law.variance * delta.square,
        )

    def pointwise(self, at: Moments, arriving: Cotangent) -> OnUnit:
        """φ'(z) (offset + slope φ(z) + noise), as a function of z."""
        line = _line(arriving)
        inner = line.offset[:, None] + line.slope[:, None] * at.f
        value = at.slope * inner
        terms = expansion(at.grid, value, self.terms)
        return OnUnit(terms, at.expect(value**2) + line.noise * at.s2)

    def skip(self, step: Stage, op: Branch, arriving: Cotangent) -> Cotangent:
        added = step.inner[-1].after
        onward = _seen_from(arriving, added, step.before, step.after, op.scale)
        kept = _seen_from(arriving, step.before, added, step.after, 1.0, op.scale)
        return self.sum(kept, self.through(step.inner, onward), step.before)

    def sum(self, one: Cotangent, two: Cotangent, unit: Signal) -> Cotangent:
        """Two cotangents of one unit, whose noises are independent."""
        if isinstance(one, CotangentLine) and isinstance(two, CotangentLine):
            return CotangentLine(
                one.offset + two.offset, one.slope + two.slope, one.noise + two.noise
            )
        a, b = (self.on_unit(each, unit) for each in (one, two))
        cross = np.einsum("tc,tc->c", a.terms, b.terms)
        if not self.coupled:
            cross = a.terms[0] * b.terms[0]
        return OnUnit(a.terms + b.terms, a.square + b.square + 2 * cross)

    def on_unit(self, cotangent: Cotangent, unit: Signal) -> OnUnit:
        if isinstance(cotangent, OnUnit):
            return cotangent
        if not unit.gaussian:
            raise NotApplicableError("a cotangent is expanded around units that are not Gaussian")
        terms = np.zeros((self.terms, len(unit.mean)))
        terms[0] = cotangent.offset + cotangent.slope * unit.mean
        terms[1] = cotangent.slope * np.sqrt(unit.variance)
        return OnUnit(terms, terms[0] ** 2 + terms[1] ** 2 + cotangent.noise)


def _line(cotangent: Cotangent) -> CotangentLine:
    if isinstance(cotangent, CotangentLine):
        return cotangent
    raise NotApplicableError("an activation is followed by something that is not a Linear")


def _delta(arriving: Cotangent, z: Signal) -> DeltaMoments:
    if isinstance(arriving, CotangentLine):
        mean = arriving.offset + arriving.slope * z.mean
        square = mean**2 + arriving.slope**2 * z.variance + arriving.noise
        return DeltaMoments(mean, square, arriving.slope)
    std = np.sqrt(z.variance)
    trace = np.divide(arriving.terms[1], std, out=np.zeros_like(std), where=std > 0)
    return DeltaMoments(arriving.terms[0], arriving.square, trace)


def _seen_from(
    cotangent: Cotangent,
    unit: Signal,
    other: Signal,
    total: Signal,
    scale: float,
    rest: float = 1.0,
) -> Cotangent:
    """The cotangent of scale · unit + rest · other, as a cotangent of the unit alone."""
    if isinstance(cotangent, CotangentLine):
        away = cotangent.slope * rest
        return CotangentLine(
            scale * (cotangent.offset + away * other.mean),
            scale**2 * cotangent.slope,
            scale**2 * (cotangent.noise + away**2 * other.variance),
        )
    share = scale * np.sqrt(unit.variance)
    std = np.sqrt(total.variance)
    # Mehler: a correlation shrinks the n-th Hermite coefficient by its n-th power
    correlation = np.divide(share, std, out=np.zeros_like(std), where=std > 0)
    powers = correlation ** np.arange(len(cotangent.terms))[:, None]
    return OnUnit(scale * powers * cotangent.terms, scale**2 * cotangent.square)


def expansion(nodes: Grid, values: Array, terms: int) -> Array:
    """The Hermite coefficients (terms, cases) of a function given at nodes (cases, nodes)."""
    basis = hermite(nodes.x, terms)
    return np.asarray(np.einsum("tgn,gn,gn->tg", basis, nodes.weight, values))
