"""torch's losses as ours, exact to the factor, and refused where there is none."""

from __future__ import annotations

from typing import Any

from pullback.errors import ConversionError
from pullback.interop.extras import library
from pullback.nn import BCELoss, CrossEntropy, LogisticLoss, Loss, MSELoss

# the options that change a loss beyond its reduction, with the value at which they do not
_NEUTRAL = {"weight": None, "pos_weight": None, "label_smoothing": 0.0, "ignore_index": -100}
KNOWN = (
    "CrossEntropyLoss, NLLLoss after LogSoftmax, MSELoss, BCEWithLogitsLoss, BCELoss and "
    "SoftMarginLoss of torch, or a loss of pullback"
)


def drops_log_softmax(loss: Any) -> bool:
    """Does a LogSoftmax before this loss make no difference, or belong to it?"""
    return type(loss).__name__ in ("CrossEntropyLoss", "NLLLoss", "CrossEntropy")


def loss_of(loss: Any, outputs: int | None, log_softmax: str | None = None) -> Loss:
    """Our loss for one of torch's; one of ours is itself.

    ``log_softmax`` says where a LogSoftmax ends the model, if one does. torch's BCE losses
    average over the outputs too, as ``BCELoss`` does.
    Raises ConversionError for other losses and for options that ours have not.

    >>> import torch
    >>> loss_of(torch.nn.CrossEntropyLoss(), 3)
    CrossEntropy(reduction='mean')
    """
    if isinstance(loss, Loss):
        return loss
    nn = library("torch", "torch").nn
    name = type(loss).__name__
    if not isinstance(loss, nn.Module) or type(loss) is not getattr(nn, name, None):
        what = "no loss is given" if loss is None else f"the loss {_shown(loss)} has no counterpart"
        raise ConversionError(f"{what}; known: {KNOWN}")
    _check_options(name, loss)
    reduction: str = loss.reduction
    match name:
        case "CrossEntropyLoss":
            return CrossEntropy(reduction)
        case "NLLLoss":
            if not log_softmax:
                raise ConversionError(
                    "NLLLoss needs a model that ends in LogSoftmax; give logits and "
                    "CrossEntropyLoss"
                )
            return CrossEntropy(reduction)
        case "MSELoss":
            return MSELoss(reduction)
        case "BCEWithLogitsLoss":
            return BCELoss(from_logits=True, reduction=reduction)
        case "BCELoss":
            return BCELoss(from_logits=False, reduction=reduction)
        case "SoftMarginLoss":
            if outputs != 1 and reduction == "mean":
                raise ConversionError(
                    f"SoftMarginLoss averages over the {outputs} outputs, LogisticLoss sums over "
                    "them; give reduction='sum', or pb.LogisticLoss() for gradients "
                    f"{outputs} times as large"
                )
            return LogisticLoss(reduction)
    raise ConversionError(f"the loss {_shown(loss)} has no counterpart; known: {KNOWN}")


def _check_options(name: str, loss: Any) -> None:
    if getattr(loss, "reduction", "mean") not in ("mean", "sum"):
        raise ConversionError(
            f"{name} has reduction={loss.reduction!r}; expected 'mean' or 'sum', a single number"
        )
    for option, neutral in _NEUTRAL.items():
        value = getattr(loss, option, neutral)
        if value is not neutral and value != neutral:
            shown = "a tensor" if hasattr(value, "shape") else repr(value)
            raise ConversionError(f"{name} has {option}={shown}, which pullback's losses have not")


def _shown(loss: Any) -> str:
    return str(getattr(loss, "__name__", loss))
