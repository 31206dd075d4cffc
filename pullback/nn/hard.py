"""Activations in pieces, with torch's slopes where the pieces meet."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from pullback import ir
from pullback.errors import ConfigError, ShapeError, finite, whole
from pullback.ir import Contract, Node
from pullback.ir.axis import show
from pullback.ir.build import scalar_map
from pullback.nn.block import Block
from pullback.nn.elementwise import Elementwise
from pullback.nn.scope import Scope


@dataclass(frozen=True)
class ReLU6(Elementwise):
    """f(z) = min(max(z, 0), 6), with slope 0 at both ends."""

    def expression(self) -> Any:
        return ir.clipped(ir.symbol(0), 0, 6, strict=True)


@dataclass(frozen=True)
class Hardtanh(Elementwise):
    """f(z) = z between min_val and max_val, which it is held at outside, with slope 0 there.

    Raises ConfigError unless min_val is below max_val.

    >>> Hardtanh(-1.0, 2.0).function([-3.0, 0.5, 3.0])
    array([-1. ,  0.5,  2. ])
    """

    min_val: float = -1.0
    max_val: float = 1.0

    def __post_init__(self) -> None:
        for name in ("min_val", "max_val"):
            finite(f"Hardtanh: {name}", getattr(self, name))
        if not self.min_val < self.max_val:
            raise ConfigError(
                f"Hardtanh: min_val is {self.min_val} and max_val {self.max_val}; expected a "
                "smaller and a larger number"
            )

    def expression(self) -> Any:
        low, high = ir.number(float(self.min_val)), ir.number(float(self.max_val))
        return ir.clipped(ir.symbol(0), low, high, strict=True)


@dataclass(frozen=True)
class Hardsigmoid(Elementwise):
    """f(z) = z/6 + 1/2 between −3 and 3, 0 below and 1 above (Howard et al. 2019)."""

    def expression(self) -> Any:
        x = ir.symbol(0)
        return ir.clipped(x, -3, 3, x / 6 + Fraction(1, 2), strict=True)


@dataclass(frozen=True)
class Hardswish(Elementwise):
    """f(z) = z (z + 3)/6 between −3 and 3, 0 below and z above (Howard et al. 2019)."""

    def expression(self) -> Any:
        x = ir.symbol(0)
        return ir.clipped(x, -3, 3, x * (x + 3) / 6, strict=True, above=x)


@dataclass(frozen=True)
class PReLU(Block):
    """f(z) = z above 0 and weight · z elsewhere, with a slope that is learnt (He et al. 2015).

    ``weight`` (num_parameters,) starts at ``init``: one slope for all entries, or one for each
    entry of axis 1, the channels or the features of (batch, features).
    Raises ConfigError for a number of slopes below 1, ShapeError where axis 1 has another size.

    >>> [(spec.name, spec.shape) for spec in PReLU(3).parameters("1")]
    [('1.weight', (3,))]
    """

    num_parameters: int = 1
    init: float = 0.25

    def __post_init__(self) -> None:
        whole("PReLU: num_parameters", self.num_parameters)
        finite("PReLU: init", self.init)

    def build(self, x: Node, at: Scope) -> Node:
        at = Scope(at)
        slope = self._slope(x, at)
        z, s = ir.symbol(0), ir.symbol(1)
        return at.a(scalar_map(ir.Piecewise((z, z > 0), (s * z, True)), x, slope))

    def _slope(self, x: Node, at: Scope) -> Node:
        if self.num_parameters == 1:
            weight = at.parameter("weight", (at.axis("slope", 1),), float(self.init))
            return Contract((weight,), ())
        if len(x.axes) < 2:
            raise ShapeError(f"{self!r} at {at.where} needs an axis 1, found {show(x.axes)}")
        channels = at.sized(x.axes[1], self.num_parameters, self)
        return at.parameter("weight", (channels,), float(self.init))
