"""Losses of other libraries as ours, exact to the factor, by the names of torch's functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from pullback.errors import ConversionError
from pullback.interop.rows import Array, Held
from pullback.ir import Axes, Node
from pullback.ir.build import with_axes
from pullback.nn import (
    BCELoss,
    CrossEntropy,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    LogisticLoss,
    Loss,
    MSELoss,
    NLLLoss,
    PoissonNLLLoss,
    SmoothL1Loss,
)
from pullback.nn.loss import Target

LOSSES: dict[str, type[Loss]] = {
    "cross_entropy": CrossEntropy, "nll_loss": NLLLoss, "mse_loss": MSELoss, "l1_loss": L1Loss,
    "smooth_l1_loss": SmoothL1Loss, "huber_loss": HuberLoss, "kl_div": KLDivLoss,
    "poisson_nll_loss": PoissonNLLLoss, "soft_margin_loss": LogisticLoss,
    "binary_cross_entropy_with_logits": BCELoss, "binary_cross_entropy": BCELoss,
}  # fmt: skip
# what says nothing: torch's defaults where ours are others, and what it has given up
_NEUTRAL = {"ignore_index": -100, "weight": None, "pos_weight": None, "size_average": None,
            "reduce": None}  # fmt: skip


def our_loss(name: str, reduction: str, options: Mapping[str, Any]) -> Loss:
    """Our loss for one of torch's functions.

    Raises ConversionError for options that ours has not.
    """
    ours = LOSSES[name]
    allowed = ("mean", "sum", *(("batchmean",) if ours is KLDivLoss else ()))
    if reduction not in allowed:
        raise ConversionError(
            f"{name} has reduction={reduction!r}; expected 'mean' or 'sum', a single number"
        )
    known = {each.name for each in fields(ours)}
    given = {k: _value(v) for k, v in options.items() if not _is_neutral(k, v)}
    for option, value in given.items():
        if option not in known:
            shown = "a tensor" if hasattr(value, "shape") else repr(value)
            raise ConversionError(f"{name} has {option}={shown}, which pullback's losses have not")
    if ours is BCELoss:
        given["from_logits"] = name.endswith("with_logits")
    return ours(reduction=reduction, **given)


def _is_neutral(option: str, value: Any) -> bool:
    if option not in _NEUTRAL or hasattr(value, "shape"):
        return False
    return bool(value == _NEUTRAL[option])


def _value(value: Any) -> Any:
    return value.law if isinstance(value, Held) else value


@dataclass(frozen=True, repr=False)
class ClassesBeforePlaces(Loss):
    """A loss of classes for outputs (batch, classes, …), as torch has them.

    Targets are class numbers (batch, …), or rows (batch, …, classes).
    """

    of: Loss = field(kw_only=True)

    @property
    def target(self) -> Target:
        return self.of.target

    @property
    def ignore_index(self) -> int | None:  # type: ignore[override]
        return self.of.ignore_index

    @property
    def is_scored(self) -> bool:
        return False  # the largest output is looked for along the last axis

    def target_axes(self, output: Axes) -> Axes:
        return self.of.target_axes(_last(output))

    def share(self, target: Node) -> Node | None:
        return self.of.share(target)

    def per_sample(self, output: Node, target: Node) -> Node:
        return self.of.per_sample(with_axes(output, _last(output.axes)), target)

    def estimate(self, output: Array) -> Array:
        return self.of.estimate(np.moveaxis(output, 1, -1))

    def __repr__(self) -> str:
        return f"ClassesBeforePlaces({self.of!r})"


def _last(axes: Axes) -> Axes:
    batch, classes, *places = axes
    return (batch, *places, classes)
