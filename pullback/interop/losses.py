"""Losses of other libraries as ours, exact to the factor, by the names of torch's functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pullback.errors import ConversionError
from pullback.interop.rows import Held
from pullback.nn import BCELoss, CrossEntropy, LogisticLoss, Loss, MSELoss

LOSSES: dict[str, type[Loss]] = {
    "cross_entropy": CrossEntropy, "nll_loss": CrossEntropy, "mse_loss": MSELoss,
    "binary_cross_entropy_with_logits": BCELoss, "binary_cross_entropy": BCELoss,
    "soft_margin_loss": LogisticLoss,
}  # fmt: skip
# the options that change a loss beyond its reduction, with the value at which they do not
_NEUTRAL = {"weight": None, "pos_weight": None, "label_smoothing": 0.0, "ignore_index": -100,
            "size_average": None, "reduce": None}  # fmt: skip


def our_loss(name: str, reduction: str, options: Mapping[str, Any]) -> Loss:
    """Our loss for one of torch's functions.

    Raises ConversionError for options that ours has not.
    """
    if reduction not in ("mean", "sum"):
        raise ConversionError(
            f"{name} has reduction={reduction!r}; expected 'mean' or 'sum', a single number"
        )
    ours = LOSSES[name]
    known = {field.name for field in fields(ours)}
    given = {k: _value(v) for k, v in options.items() if not _is_neutral(v, _NEUTRAL.get(k))}
    for option, value in given.items():
        if option not in known:
            shown = "a tensor" if hasattr(value, "shape") else repr(value)
            raise ConversionError(f"{name} has {option}={shown}, which pullback's losses have not")
    if ours is BCELoss:
        given["from_logits"] = name.endswith("with_logits")
    return ours(reduction=reduction, **given)


def _is_neutral(value: Any, neutral: Any) -> bool:
    return value is neutral or (not hasattr(value, "shape") and value == neutral)


def _value(value: Any) -> Any:
    return value.law if isinstance(value, Held) else value
