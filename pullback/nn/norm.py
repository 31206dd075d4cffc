"""Norms: x made alike along some axes, by statistics that are equations of their own."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from pullback.errors import ConfigError, ShapeError, finite, require, shown, whole
from pullback.ir import Axes, Named, Node
from pullback.ir.axis import show
from pullback.ir.build import add, mean_over, multiply, pointwise, subtract
from pullback.nn.block import Block
from pullback.nn.scope import Scope

# torch's RMSNorm without eps takes that of the dtype; one network runs in both precisions
_LEAST = 2.0**-52


@dataclass(frozen=True)
class Statistics:
    """What a norm takes out: the mean, None for none, and the factor ``inverse`` = 1/√(σ² + ε).

    ``variance`` is σ², the biased one: the mean square of what is left without the mean.
    """

    mean: Named | None
    variance: Node
    inverse: Named


def statistics(x: Node, axes: Axes, at: Scope, eps: float, centred: bool = True) -> Statistics:
    """The statistics of x over some axes, as the equations ``mean`` and ``inverse`` at a place."""
    mean = at.stat(mean_over(x, axes), "mean") if centred else None
    left = x if mean is None else subtract(x, mean)
    variance = mean_over(multiply(left, left), axes)
    inverse = pointwise(lambda x: 1 / (x + float(eps)) ** Fraction(1, 2), variance)
    return Statistics(mean, variance, at.stat(inverse, "inverse"))


def normalised(x: Node, mean: Node | None, inverse: Node) -> Node:
    """x̂ = (x − mean) · inverse, without a mean that is None."""
    return multiply(x if mean is None else subtract(x, mean), inverse)


def rescaled(x: Node, gain: Node | None, bias: Node | None) -> Node:
    """x̂ · gain + bias, without those that are None."""
    scaled = x if gain is None else multiply(x, gain)
    return scaled if bias is None else add(scaled, bias)


def as_equations(x: Node, gain: Node | None, bias: Node | None, at: Scope) -> Named:
    """x̂ · gain + bias at a place; x̂ is an equation of its own, by which its gradient is short."""
    if gain is None and bias is None:
        return at.a(x)
    return at.a(rescaled(at.a(x, "normalised"), gain, bias))


@dataclass(frozen=True)
class LayerNorm(Block):
    """(x − μ)/√(σ² + eps) · weight + bias, μ and σ² over the last axes of each sample.

    ``normalized_shape`` is the size of the last axis, or those of the last axes; ``weight`` and
    ``bias`` have that shape and start at 1 and 0. Without ``elementwise_affine`` there are none.
    Raises ConfigError for sizes below 1 and ShapeError where the last axes have others.

    >>> [(spec.name, spec.shape) for spec in LayerNorm(6).parameters("1")]
    [('1.weight', (6,)), ('1.bias', (6,))]
    """

    normalized_shape: int | tuple[int, ...]
    eps: float = 1e-5
    elementwise_affine: bool = True
    bias: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "normalized_shape", _sizes(self, self.normalized_shape))
        _at_least_zero(self, self.eps)
        require("LayerNorm: elementwise_affine", self.elementwise_affine, bool, "True or False")
        require("LayerNorm: bias", self.bias, bool, "True or False")

    @property
    def n_in(self) -> int:
        return _sizes(self, self.normalized_shape)[-1]

    def build(self, x: Node, at: Scope) -> Node:
        at = Scope(at)
        axes = _last(self, x, _sizes(self, self.normalized_shape), at)
        found = statistics(x, axes, at, self.eps)
        gain = at.parameter("weight", axes, 1.0) if self.elementwise_affine else None
        bias = at.parameter("bias", axes, 0.0) if self.elementwise_affine and self.bias else None
        return as_equations(normalised(x, found.mean, found.inverse), gain, bias, at)


@dataclass(frozen=True)
class RMSNorm(Block):
    """x/√(mean x² + eps) · weight, over the last axes of each sample (Zhang and Sennrich 2019).

    ``normalized_shape`` and ``weight`` are as in LayerNorm. ``eps=None`` is 2.2e-16, float64's, in
    both precisions; torch then takes 1.2e-7 in float32, which differs only where x is nearly 0.
    Raises ConfigError for sizes below 1 and ShapeError where the last axes have others.

    >>> [(spec.name, spec.shape) for spec in RMSNorm(6).parameters("1")]
    [('1.weight', (6,))]
    """

    normalized_shape: int | tuple[int, ...]
    eps: float | None = None
    elementwise_affine: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "normalized_shape", _sizes(self, self.normalized_shape))
        if self.eps is not None:
            _at_least_zero(self, self.eps)
        require("RMSNorm: elementwise_affine", self.elementwise_affine, bool, "True or False")

    @property
    def n_in(self) -> int:
        return _sizes(self, self.normalized_shape)[-1]

    def build(self, x: Node, at: Scope) -> Node:
        at = Scope(at)
        axes = _last(self, x, _sizes(self, self.normalized_shape), at)
        eps = _LEAST if self.eps is None else self.eps
        inverse = statistics(x, axes, at, eps, centred=False).inverse
        gain = at.parameter("weight", axes, 1.0) if self.elementwise_affine else None
        return as_equations(normalised(x, None, inverse), gain, None, at)


def _sizes(block: Block, shape: object) -> tuple[int, ...]:
    """The sizes of the last axes; raises ConfigError for what is none."""
    name = f"{type(block).__name__}: normalized_shape"
    sizes = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    if not sizes:
        raise ConfigError(f"{name} is {shown(shape)}; expected a size, or those of the last axes")
    return tuple(whole(name, size) for size in sizes)


def _at_least_zero(block: Block, eps: float) -> None:
    name = f"{type(block).__name__}: eps"
    finite(name, eps)
    if eps < 0:
        raise ConfigError(f"{name} is {eps}; expected a number from 0, as 1e-5")


def _last(block: Block, x: Node, sizes: tuple[int, ...], at: Scope) -> Axes:
    """The last axes of x, which have to have these sizes and not to be the batch."""
    if len(x.axes) <= len(sizes):
        raise ShapeError(
            f"{block!r} at {at.where} needs {len(sizes)} axes after the batch, found {show(x.axes)}"
        )
    axes = x.axes[-len(sizes) :]
    return tuple(at.sized(axis, size, block) for axis, size in zip(axes, sizes, strict=True))
