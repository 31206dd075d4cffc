"""What the caller gives, checked and completed: a module, data, a loss and an optimiser of torch's.

What is not given is taken as most people mean it, and said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.doctor.lesson import Lesson
from pullback.doctor.outputs import loss_name
from pullback.doctor.setup import TrainingSetup, Updates, each, inputs, parameters
from pullback.errors import ConfigError, DataError, ShapeError, shown, whole
from pullback.interop.extras import Late
from pullback.interop.torch.copies import copied
from pullback.interop.torch.write import to_torch
from pullback.net.network import Network
from pullback.nn import (
    BCELoss,
    BinaryCrossEntropy,
    CrossEntropy,
    HuberLoss,
    L1Loss,
    LogisticLoss,
    Loss,
    MSELoss,
    NLLLoss,
    SmoothL1Loss,
    SquaredError,
)

torch: Any = Late("torch", "torch")

EPOCHS, STEPS, BATCH, RATE = 20, 1000, 32, 1e-3


@dataclass(frozen=True)
class Asked:
    """The set-up to examine, and what had to be assumed to have it."""

    setup: TrainingSetup
    notes: tuple[str, ...]


def given(
    module: Any, X: Any, Y: Any, loss: Any, optimizer: Any, batch: Any, epochs: Any, seed: int
) -> Asked:
    """The set-up that is meant.

    Raises ConfigError for what is no module, no loss or no optimiser of torch's, or has no
    parameters; ShapeError for samples that do not pair up, DataError where there are none,
    ConversionError for a module that cannot be copied.
    """
    notes: list[str] = []
    if isinstance(module, Network):
        loss = _loss_of(module.criterion) if loss is None else loss
        module = to_torch(module, module.init(seed))
        notes.append(f"the network's weights are those of init(seed={seed})")
    if not isinstance(module, torch.nn.Module):
        raise ConfigError(
            f"module_or_net is {shown(module)}; expected a torch.nn.Module or a pb.Network"
        )
    held = list(parameters(module))
    if any(torch.nn.parameter.is_lazy(p) for p in held):
        raise ConfigError(
            f"{type(module).__name__} has lazy parameters, which have no shape yet; run it once on "
            "a few samples before: module(X[:2])"
        )
    if not held:
        raise ConfigError(f"{type(module).__name__} has no parameters: there is nothing to train")
    dtype = next((p.dtype for p in held if p.is_floating_point()), torch.float32)
    X, Y = each(X, lambda x: _tensor("X", x, dtype)), _tensor("Y", Y, dtype)
    counts = {len(x) if x.dim() else 0 for x in inputs(X)}
    if counts != {len(Y) if Y.dim() else 0}:
        raise ShapeError(
            f"X has {', '.join(map(str, sorted(counts)))} samples and Y has "
            f"{len(Y) if Y.dim() else 'no axis of them'}; expected as many of one as of the other, "
            "along the first axis"
        )
    if not len(Y):
        raise DataError("X and Y are empty: there are no samples")
    if len(Y) == 1:
        notes.append("there is one sample: what is said is about learning it by heart")
    if loss is None:
        loss = _guess(Y)
        notes.append(f"no loss is given: {type(loss).__name__} is taken")
    elif isinstance(loss, Loss):
        loss = _loss_of(loss)
    if isinstance(loss, type):
        raise ConfigError(
            f"loss is the class {loss.__name__}; expected one made of it: {loss.__name__}()"
        )
    if not callable(loss):
        raise ConfigError(f"loss is {shown(loss)}; expected one of torch's, or a function")
    if optimizer is None:
        optimizer = torch.optim.Adam(held, lr=RATE)
        notes.append(f"no optimizer is given: Adam with rate {RATE:g} is taken")
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise ConfigError(f"optimizer is {shown(optimizer)}; expected one of torch.optim")
    updates = Updates.of(optimizer)
    if batch is None:
        batch = BATCH
        notes.append(f"no batch_size is given: {min(batch, len(Y))} is taken")
    batch = whole("batch_size", batch)
    if epochs is None:
        epochs = max(EPOCHS, -(-STEPS // -(-len(Y) // batch)))
        notes.append(f"no epochs are given: {epochs} are taken")
    epochs = whole("epochs", epochs)
    task = Lesson.of(Y.detach().cpu().numpy(), loss_name(loss))
    ours = copied(torch, module)
    found = TrainingSetup(
        ours,
        loss,
        updates.held_by(module, ours, loss),
        X,
        Y,
        min(batch, len(Y)),
        epochs,
        task,
        seed,
    )
    return Asked(found, tuple(notes))


def _tensor(name: str, value: Any, dtype: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach()
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "biuf":
        raise ConfigError(f"{name} is {shown(value)}; expected an array or a tensor of numbers")
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.to(dtype) if array.dtype.kind == "f" else tensor.long()


def _guess(Y: Any) -> Any:
    if not Y.dtype.is_floating_point:
        return torch.nn.CrossEntropyLoss()
    return torch.nn.MSELoss()


def _loss_of(loss: Loss) -> Any:
    """One of our losses as torch has it."""
    nn = torch.nn
    mean = loss.reduction
    match loss:
        case NLLLoss():
            return nn.NLLLoss(reduction=mean)
        case CrossEntropy():
            return nn.CrossEntropyLoss(reduction=mean, label_smoothing=loss.label_smoothing)
        case BCELoss(from_logits=False):
            return nn.BCELoss(reduction=mean)
        case BinaryCrossEntropy():
            return nn.BCEWithLogitsLoss(reduction=mean)
        case LogisticLoss():
            return nn.SoftMarginLoss(reduction=mean)
        case MSELoss():
            return nn.MSELoss(reduction=mean)
        case HuberLoss():
            return nn.HuberLoss(reduction=mean, delta=loss.delta)
        case SmoothL1Loss():
            return nn.SmoothL1Loss(reduction=mean, beta=loss.beta)
        case L1Loss():
            return nn.L1Loss(reduction=mean)
        case SquaredError():
            scale = 1 if mean == "sum" else None
            return lambda z, y: (z - y).square().sum() / (2 * (scale or len(z)))
    raise ConfigError(f"the loss {loss!r} has no counterpart in torch; give loss=, one of torch's")
