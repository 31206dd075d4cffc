"""One training as it is watched: rows of numbers by epoch, and a picture of what is decided."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import numpy as np

from pullback.data.dataset import Array
from pullback.errors import NonFiniteError
from pullback.explore.setup import PACES, LookedAt
from pullback.explore.views import LOOKED_AT, PICTURES, classes
from pullback.net.checks import checked_data
from pullback.net.network import Parameters
from pullback.nn import Loss
from pullback.report.layers import layers_of, norms_of
from pullback.train.fit import fit
from pullback.train.history import History

SIDE, HALF = 36, 2.4  # cells of the map of a plane, and half its width
PAUSE = 0.05  # seconds between two messages
MOST_SENT = 400  # parameters that go along with the numbers

Send = Callable[[Mapping[str, Any]], None]


@dataclass
class Controls:
    """What can be asked of a training while it runs; asked from another thread."""

    going: Event = field(default_factory=Event)
    stopping: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        self.going.set()

    def ask(self, what: str) -> None:
        """pause, resume or stop."""
        if what == "pause":
            self.going.clear()
            return
        if what == "stop":
            self.stopping.set()
        self.going.set()


def train(work: LookedAt, controls: Controls, send: Send) -> None:
    """Train, and send a start, rows as they come, and an end that says why."""
    setup, start = work.setup, work.start
    watched = _Watched(work, controls, send)
    watched.begin(start)
    try:
        result = fit(
            work.net,
            *work.train,
            params=start,
            optimizer=setup.optimizer,
            epochs=setup.epochs,
            batch_size=min(setup.batch, len(work.train[0])),
            validation=work.test,
            seed=setup.seed,
            progress=False,
            callback=watched,
        )
    except NonFiniteError as fault:
        if fault.result is None:
            raise
        result = fault.result
    why = "stopped" if controls.stopping.is_set() else "done"
    sentence = result.diverged.sentence if result.diverged else None
    watched.finish(result.params, why, sentence)


class _Watched:
    """The callback of ``fit``: it gathers rows, sends them, and waits while it is paused.

    A row is epoch, loss, unseen loss, share right, unseen share right, then ‖δ‖ by layer.
    """

    def __init__(self, work: LookedAt, controls: Controls, send: Send) -> None:
        self._work, self._controls, self._send = work, controls, send
        self._layers = layers_of(work.net)
        x, target = work.train[0][:LOOKED_AT], work.train[1][:LOOKED_AT]
        self._part = checked_data(work.net, x, target)
        self._rows: list[list[float | None]] = []
        self._sent = 0.0

    def begin(self, start: Parameters) -> None:
        """Say what the columns are, and how things stand before the first step."""
        net, (X, Y), test = self._work.net, self._work.train, self._work.test
        right = [self._right(start, *part) for part in (self._work.train, test)]
        losses = [net.loss(start, X, Y), net.loss(start, *test)]
        self._note(0, start, [*losses, *right])
        layers = [layer.delta for layer in self._layers]
        self._send(
            {"event": "start", "layers": layers, "epochs": self._work.setup.epochs}
            | self._news(start)
        )

    def __call__(self, epoch: int, params: Parameters, history: History) -> None:
        """Note an epoch, tell of it now and then, and wait while training is paused."""
        columns = ("loss", "validation_loss", "accuracy", "validation_accuracy")
        found = [history[name][-1] if name in history else None for name in columns]
        if found[2] is None:
            found[2:] = [self._right(params, *p) for p in (self._work.train, self._work.test)]
        self._note(epoch + 1, params, found)
        controls = self._controls
        if not controls.going.is_set() and not controls.stopping.is_set():
            self._send({"event": "paused"} | self._news(params))
            controls.going.wait()
            if not controls.stopping.is_set():
                self._send({"event": "resumed"})
        elif time.monotonic() - self._sent >= PAUSE:
            self._send({"event": "rows"} | self._news(params))
        controls.stopping.wait(PACES[self._work.setup.pace])
        if controls.stopping.is_set():
            raise StopIteration

    def finish(self, params: Parameters, why: str, diverged: str | None) -> None:
        """The last rows, the last picture, and what went wrong, if anything did."""
        self._send({"event": "end", "why": why, "diverged": diverged} | self._news(params))

    def _note(self, epoch: int, params: Parameters, found: list[float | None]) -> None:
        trace = self._work.net.trace(params, *self._part)
        norms = norms_of(self._work.net, self._layers, trace, len(self._part[0]))
        values = [*found, *(norms[layer.path] for layer in self._layers)]
        known = [None if v is None or not np.isfinite(v) else float(v) for v in values]
        self._rows.append([epoch, *known])

    def _news(self, params: Parameters) -> dict[str, Any]:
        rows, self._rows, self._sent = self._rows, [], time.monotonic()
        news: dict[str, Any] = {"rows": rows} | self._picture(params)
        if self._work.parameters <= MOST_SENT:
            news["params"] = {name: value.tolist() for name, value in params.items()}
        return news

    def _right(self, params: Parameters, X: Array, Y: Array) -> float | None:
        """The share that is right, of classes."""
        if not self._work.data.classes:
            return None
        said = decided(self._work.net.predict(params, X), self._work.net.criterion)
        return float(np.mean(said == classes(Y)))

    def _picture(self, params: Parameters) -> dict[str, Any]:
        """What is said of each point of the plane, one digit a cell; or of the first pictures."""
        net = self._work.net
        if self._work.data.image_shape is not None and self._work.data.classes:
            said = decided(net.predict(params, self._work.test[0][:PICTURES]), net.criterion)
            return {"said": said.tolist()}
        if not self._work.plane:
            return {}
        cells = decided(net.predict(params, plane(SIDE, HALF)), net.criterion)
        return {"map": "".join(map(str, cells)), "side": SIDE, "half": HALF}


def decided(scores: Array, loss: Loss) -> Array:
    """The class of each row of outputs: the largest one's, or whether a single one is large."""
    if scores.shape[1] > 1:
        return np.asarray(scores.argmax(axis=1))
    return np.asarray((scores[:, 0] > 0).astype(int))


def plane(side: int, half: float) -> Array:
    """The points of a square lattice around 0, from its upper left corner, row by row."""
    steps = np.linspace(-half, half, side)
    x, y = np.meshgrid(steps, steps[::-1])
    return np.column_stack([x.ravel(), y.ravel()]).astype(np.float32)
