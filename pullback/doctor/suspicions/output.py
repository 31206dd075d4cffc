"""The output against the loss and the labels: what contradicts itself whatever is trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pullback.doctor.observe import Observations
from pullback.doctor.outputs import ERRORS
from pullback.doctor.setup import TrainingSetup, inputs
from pullback.doctor.surgery import instead, without
from pullback.doctor.suspicion import CERTAIN, Suspicion
from pullback.doctor.suspicions.classes import class_numbers
from pullback.doctor.tape import TorchCall
from pullback.interop.extras import Late

torch: Any = Late("torch", "torch")

_LOGITS = {"cross_entropy": "softmax", "binary_cross_entropy_with_logits": "sigmoid"}
_RANGES = {
    "sigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "softmax": (0.0, 1.0),
    "hardtanh": (-1.0, 1.0),
    "hardsigmoid": (0.0, 1.0),
    "softsign": (-1.0, 1.0),
}
_SHOWN = {
    "softmax": "Softmax",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "relu": "ReLU",
    "log_softmax": "LogSoftmax",
}


def suspect(seen: Observations) -> Iterator[Suspicion]:
    """Suspicions about the last call and the loss."""
    last = seen.tape.last
    if seen.output is None:
        yield _cannot_run(seen)
        return
    if last is None:
        return
    name = last.name
    if name in ("softmax", "log_softmax") and (axis := _useless_axis(seen, last)):
        yield _useless_softmax(seen, last, axis)
    elif name in ("softmax", "sigmoid") and seen.name in _LOGITS:
        yield _twice(seen, last)
    elif name in _RANGES and seen.name in (*ERRORS, "own"):
        yield from _out_of_reach(seen, last, *_RANGES[name])
    elif name == "relu":
        yield from _one_sided(seen, last)
    if seen.name == "nll_loss" and not _sums_to_one(seen.output):
        yield _no_log_softmax(seen, last)
    if seen.name == "binary_cross_entropy" and seen.fault and name != "sigmoid":
        yield _no_sigmoid(seen, last)


def _cannot_run(seen: Observations) -> Suspicion:
    shapes = " and ".join(str(tuple(x.shape)) for x in inputs(seen.setup.X))
    return Suspicion(
        "cannot run",
        (seen.tape.stopped or "model",),
        f"it cannot run on inputs {shapes}: torch says {seen.fault!r}",
        "give this part what it expects",
        weight=CERTAIN + 2,
    )


def _useless_axis(seen: Observations, last: TorchCall) -> str:
    """How a softmax says nothing: over one unit, or over the batch."""
    axis = last.axis
    if axis is None:
        axis = 0 if last.out.dim() in (0, 1, 3) else 1
    if last.out.shape[axis] == 1:
        return "one unit"
    return "the batch" if axis == 0 and len(seen.output) > 1 and last.out.dim() > 1 else ""


def _useless_softmax(seen: Observations, last: TorchCall, axis: str) -> Suspicion:
    one = axis == "one unit"
    classes = seen.setup.task.classes
    what = (
        "softmax over one single unit is 1 for every sample, so no gradient passes it"
        if one
        else "softmax runs over the batch (dim=0): the samples compete, not the classes"
    )
    y = seen.setup.Y
    probabilities = seen.name == "binary_cross_entropy" or bool(((y >= 0) & (y <= 1)).all())
    if one and probabilities and seen.name not in _LOGITS:
        change = instead(seen.setup, seen.tape, last, torch.nn.Sigmoid, torch.sigmoid)
        fix, code = "a Sigmoid in its place", "nn.Sigmoid()"
    elif one or seen.name in _LOGITS:
        change = without(seen.setup, seen.tape, last)
        why = "the loss applies its own" if seen.name in _LOGITS else "the targets are any numbers"
        fix, code = f"leave it out: {why}", "# no Softmax"
    else:
        kind = "LogSoftmax" if last.name == "log_softmax" else "Softmax"
        change = instead(
            seen.setup,
            seen.tape,
            last,
            lambda: getattr(torch.nn, kind)(dim=-1),
            lambda x: getattr(torch, last.name)(x, -1),
        )
        fix, code = "let it run over the classes", f"nn.{kind}(dim=-1)"
    weight = CERTAIN + (0.2 if classes else 0.1)
    place = (seen.place(last),)
    return Suspicion("softmax axis", place, what, fix, code, change, weight, last)


def _twice(seen: Observations, last: TorchCall) -> Suspicion:
    loss = type(seen.setup.loss).__name__
    own = _LOGITS[seen.name]
    first = "" if last.name == own else f", after this {last.name},"
    what = (
        f"the {last.name} on the output is followed by the loss's own: {loss} applies a {own} "
        f"itself{first} and expects logits; it sees {_span(seen.output)}"
    )
    return Suspicion(
        "double activation",
        (seen.place(last),),
        what,
        f"leave the {_SHOWN[last.name]} out",
        f"# no nn.{_SHOWN[last.name]}() before {loss}",
        without(seen.setup, seen.tape, last),
        CERTAIN,
        last,
    )


def _span(output: Any) -> str:
    return f"{float(output.min()):.2g} to {float(output.max()):.2g}"


def _out_of_reach(
    seen: Observations, last: TorchCall, low: float, high: float
) -> Iterator[Suspicion]:
    y = seen.setup.Y.double()
    room = 1e-3 * (high - low)
    outside = float(((y < low - room) | (y > high + room)).double().mean())
    if not outside or class_numbers(seen):
        return
    what = (
        f"the {last.name} on the output is confined to [{low:g}, {high:g}], and {outside:.0%} of "
        f"the targets lie outside this range ({_span(y)})"
    )
    yield Suspicion(
        "bounded output",
        (seen.place(last),),
        what,
        f"leave the {last.name} out",
        f"# no {last.name} after the last layer",
        without(seen.setup, seen.tape, last),
        CERTAIN,
        last,
    )


def _one_sided(seen: Observations, last: TorchCall) -> Iterator[Suspicion]:
    y = seen.setup.Y
    below = float((y < 0).double().mean()) if y.dtype.is_floating_point else 0.0
    logits = seen.name in _LOGITS or seen.name == "nll_loss"
    if not logits and not below:
        return
    why = (
        "logits below 0 are out of its range"
        if logits
        else f"{below:.0%} of the targets are negative"
    )
    what = f"ReLU after the last layer: {why}"
    yield Suspicion(
        "one-sided output",
        (seen.place(last),),
        what,
        "leave the last ReLU out",
        "# no ReLU after the last layer",
        without(seen.setup, seen.tape, last),
        CERTAIN,
        last,
    )


def _sums_to_one(output: Any) -> bool:
    if output.dim() < 2:
        return True
    total = output.double().exp().sum(dim=1)
    return bool(((total - 1).abs() < 1e-2).all())


def _no_log_softmax(seen: Observations, last: TorchCall) -> Suspicion:
    total = seen.output.double().exp().sum(dim=1).mean()
    what = (
        "NLLLoss expects log-probabilities and gets raw numbers (their exponentials sum to "
        f"{float(total):.3g}, not 1); it falls without bound"
    )

    def changed(setup: TrainingSetup) -> TrainingSetup:
        if last.name == "softmax":
            return replace(
                without(setup, seen.tape, last)(setup), loss=_as_cross_entropy(setup.loss)
            )
        return replace(setup, loss=_as_cross_entropy(setup.loss))

    return Suspicion(
        "no log-softmax",
        ("loss", seen.place(last)),
        what,
        "CrossEntropyLoss, or a LogSoftmax at the end",
        "loss = nn.CrossEntropyLoss()",
        changed,
        CERTAIN,
    )


def _as_cross_entropy(loss: Any) -> Any:
    return torch.nn.CrossEntropyLoss(weight=getattr(loss, "weight", None))


def _no_sigmoid(seen: Observations, last: TorchCall) -> Suspicion:
    what = (
        f"BCELoss expects probabilities and gets {_span(seen.output)}: there is no sigmoid on the "
        f"output; torch says {seen.fault!r}"
    )
    return Suspicion(
        "no sigmoid",
        ("loss", seen.place(last)),
        what,
        "BCEWithLogitsLoss, which has it inside",
        "loss = nn.BCEWithLogitsLoss()",
        lambda setup: replace(setup, loss=torch.nn.BCEWithLogitsLoss()),
        CERTAIN,
    )
