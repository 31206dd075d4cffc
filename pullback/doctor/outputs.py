"""What an output means under a loss: the class, the flags or the values that it says."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.doctor.lesson import Array
from pullback.doctor.setup import TrainingSetup
from pullback.interop.extras import Late

torch: Any = Late("torch", "torch")

NAMES = {
    "CrossEntropyLoss": "cross_entropy",
    "NLLLoss": "nll_loss",
    "BCELoss": "binary_cross_entropy",
    "BCEWithLogitsLoss": "binary_cross_entropy_with_logits",
    "MSELoss": "mse_loss",
    "L1Loss": "l1_loss",
    "SmoothL1Loss": "smooth_l1_loss",
    "HuberLoss": "huber_loss",
    "KLDivLoss": "kl_div",
    "SoftMarginLoss": "soft_margin_loss",
    "PoissonNLLLoss": "poisson_nll_loss",
    "MultiMarginLoss": "multi_margin_loss",
}
ERRORS = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")


def guessed(setup: TrainingSetup, output: Any) -> Array:
    """The output as guesses at the truth of the task, in its form."""
    task, kind = setup.task, loss_name(setup.loss)
    z = output.detach()
    if task.kind == "values":
        found: Array = _value(setup, z.double()).reshape(len(z), -1).cpu().numpy()
        if found.shape[1] != task.truth.shape[1]:
            found = np.broadcast_to(found[:, :1], task.truth.shape)
        return on_targets(setup, found)
    if task.kind == "flags":
        return cut(z, kind).reshape(len(z), -1)
    if z.dim() >= 2 and z.shape[1] > 1:
        return task.numbered(z.argmax(1).cpu().numpy())
    if task.classes == 2:
        return np.asarray(cut(z, kind).reshape(task.truth.shape), dtype=np.int64)
    names = np.asarray(task.names)
    near = np.abs(z.double().cpu().numpy().reshape(-1, 1) - names)
    at: Array = np.argmin(np.nan_to_num(near, nan=np.inf), axis=1).reshape(task.truth.shape)
    return at


def _value(setup: TrainingSetup, z: Any) -> Any:
    """The value that an output stands for: some losses take its logit or its logarithm."""
    kind = loss_name(setup.loss)
    if kind == "binary_cross_entropy_with_logits":
        return z.sigmoid()
    logarithm = kind == "poisson_nll_loss" and getattr(setup.loss, "log_input", True)
    return z.exp() if logarithm or kind == "kl_div" else z


def cut(z: Any, kind: str) -> Array:
    """Yes or no: above 0 for a logit, above ½ for a probability or a value."""
    logits = kind in ("binary_cross_entropy_with_logits", "soft_margin_loss", "own")
    inside = bool(((z >= 0) & (z <= 1)).all())
    found: Array = (z > (0.0 if logits and not inside else 0.5)).cpu().numpy()
    return found


def on_targets(setup: TrainingSetup, found: Array) -> Array:
    """Values as the truth has them, where the targets trained on are scaled."""
    y = setup.Y.double().cpu().numpy().reshape(len(setup.Y), -1)
    truth = setup.task.truth
    if y.shape != truth.shape or np.array_equal(y, truth):
        return found
    slope = truth.std(axis=0) / np.maximum(y.std(axis=0), 1e-30)
    scaled: Array = (found - y.mean(axis=0)) * slope + truth.mean(axis=0)
    return scaled


def loss_name(loss: Any) -> str:
    """A loss by the name of torch's function; ``own`` for one that is none of torch's."""
    name = getattr(loss, "__name__", "") or type(loss).__name__
    if name in NAMES.values() and getattr(torch.nn.functional, name, None) is loss:
        return str(name)
    kind = type(loss).__name__
    if kind in NAMES and isinstance(loss, getattr(torch.nn, kind)):
        return NAMES[kind]
    return "own"
