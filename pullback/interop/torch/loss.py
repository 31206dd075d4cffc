"""torch's losses as ours, exact to the factor; one of somebody's own as it is traced."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from pullback import calculus
from pullback.errors import ConversionError, PullbackError
from pullback.interop.criterion import TracedLoss
from pullback.interop.extras import library
from pullback.interop.losses import LOSSES, ClassesBeforePlaces, our_loss
from pullback.interop.rows import Array, Ref, Row
from pullback.interop.torch.call import ForwardCall
from pullback.interop.torch.copies import first_line
from pullback.interop.torch.nodes import RowReader
from pullback.interop.torch.trace import by_fx
from pullback.interop.torch.weights import TorchWeights
from pullback.ir import Axes, Input
from pullback.net.program import compile_program
from pullback.nn import CrossEntropy, Loss

_FUNCTIONS = {
    "CrossEntropyLoss": "cross_entropy", "NLLLoss": "nll_loss", "MSELoss": "mse_loss",
    "BCEWithLogitsLoss": "binary_cross_entropy_with_logits", "BCELoss": "binary_cross_entropy",
    "SoftMarginLoss": "soft_margin_loss", "L1Loss": "l1_loss", "SmoothL1Loss": "smooth_l1_loss",
    "HuberLoss": "huber_loss", "KLDivLoss": "kl_div", "PoissonNLLLoss": "poisson_nll_loss",
}  # fmt: skip
_OPTIONS = ("weight", "pos_weight", "label_smoothing", "ignore_index", "beta", "delta",
            "log_target", "log_input", "full", "eps")  # fmt: skip
_SAMPLES = (3, 7)
RELATIVE, ABSOLUTE = 1e-7, 1e-9


def drops_log_softmax(loss: Any) -> bool:
    """Does a LogSoftmax before this loss make no difference, or belong to it?"""
    return isinstance(loss, CrossEntropy) or _named(loss)[0] in ("cross_entropy", "nll_loss")


def loss_of(loss: Any, axes: Axes, log_softmax: str | None = None) -> Loss:
    """Our loss for one of torch's, or for a function of output and target; ours is itself.

    ``axes`` are the output's; ``log_softmax`` says where a LogSoftmax ends the model, if one does.
    torch's BCE losses average over the outputs too, as ``BCELoss`` does. What is none of torch's is
    traced, and compared with what it gives on random outputs, value and gradient.
    Raises ConversionError for options that ours have not, and for what no rows say.

    >>> import torch
    >>> from pullback.ir import Axis
    >>> loss_of(torch.nn.CrossEntropyLoss(), (Axis("batch"), Axis("units", 3)))
    CrossEntropy(reduction='mean')
    """
    if isinstance(loss, Loss):
        return loss
    if not callable(loss):
        what = "no loss is given" if loss is None else f"the loss {loss!r} is none"
        raise ConversionError(f"{what}; expected one of torch's or pullback's, or a function of it")
    name, options = _named(loss)
    if name is None:
        return _traced(loss, axes)
    outputs = axes[-1].size if axes[1:] else 1
    reduction = options.pop("reduction", "mean")
    if name == "nll_loss" and log_softmax:
        name = "cross_entropy"
    if name == "soft_margin_loss" and outputs != 1 and reduction == "mean":
        raise ConversionError(
            f"SoftMarginLoss averages over the {outputs} outputs, LogisticLoss sums over them; "
            f"give reduction='sum', or pb.LogisticLoss() for gradients {outputs} times as large"
        )
    ours = our_loss(name, reduction, options)
    of_places = ours.target == "classes" and len(axes) > 2
    return ClassesBeforePlaces(ours.reduction, of=ours) if of_places else ours


def _named(loss: Any) -> tuple[str | None, dict[str, Any]]:
    """torch's function that a loss is, if it is one, with its options."""
    functions = library("torch", "torch").nn.functional
    modules = library("torch", "torch").nn
    if isinstance(loss, partial) and not loss.args:
        name, options = _named(loss.func)
        return name, {**options, **loss.keywords}
    name = getattr(loss, "__name__", "")
    if name in LOSSES and getattr(functions, name, None) is loss:
        return name, {}
    kind = type(loss).__name__
    if kind in _FUNCTIONS and type(loss) is getattr(modules, kind):
        given = {each: getattr(loss, each) for each in _OPTIONS if hasattr(loss, each)}
        given = {
            k: v.detach().cpu().numpy() if hasattr(v, "detach") else v for k, v in given.items()
        }
        return _FUNCTIONS[kind], {"reduction": loss.reduction, **given}
    return None, {}


def _traced(loss: Any, axes: Axes) -> TracedLoss:
    """A loss that is a function of output and target, by its rows."""
    torch: Any = library("torch", "torch")
    shown = getattr(loss, "__name__", type(loss).__name__)

    class Criterion(torch.nn.Module):
        def forward(self, output: Any, target: Any) -> Any:
            return loss(output, target)

    module = Criterion()
    try:
        reader = RowReader(torch, module, "", TorchWeights(module, ""), 2)
        call = ForwardCall(("output", "target"), 2)
        found = reader.read(by_fx(torch, module, call, lambda _: False))
        if any(row.operator == "getitem" and _picks(row) for row in reader.rows):
            raise ConversionError(
                "it takes several outputs, or one sample, so that samples would mix; a network is "
                "trained on one output: pick it by output=…, or join them in forward, as "
                "torch.cat((a, b), 1), and in the loss take z[:, :3]"
            )
        if not isinstance(found, Ref):
            raise ConversionError("it gives back something else than a tensor")
        ours = TracedLoss("mean", shown, tuple(reader.rows), found)
        output, target = Input("output", axes), Input("target", axes)
        ours = TracedLoss(ours.reduced_by(output, target), shown, ours.rows, found)
    except PullbackError as fault:
        raise ConversionError(f"the loss {shown} cannot be read: {fault}") from None
    _compare(torch, loss, ours, axes)
    return ours


def _picks(row: Row) -> bool:
    """Does it take an output, or a target, out of several?"""
    return row.args[0] in (Ref(0), Ref(1)) and isinstance(row.args[1], (int, str))


def _compare(torch: Any, loss: Any, ours: TracedLoss, axes: Axes) -> None:
    """Raise ConversionError unless value and gradient agree on random outputs and targets."""
    output, target = Input("output", axes), Input("target", axes)
    value = ours.build(output, target)
    (gradient,) = calculus.gradients(value, (output,))
    program = compile_program(
        {"value": value, "gradient": gradient}, "A loss.", leaves=(output, target)
    )
    compared = False
    for z, held, theirs in _points(axes, ours.target == "classes"):
        with np.errstate(all="ignore"):
            found = program({}, {"output": z, "target": held})
        leaf = torch.from_numpy(z.copy()).requires_grad_()
        try:
            expected = loss(leaf, torch.from_numpy(theirs.copy()))
            expected.backward()
        except Exception as fault:  # outside of what the loss is defined for, or its own fault
            said = first_line(fault)
            continue
        pairs = (
            (np.asarray(found["value"]), expected.detach().numpy()),
            (found["gradient"], leaf.grad.numpy()),
        )
        for mine, other in pairs:
            if not np.isfinite(other).all():
                continue
            compared = True
            if not np.allclose(mine, other, rtol=RELATIVE, atol=ABSOLUTE):
                raise ConversionError(
                    f"the loss {ours.name} is {np.ravel(other)[0]:.6g} in torch, and as the "
                    f"{ours.reduction} over samples of what it was read as "
                    f"{np.ravel(mine)[0]:.6g}: expected a mean or a sum of one number a sample"
                )
    if not compared:
        raise ConversionError(f"the loss {ours.name} could not be compared with torch: {said}")


def _points(axes: Axes, classes: bool) -> Iterator[tuple[Array, Array, Array]]:
    """Outputs, targets as ours takes them, and as torch does."""
    rng = np.random.default_rng(0)
    for samples in _SAMPLES:
        shape = (samples, *(axis.size or 4 for axis in axes[1:]))
        z = rng.normal(size=shape)
        chances = np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)
        if classes:
            labels: Array = rng.integers(shape[-1], size=shape[:-1])
            targets: list[tuple[Array, Array]] = [(np.eye(shape[-1])[labels], labels)]
        else:
            y = rng.normal(size=shape)
            targets = [(each, each) for each in (y, np.exp(y) / (1 + np.exp(y)), np.sign(y))]
        for output in (z, chances, np.log(chances)):
            for held, theirs in targets:
                yield output, held, theirs
