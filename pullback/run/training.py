"""Training in steps: an engine runs them in chunks; here it is decided what runs next."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from pullback.errors import NonFiniteError
from pullback.run.compiled import Array
from pullback.run.course import Course, copied
from pullback.run.engine import Engine
from pullback.run.interrupt import Interrupt
from pullback.run.network import Network
from pullback.run.optim import Optimizer
from pullback.run.optim.schedule import rates_at
from pullback.run.progress import Progress
from pullback.run.resume import State
from pullback.run.samples import Samples

_CHUNK = 0.05  # seconds of steps between two looks at the clock and at Ctrl-C


@dataclass
class _Epoch:
    """One pass over the data: which samples, at which rates, and what came of it so far."""

    order: Array | None
    rates: Array
    losses: Array
    right: int = 0


class Training:
    """Runs an engine through the epochs of a course, over samples in batches of one size."""

    def __init__(
        self,
        net: Network,
        samples: Samples,
        engine: Engine,
        optimizer: Optimizer,
        batch_size: int,
        random: np.random.Generator | None,
    ) -> None:
        self._net, self._samples, self._engine = net, samples, engine
        self._rate, self._size, self._random = optimizer.learning_rate, batch_size, random
        self._starts = np.arange(0, len(samples), batch_size)
        self._counts = np.diff(self._starts, append=len(samples)).astype(np.float64)
        self._steps = len(self._starts)
        self._pace = 1  # steps that fit into a chunk

    def restore(self, state: State) -> None:
        """Go on from a saved state."""
        for name, value in self._engine.params.items():
            value[...] = state.params[name]
        for name, slot in self._engine.slots.items():
            slot[...] = state.memory[name]
        self._engine.done = state.steps
        if self._random is not None and state.random is not None:
            self._random.bit_generator.state = state.random

    def run(self, course: Course, interrupt: Interrupt, bar: Progress) -> None:
        """Epoch after epoch until the course is over, or Ctrl-C."""
        while course.going:
            self._epoch(course, interrupt, bar)

    def _epoch(self, course: Course, interrupt: Interrupt, bar: Progress) -> None:
        started, before = time.perf_counter(), self._engine.vector.copy()
        first = self._engine.done + 1
        order = None if self._random is None else self._random.permutation(len(self._samples))
        rates = rates_at(self._rate, np.arange(first, first + self._steps))
        epoch = _Epoch(order, rates, np.empty(self._steps))
        try:
            at = 0
            while at < self._steps:
                if interrupt.asked:
                    course.interrupted = True
                    return
                at = self._chunk(epoch, at, course, bar)
            self._check_weights(epoch, course)
        except NonFiniteError as fault:
            self._engine.vector[...] = before
            fault.params = copied(self._engine.params)
            raise
        columns = self._columns(epoch)
        if callable(self._rate):
            columns["learning_rate"] = float(rates[-1])
        columns["seconds"] = time.perf_counter() - started
        random = None if self._random is None else dict(self._random.bit_generator.state)
        course.epoch_done(
            columns, self._engine.params, self._engine.slots, self._engine.done, random
        )

    def _chunk(self, epoch: _Epoch, at: int, course: Course, bar: Progress) -> int:
        """Run some steps from step ``at`` of the epoch; the number of the one that comes next."""
        started = time.perf_counter()
        end = min(at + self._pace, self._steps)
        rows = slice(at * self._size, min(end * self._size, len(self._samples)))
        part, order = self._samples, None
        if epoch.order is not None:
            order = epoch.order[rows]
        elif at or end < self._steps:
            part = self._samples[rows]
        with np.errstate(all="ignore"):  # what is not finite is found by looking
            outcome = self._engine.run(
                part.x, part.target, order, self._size, epoch.rates[at:end], part.weight
            )
        epoch.losses[at : at + len(outcome.losses)] = outcome.losses
        epoch.right += outcome.hits
        if outcome.failed is not None:
            raise self._diverged(epoch, at + outcome.failed, course.done)
        seconds = max(time.perf_counter() - started, 1e-9)
        self._pace = max(1, int((end - at) * _CHUNK / seconds))
        bar.advance(rows.stop - rows.start, outcome.losses[-1])
        return end

    def _rows(self, epoch: _Epoch, step: int) -> Array | slice:
        """The samples of one step of the epoch."""
        rows = slice(step * self._size, (step + 1) * self._size)
        return rows if epoch.order is None else epoch.order[rows]

    def _diverged(self, epoch: _Epoch, step: int, epochs_done: int) -> NonFiniteError:
        inputs = self._samples[self._rows(epoch, step)].inputs
        where = self._net.first_not_finite(self._engine.params, inputs)
        number = epochs_done * self._steps + step + 1
        return NonFiniteError(
            f"step {number} (epoch {epochs_done + 1}, batch {step + 1}): {where}; "
            f"the learning rate is {epoch.rates[step]:.3g}: try a smaller one, or clip_norm"
        )

    def _check_weights(self, epoch: _Epoch, course: Course) -> None:
        """The last update of an epoch can break the weights; nothing after it would tell."""
        if not np.isfinite(self._engine.vector).all():
            raise self._diverged(epoch, self._steps - 1, course.done)

    def _columns(self, epoch: _Epoch) -> dict[str, float]:
        loss, score = self._net.criterion, epoch.right / len(self._samples)
        if loss.reduction == "mean":
            share = self._shares(epoch)
            value = float(share @ epoch.losses / share.sum())
        else:
            value = float(epoch.losses.sum())
        return {"loss": value} | ({} if loss.target == "values" else {"accuracy": score})

    def _shares(self, epoch: _Epoch) -> Array:
        """How much each batch counts: its samples, or the sum of their weights."""
        if self._samples.weight is None:
            return self._counts
        weight = self._samples.weight.astype(np.float64)
        ordered = weight if epoch.order is None else weight[epoch.order]
        return np.asarray(np.add.reduceat(ordered, self._starts))
