"""Negative log-likelihoods of counts and of normal values, and the divergence of distributions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pullback import ir
from pullback.errors import ConfigError, ShapeError, finite
from pullback.ir import Axes, Node
from pullback.ir.axis import show
from pullback.ir.build import scalar_map, sum_over
from pullback.ir.layout import taken
from pullback.nn.loss.base import Array, Loss, Target, outputs_of


@dataclass(frozen=True)
class PoissonNLLLoss(Loss):
    """exp z − y z for counts y with the rate exp z, averaged or summed over batch and outputs.

    Without ``log_input`` z is the rate: z − y log(z + eps). ``full`` adds Stirling's
    y log y − y + ½ log 2πy for y above 1. Raises ConfigError unless eps is above 0.
    """

    log_input: bool = field(default=True, kw_only=True)
    full: bool = field(default=False, kw_only=True)
    eps: float = field(default=1e-8, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _above_zero("PoissonNLLLoss: eps", self.eps)

    @property
    def target(self) -> Target:
        return "values"

    def per_sample(self, output: Node, target: Node) -> Node:
        z, y = ir.symbol(0), ir.symbol(1)
        each = (
            ir.fn("exp")(z) - y * z if self.log_input else z - y * ir.fn("log")(z + float(self.eps))
        )
        if self.full:
            large = ir.Piecewise((y, y > 1), (1, True))
            stirling = large * ir.fn("log")(large) - large + ir.fn("log")(2 * ir.pi * large) / 2
            each += ir.Piecewise((stirling, y > 1), (0, True))
        return self._reduced(scalar_map(each, output, target), outputs_of(output))

    def estimate(self, output: Array) -> Array:
        return np.asarray(np.exp(output)) if self.log_input else output


@dataclass(frozen=True)
class GaussianNLLLoss(Loss):
    """½ (log v + (m − y)²/v) for normal y, averaged or summed over batch and outputs.

    The last axis of the output holds the means m and after them as many variances v, (batch, …,
    2 · outputs) for targets (batch, …, outputs); give the model an end that keeps v above 0. Below
    ``eps`` it counts as eps, with slope 0 (torch: as at eps). ``full`` adds ½ log 2π.
    Raises ConfigError unless eps is above 0, ShapeError for an odd number of outputs.

    >>> import numpy as np
    >>> import pullback as pb
    >>> net = pb.Network(pb.Identity(), loss=GaussianNLLLoss(), x="features=2")
    >>> value, _ = net.value_and_grad({}, np.array([[3.0, 4.0]]), np.array([[1.0]]))
    >>> np.isclose(value, (np.log(4) + 2**2 / 4) / 2)
    np.True_
    """

    full: bool = field(default=False, kw_only=True)
    eps: float = field(default=1e-6, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _above_zero("GaussianNLLLoss: eps", self.eps)

    @property
    def target(self) -> Target:
        return "values"

    def target_axes(self, output: Axes) -> Axes:
        *others, last = output
        if not others or last.size is None or last.size % 2:
            raise ShapeError(
                f"GaussianNLLLoss needs as many variances as means along the last axis, found "
                f"{show(output)}; expected an even number of outputs"
            )
        half = last.size // 2
        return (*others, ir.Axis(f"{last.name}:{half}", half))

    def per_sample(self, output: Node, target: Node) -> Node:
        axis, half = output.axes[-1], target.axes[-1]
        m, v, y = (ir.symbol(at) for at in range(3))
        eps = float(self.eps)
        held = ir.Piecewise((v, v > eps), (eps, True))
        each = ir.fn("log")(held) / 2 + (m - y) ** 2 / (2 * held)
        if self.full:
            each += ir.fn("log")(2 * ir.pi) / 2
        mean, variance = (taken(output, axis, half, at) for at in (0, half.size or 0))
        return self._reduced(scalar_map(each, mean, variance, target), outputs_of(target))

    def estimate(self, output: Array) -> Array:
        return output[..., : output.shape[-1] // 2]


@dataclass(frozen=True, repr=False)
class KLDivLoss(Loss):
    """y (log y − z) for log-probabilities z and probabilities y (Kullback and Leibler 1951).

    It is averaged or summed over batch and outputs; ``reduction="batchmean"`` is the sum over
    outputs, averaged over the batch, which is the divergence itself. With ``log_target`` the
    targets are log y.
    """

    log_target: bool = field(default=False, kw_only=True)
    batchmean: bool = field(default=False, init=False)

    def __init__(self, reduction: str = "mean", *, log_target: bool = False) -> None:
        object.__setattr__(self, "batchmean", reduction == "batchmean")
        object.__setattr__(self, "reduction", "mean" if self.batchmean else reduction)
        object.__setattr__(self, "log_target", log_target)
        self.__post_init__()

    @property
    def target(self) -> Target:
        return "values"

    def per_sample(self, output: Node, target: Node) -> Node:
        z, y = ir.symbol(0), ir.symbol(1)
        if self.log_target:
            each: Any = ir.fn("exp")(y) * (y - z)
        else:
            each = y * (ir.fn("log")(ir.Piecewise((y, y > 0), (1, True))) - z)
        terms = scalar_map(each, output, target)
        if self.batchmean:
            return sum_over(terms, outputs_of(output))
        return self._reduced(terms, outputs_of(output))

    def estimate(self, output: Array) -> Array:
        return output if self.log_target else np.asarray(np.exp(output))

    def __repr__(self) -> str:
        reduction = "batchmean" if self.batchmean else self.reduction
        return f"KLDivLoss(reduction={reduction!r}, log_target={self.log_target!r})"


def _above_zero(name: str, eps: float) -> None:
    finite(name, eps)
    if eps <= 0:
        raise ConfigError(f"{name} is {eps}; expected a number above 0")
