"""The forward recursion: how the law of a unit moves through the network, at infinite width.

Poole et al. 2016, section 2, with weights of any mean and skips. A pre-activation is Gaussian.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pullback.calculus.quadrature import Array
from pullback.errors import NotApplicableError
from pullback.moments.law.activation import Moments, moments
from pullback.moments.law.layers import Applied, Branch, Layer, Op
from pullback.moments.law.weights import Weights

_BEYOND = 1e120  # fourth powers at 12 standard deviations still are numbers


@dataclass(frozen=True)
class Signal:
    """A unit's mean and mean square, for each case; whether its law is Gaussian."""

    mean: Array
    square: Array
    gaussian: bool

    @property
    def variance(self) -> Array:
        """Its variance, never below 0."""
        return np.asarray(np.maximum(self.square - self.mean**2, 0.0))


@dataclass(frozen=True)
class Stage:
    """One operation with what went in and what came out."""

    op: Op
    before: Signal
    after: Signal
    moments: Moments | None = None
    inner: tuple[Stage, ...] = ()


def forward(ops: Sequence[Op], signal: Signal, weights: Sequence[Weights]) -> tuple[Stage, ...]:
    """Every operation in order with the law of its input and output.

    Raises NotApplicableError where a unit's law is not known well enough to go on or leaves the
    numbers, and NonFiniteError where an activation's moments are infinite.
    """
    steps: list[Stage] = []
    for op in ops:
        step = _step(op, signal, weights)
        if not (step.after.square < _BEYOND).all():
            raise NotApplicableError(f"E z² is beyond float64's range behind {_name(op)}")
        steps.append(step)
        signal = step.after
    return tuple(steps)


def _step(op: Op, before: Signal, weights: Sequence[Weights]) -> Stage:
    if isinstance(op, Layer):
        return Stage(op, before, through(op, before, weights[op.index]))
    if isinstance(op, Applied):
        found = pointwise(op, before)
        return Stage(op, before, Signal(found.m1, found.m2, gaussian=False), found)
    return _skip(op, before, weights)


def through(op: Layer, before: Signal, law: Weights) -> Signal:
    """z = W a + b: mean n μ E a + μ_b, variance n σ² E a² + σ_b² (σ², μ of one weight)."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean = op.n_in * law.mean * before.mean + law.bias_mean
        variance = op.n_in * law.variance * before.square + law.bias_variance
        return Signal(mean, variance + mean**2, gaussian=True)


def pointwise(op: Applied, before: Signal) -> Moments:
    """The moments of an activation on Gaussian units."""
    if not before.gaussian:
        raise NotApplicableError(f"{op.label} acts on units that are not Gaussian at any width")
    return moments(op.function, before.mean, before.variance)


def _skip(op: Branch, before: Signal, weights: Sequence[Weights]) -> Stage:
    if not any(isinstance(part, Layer) for part in op.inner):
        raise NotApplicableError(
            "a skip around a skip, with no Linear that every path passes, adds a unit to itself"
        )
    inner = forward(op.inner, before, weights)
    added = inner[-1].after
    mean = before.mean + op.scale * added.mean
    variance = before.variance + op.scale**2 * added.variance
    both = before.gaussian and added.gaussian
    return Stage(op, before, Signal(mean, variance + mean**2, both), inner=inner)


def _name(op: Op) -> str:
    return f"layer {op.name!r}" if isinstance(op, Layer) else getattr(op, "label", "a skip")


def every(steps: Sequence[Stage]) -> list[Stage]:
    """All steps, those inside skips included."""
    return [inner for step in steps for inner in (step, *every(step.inner))]


def affine_steps(steps: Sequence[Stage]) -> tuple[Stage, ...]:
    """The steps of the Linear blocks, in the order of their index."""
    return tuple(step for step in every(steps) if isinstance(step.op, Layer))


def following(steps: Sequence[Stage]) -> dict[int, tuple[Stage, Layer]]:
    """For each Linear by index: the activation on its z, and the Linear that reads its output."""
    found: dict[int, tuple[Stage, Layer]] = {}
    for one, two, three in zip(steps, steps[1:], steps[2:], strict=False):
        if isinstance(two.op, Applied) and isinstance(one.op, Layer):
            reader = _first_affine(three)
            if reader is not None:
                found[one.op.index] = (two, reader)
    for step in steps:
        found |= following(step.inner)
    return found


def _first_affine(step: Stage) -> Layer | None:
    while isinstance(step.op, Branch):
        step = step.inner[0]
    return step.op if isinstance(step.op, Layer) else None
