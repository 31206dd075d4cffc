"""Training: the update rule, batch after batch, until the epochs are done."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pullback.errors import ConfigError, NonFiniteError, whole
from pullback.run import checkpoint as checkpoints
from pullback.run.checks import checked_data, checked_parameters
from pullback.run.compiled import Array, Compiled
from pullback.run.metrics import hits
from pullback.run.network import Network, Parameters
from pullback.run.optim import SGD, Optimizer, Updater
from pullback.run.progress import Progress
from pullback.run.vector import ravel

History = dict[str, list[float]]
Callback = Callable[[int, Parameters, History], None]


@dataclass(frozen=True)
class FitResult:
    """What training learnt, and how it went: one history entry an epoch.

    ``history["loss"]`` is the mean over the epoch's batches (their sum for a loss with
    reduction="sum"), each taken before its update. ``interrupted`` tells of a Ctrl-C.
    """

    params: Parameters
    history: History = field(default_factory=dict)
    interrupted: bool = False

    def text(self) -> str:
        """One line: the epochs, and the last entry of each column."""
        last = ", ".join(
            f"{name} {values[-1]:.4g}" for name, values in self.history.items() if values
        )
        state = " (interrupted)" if self.interrupted else ""
        return f"{len(self.history['loss'])} epochs{state}: {last}"

    def to_dict(self) -> dict[str, Any]:
        """The history as plain data."""
        return {"history": self.history, "interrupted": self.interrupted}


def fit(
    net: Network,
    X: Any,
    Y: Any,
    params: Mapping[str, Any] | None = None,
    optimizer: Optimizer = SGD(0.1, momentum=0.9),  # noqa: B008  frozen
    epochs: int = 20,
    batch_size: int | None = 32,
    shuffle: bool = True,
    validation: tuple[Any, Any] | None = None,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    progress: bool = True,
    callback: Callback | None = None,
) -> FitResult:
    """Train a network on X (batch, features) and Y; training runs in X's dtype.

    Start from ``params``, or from ``net.init(seed)``. ``batch_size=None`` is full batch.
    ``checkpoint`` names a safetensors file that is rewritten after each epoch, and
    ``callback(epoch, params, history)`` is called after each. Ctrl-C ends training and returns
    what has been learnt. Equal seeds give equal bits.
    Raises ConfigError for options that make no sense and the errors of ``value_and_grad`` for data;
    a loss that is not finite raises NonFiniteError, whose ``params`` are those before that epoch.

    >>> import pullback as pb
    >>> net = pb.Network(pb.Linear(1, 1), loss=pb.SquaredError())
    >>> X = np.array([[0.0], [1.0], [2.0]])
    >>> result = fit(net, X, 3 * X + 1, epochs=200, batch_size=None, progress=False)
    >>> {name: value.round(3).tolist() for name, value in result.params.items()}
    {'weight': [[3.0]], 'bias': [1.0]}
    """
    x, target = checked_data(net, X, Y)
    held_out = checked_data(net, *validation) if validation is not None else None
    size = _batch_size(batch_size, len(x))
    epochs = whole("epochs", epochs)
    start = checked_parameters(net, params if params is not None else net.init(seed), x.dtype)
    run = _Training(net, start, optimizer)
    rng = np.random.default_rng(seed)
    interrupted = False
    with Progress(epochs, len(x), enabled=progress) as bar:
        try:
            for epoch in range(epochs):
                batches = _batches(len(x), size, rng if shuffle and size < len(x) else None)
                run.epoch(epoch, x, target, batches, bar)
                if held_out is not None:
                    run.validate(*held_out)
                bar.epoch_done(run.history)
                if checkpoint is not None:
                    facts = {"epoch": epoch + 1, "history": run.history}
                    checkpoints.save(checkpoint, run.params, **facts)
                if callback is not None:
                    callback(epoch, run.snapshot(), run.history)
        except KeyboardInterrupt:
            interrupted = True
    return FitResult(run.snapshot(), run.history, interrupted)


class _Training:
    """All weights in one vector, their gradient in another, and the programs that work on them."""

    def __init__(self, net: Network, start: Parameters, optimizer: Optimizer) -> None:
        self.net, self.history = net, History()
        self.vector, unravel = ravel(start)
        self.slope = np.zeros_like(self.vector)
        self.params, self.grads = unravel(self.vector), unravel(self.slope)
        self.updater = Updater(optimizer, self.vector.size, self.vector.dtype)
        self.step: Compiled = net.training_program

    def snapshot(self) -> Parameters:
        """A copy of the parameters as they are."""
        return {name: value.copy() for name, value in self.params.items()}

    def epoch(
        self, number: int, x: Array, target: Array, batches: list[Array | slice], bar: Progress
    ) -> None:
        """One pass over the data, an update for each batch."""
        started, before = time.perf_counter(), self.vector.copy()
        total, right = 0.0, 0
        by_mean = self.net.criterion.reduction == "mean"
        for at, batch in enumerate(batches):
            inputs = {"x": x[batch], "target": target[batch]}
            values = self.step(self.params, inputs, self.grads)
            loss, count = float(values["loss"]), len(inputs["x"])
            if not np.isfinite(loss):
                where = self.net.first_not_finite(self.params, inputs["x"], inputs["target"])
                fault = NonFiniteError(f"epoch {number + 1}, batch {at + 1}: {where}")
                self.vector[:] = before
                fault.params = self.snapshot()
                raise fault
            self.updater.step(self.vector, self.slope)
            total += loss * count if by_mean else loss
            right += hits(self.net.criterion, values["output"], inputs["target"]) or 0
            bar.advance(count)
        self._note("loss", total / len(x) if by_mean else total)
        if self.net.criterion.target != "values":
            self._note("accuracy", right / len(x))
        self._note("seconds", time.perf_counter() - started)

    def validate(self, x: Array, target: Array) -> None:
        """The loss, and the accuracy of a classifier, on data that is not trained on."""
        self._note("validation_loss", self.net.loss(self.params, x, target))
        right = hits(self.net.criterion, self.net.predict(self.params, x), target)
        if right is not None:
            self._note("validation_accuracy", right / len(x))

    def _note(self, name: str, value: float) -> None:
        self.history.setdefault(name, []).append(value)


def _batch_size(batch_size: int | None, samples: int) -> int:
    if batch_size is None:
        return samples
    if whole("batch_size", batch_size, also=", or None") > samples:
        raise ConfigError(
            f"batch_size is {batch_size}, but there are {samples} samples; None takes them all"
        )
    return batch_size


def _batches(samples: int, size: int, rng: np.random.Generator | None) -> list[Array | slice]:
    """The samples of each batch: slices in order, or pieces of a random order."""
    starts = range(0, samples, size)
    if rng is None:
        return [slice(start, start + size) for start in starts]
    order = rng.permutation(samples)
    return [order[start : start + size] for start in starts]
