"""Training in steps: an engine runs them in chunks; here it is decided what runs next."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pullback.errors import ConfigError, DataError, NonFiniteError
from pullback.interrupt import Interrupt
from pullback.net.checks import is_finite
from pullback.net.modes import check_several, drawn, step_seed
from pullback.net.network import Network
from pullback.net.program import Array
from pullback.train.engine import Engine
from pullback.train.epochs import Course, copied
from pullback.train.history import OptimizerState
from pullback.train.member import Member
from pullback.train.optim import Optimizer
from pullback.train.optim.schedule import rates_at
from pullback.train.progress import Progress
from pullback.train.samples import Samples, Source
from pullback.train.state import State

_CHUNK = 0.05  # seconds of steps between two looks at the clock and at Ctrl-C
_RATES = 2**16  # rates that are looked at at once
_ORDERED = 2**18  # samples that an engine is told the order of at once, where that is drawn


@dataclass
class _Part:
    """Samples of an epoch that are in memory: in which order, at which rates, what came of it."""

    samples: Samples
    size: int
    order: Array | None
    rates: Array
    losses: Array
    batch: int  # how many batches of the epoch were before
    step: int  # how many steps were before
    right: int = 0

    def rows(self, step: int) -> Array | slice:
        """The samples of one of its steps."""
        rows = slice(step * self.size, (step + 1) * self.size)
        return rows if self.order is None else self.order[rows]

    def shares(self) -> Array:
        """How much each batch counts: its samples, or the sum of their weights."""
        if self.samples.weight is None:
            counts = np.full(len(self.losses), float(self.size))
            counts[-1] = self.samples.count - self.size * (len(counts) - 1)
            return counts
        starts = np.arange(0, self.samples.count, self.size)
        weight = self.samples.weight.astype(np.float64)
        ordered = weight if self.order is None else weight[self.order]
        return np.asarray(np.add.reduceat(ordered, starts))


@dataclass
class _Sums:
    """What the parts of an epoch add up to."""

    steps: int = 0
    places: int = 0
    right: int = 0
    share: float = 0.0
    shared_loss: float = 0.0
    loss: float = 0.0

    def add(self, part: _Part, share: Array) -> None:
        self.steps += len(part.losses)
        self.places += part.samples.places
        self.right += part.right
        self.share += float(share.sum())
        self.shared_loss += float(share @ part.losses)
        self.loss += float(part.losses.sum())


class Training:
    """Runs an engine through the epochs of a course, over a source's samples in batches.

    ``batch_size`` None takes each part of the source as one batch; noise is drawn from ``seed``.
    All processes that train together run alike: what could differ is agreed on.
    """

    def __init__(
        self,
        net: Network,
        source: Source,
        engine: Engine,
        optimizer: Optimizer,
        batch_size: int | None,
        random: np.random.Generator | None,
        seed: int = 0,
        member: Member = Member(),  # noqa: B008  frozen
    ) -> None:
        self._seed, self._member = seed, member
        self._net, self._source, self._engine = net, source, engine
        self._rate, self._size, self._random = optimizer.learning_rate, batch_size, random
        self._changed = (*net.trained, *net.update_keys)
        self._pace = 1  # steps that fit into a chunk
        self._in_chunks = True  # may several epochs be one chunk?
        # where a function gives them, the rates so far tell it from another function
        self._rates = hashlib.blake2b(digest_size=16) if callable(self._rate) else None

    def restore(self, state: State) -> None:
        """Go on from a saved state; raises ConfigError where it had other learning rates."""
        if self._rates is not None:
            for first in range(1, state.steps + 1, _RATES):
                last = min(first + _RATES, state.steps + 1)
                self._rates.update(rates_at(self._rate, np.arange(first, last)).tobytes())
            if self._rates.hexdigest() != state.rates:
                raise ConfigError(
                    f"the checkpoint is of another training: its first {state.steps} steps had "
                    "other learning rates; resume with the schedule that it was begun with, or "
                    "name another checkpoint"
                )
        self._engine.restore(state.params, self._engine.slots, state.steps)
        self.recall(OptimizerState(dict(state.memory), state.steps))
        if self._random is not None and state.random is not None:
            self._random.bit_generator.state = state.random

    @property
    def optimizer_state(self) -> OptimizerState:
        """What the optimiser remembers by now."""
        slots = {name: slot.copy() for name, slot in self._engine.slots.items()}
        return OptimizerState(slots, self._engine.done)

    def recall(self, state: OptimizerState) -> None:
        """Go on with what the optimiser remembered; raises ConfigError for another one's memory."""
        for name, slot in self._engine.slots.items():
            if name not in state.slots or state.slots[name].shape != slot.shape:
                raise ConfigError(
                    f"optimizer_state has no {name!r} of shape {slot.shape}; expected that of the "
                    "same optimiser and network"
                )
        self._engine.restore(self._engine.params, state.slots, state.steps)

    def run(self, course: Course, interrupt: Interrupt, bar: Progress) -> None:
        """Epoch after epoch until the course is over, or Ctrl-C."""
        while course.going:
            count = 1 if interrupt.asked else self._at_once(course)
            if count == 1:
                self._epoch(course, interrupt, bar)
            else:
                self._epochs(course, count)

    def _epoch(self, course: Course, interrupt: Interrupt, bar: Progress) -> None:
        started, before = time.perf_counter(), copied(self._engine.params)
        sums, part = _Sums(), None
        try:
            for samples in self._source.parts(self._random):
                part = self._part(samples, sums.steps)
                at = 0
                while at < len(part.rates):
                    asked, self._pace = self._member.largest(int(interrupt.asked), self._pace)
                    if asked:
                        course.interrupted = True
                        return
                    at = self._chunk(part, at, course, bar)
                sums.add(part, part.shares())
            if part is None:
                raise DataError(f"epoch {course.done + 1} has no samples: nothing came from X")
            self._check_weights(part, course)
        except NonFiniteError as fault:
            fault.params = before
            raise
        columns = self._columns(sums) | self._last_rate(part)
        columns["seconds"] = time.perf_counter() - started
        columns |= course.validated(self._engine.scores)
        random = None if self._random is None else dict(self._random.bit_generator.state)
        rates = None if self._rates is None else self._rates.hexdigest()
        course.epoch_done(
            columns, self._engine.params, self._engine.slots, self._engine.done, random, rates
        )
        course.agree(self._member)

    def _at_once(self, course: Course) -> int:
        """How many epochs to run before anybody looks at what came of them."""
        source, engine = self._source, self._engine
        alone = isinstance(source, Samples) and source.together is None
        if not alone or course.is_watched or not (self._in_chunks and engine.takes_epochs):
            return 1
        count = source.count or 1
        size = min(self._size or count, count)
        most = min(self._pace // -(-count // size), course.epochs - course.done)
        if self._random is not None and size < count:
            most = min(most, _ORDERED // count)
        return max(1, most)

    def _epochs(self, course: Course, count: int) -> None:
        """Run several epochs as one chunk, or none of them where one fails."""
        assert isinstance(self._source, Samples)
        samples, engine, undo = self._source, self._engine, self._undoing()
        started = time.perf_counter()
        parts = [self._part(samples, 0, number) for number in range(count)]
        order = np.broadcast_to(np.arange(samples.count), (count, samples.count))
        if parts[0].order is not None:
            order = np.stack([part.order for part in parts if part.order is not None])
        rates = np.concatenate([part.rates for part in parts])
        with np.errstate(all="ignore"):  # what is not finite is found by looking
            outcome = engine.run(samples.arrays, order, parts[0].size, rates)
        if outcome.failed is not None or not self._weights_are_finite():
            undo()
            self._in_chunks = False  # the epoch that fails is to be alone
            return
        seconds = (time.perf_counter() - started) / count
        losses, right = (each.reshape(count, -1) for each in (outcome.losses, outcome.right))
        self._pace = max(1, int(losses.shape[1] * _CHUNK / max(seconds, 1e-9)))
        rows, share = list[dict[str, float]](), parts[0].shares()
        for number, part in enumerate(parts):
            part.losses, part.right, sums = losses[number], int(right[number].sum()), _Sums()
            sums.add(part, share if samples.weight is None else part.shares())
            rows.append({**self._columns(sums), **self._last_rate(part), "seconds": seconds})
        course.epochs_done(rows)

    def _undoing(self) -> Callable[[], None]:
        """What brings back how things stand now."""
        params, memory, random = copied(self._engine.params), self.optimizer_state, self._random
        state = None if random is None else random.bit_generator.state
        rates = None if self._rates is None else self._rates.copy()

        def undo() -> None:
            self._engine.restore(params, memory.slots, memory.steps)
            self._rates = rates
            if random is not None and state is not None:
                random.bit_generator.state = state

        return undo

    def _last_rate(self, part: _Part) -> dict[str, float]:
        return {"learning_rate": float(part.rates[-1])} if callable(self._rate) else {}

    def _part(self, samples: Samples, batch: int, epochs: int = 0) -> _Part:
        """Samples with what is drawn for them, so many epochs from now on."""
        count = samples.count
        size = min(self._size or count, count)
        if self._net.several:
            for last in {size, count % size or size}:
                check_several(self._net, samples.of_length(last))
        order = None
        if samples.together is not None:
            order = self._member.mixed(self._random, count, size)
        elif self._random is not None and size < count:
            order = self._random.permutation(count)
        steps = -(-count // size)
        done = self._engine.done + epochs * steps
        rates = rates_at(self._rate, np.arange(done + 1, done + 1 + steps))
        if self._rates is not None:
            self._rates.update(rates.tobytes())
        return _Part(samples, size, order, rates, np.empty(steps), batch, done)

    def _chunk(self, part: _Part, at: int, course: Course, bar: Progress) -> int:
        """Run some steps from step ``at`` of the part; the number of the one that comes next."""
        started = time.perf_counter()
        end = min(at + self._pace, len(part.rates))
        rows = slice(at * part.size, min(end * part.size, part.samples.count))
        samples, order = part.samples, None
        if part.order is not None:
            order = part.order[rows]
        elif at or end < len(part.rates):
            samples = part.samples[rows]
        with np.errstate(all="ignore"):  # what is not finite is found by looking
            outcome = self._engine.run(samples.arrays, order, part.size, part.rates[at:end])
        part.losses[at : at + len(outcome.losses)] = outcome.losses
        part.right += outcome.hits
        if course.first_loss is None:
            course.first_loss = float(outcome.losses[0])
        if outcome.failed is not None:
            raise self._diverged(part, at + outcome.failed, course.done)
        seconds = max(time.perf_counter() - started, 1e-9)
        self._pace = max(1, int((end - at) * _CHUNK / seconds))
        bar.advance(rows.stop - rows.start, outcome.losses[-1])
        return end

    def _diverged(self, part: _Part, step: int, epochs_done: int) -> NonFiniteError:
        rows = part.rows(step)
        if not isinstance(rows, slice):
            rows = rows[rows >= 0]  # what this process has of them
        inputs = dict(part.samples[rows].arrays)
        inputs |= drawn(self._net, inputs, step_seed(self._seed, part.step + step))
        where = self._net.first_not_finite(self._engine.params, inputs)
        return NonFiniteError(
            f"step {part.step + step + 1} (epoch {epochs_done + 1}, "
            f"batch {part.batch + step + 1}): {where}"
        )

    def _check_weights(self, part: _Part, course: Course) -> None:
        """The last update of an epoch can break the weights; nothing after it would tell."""
        if not self._weights_are_finite():
            raise self._diverged(part, len(part.rates) - 1, course.done)

    def _weights_are_finite(self) -> bool:
        params = self._engine.params
        return all(map(is_finite, map(params.__getitem__, self._changed)))

    def _columns(self, sums: _Sums) -> dict[str, float]:
        loss = self._net.criterion
        value = sums.shared_loss / sums.share if loss.reduction == "mean" else sums.loss
        accuracy = {"accuracy": sums.right / sums.places} if loss.is_scored else {}
        return {"loss": value, **accuracy}
