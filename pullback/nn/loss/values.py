"""Losses of values: how far the output is from the target, by squares or by absolute values."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pullback import ir
from pullback.errors import ConfigError, finite
from pullback.ir import Contract, Node
from pullback.ir.build import scalar_map, scale, subtract
from pullback.nn.loss.base import Loss, Target, outputs_of


@dataclass(frozen=True)
class SquaredError(Loss):
    """½‖z − y‖², half the squared distance of each sample; its δ is z − y."""

    @property
    def target(self) -> Target:
        return "values"

    def per_sample(self, output: Node, target: Node) -> Node:
        residual = subtract(output, target)
        return scale(0.5, Contract((residual, residual), residual.axes[:1]))


@dataclass(frozen=True)
class MSELoss(Loss):
    """torch's: (z − y)² over batch and outputs, averaged or summed over both.

    One difference: for outputs (N, 1) and targets (N,) torch broadcasts both to (N, N) and compares
    every output with every target. Here targets (N,) are the column (N, 1), and a PullbackWarning
    says so; pass ``Y[:, None]`` to both libraries, and they agree.
    """

    torch_broadcasts: ClassVar[bool] = True

    @property
    def target(self) -> Target:
        return "values"

    def per_sample(self, output: Node, target: Node) -> Node:
        residual = subtract(output, target)
        squared = Contract((residual, residual), residual.axes)
        return self._reduced(squared, outputs_of(output))


@dataclass(frozen=True)
class _OfDistance(Loss):
    """A function of z − y for each entry, averaged or summed over batch and outputs."""

    torch_broadcasts: ClassVar[bool] = True

    @property
    def target(self) -> Target:
        return "values"

    @abstractmethod
    def of_distance(self, d: Any) -> Any:
        """The loss of one entry as a SymPy expression in d = z − y."""

    def per_sample(self, output: Node, target: Node) -> Node:
        each = scalar_map(self.of_distance(ir.symbol(0)), subtract(output, target))
        return self._reduced(each, outputs_of(output))


@dataclass(frozen=True)
class L1Loss(_OfDistance):
    """|z − y| over batch and outputs, averaged or summed over both; its slope is 0 at z = y."""

    def of_distance(self, d: Any) -> Any:
        return ir.fn("abs")(d)


@dataclass(frozen=True)
class SmoothL1Loss(_OfDistance):
    """(z − y)²/(2 beta) within beta, |z − y| − beta/2 beyond, averaged or summed (Girshick 2015).

    ``beta=0`` is L1Loss. Raises ConfigError for a beta below 0.
    """

    beta: float = field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        finite("SmoothL1Loss: beta", self.beta)
        if self.beta < 0:
            raise ConfigError(f"SmoothL1Loss: beta is {self.beta}; expected a number from 0")

    def of_distance(self, d: Any) -> Any:
        far, beta = ir.fn("abs")(d), float(self.beta)
        if beta == 0:
            return far
        return ir.Piecewise((d**2 / (2 * beta), far < beta), (far - beta / 2, True))


@dataclass(frozen=True)
class HuberLoss(_OfDistance):
    """½(z − y)² within delta, delta (|z − y| − delta/2) beyond, averaged or summed (Huber 1964).

    Raises ConfigError unless delta is above 0.
    """

    delta: float = field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        finite("HuberLoss: delta", self.delta)
        if self.delta <= 0:
            raise ConfigError(f"HuberLoss: delta is {self.delta}; expected a number above 0")

    def of_distance(self, d: Any) -> Any:
        far, delta = ir.fn("abs")(d), float(self.delta)
        return ir.Piecewise((d**2 / 2, far < delta), (delta * (far - delta / 2), True))
