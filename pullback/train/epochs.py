"""The course of a training from epoch to epoch: history, validation, checkpoints, when to end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pullback.errors import ConfigError, StorageError
from pullback.net.network import Network, Parameters
from pullback.net.program import Array
from pullback.train.history import Callback, FitResult, History
from pullback.train.member import Member
from pullback.train.origin import Origin
from pullback.train.progress import Progress
from pullback.train.resume import Checkpoints
from pullback.train.samples import Samples
from pullback.train.state import BEST, State
from pullback.train.stopping import Watch


class Course:
    """What is done after each epoch, whoever runs the steps.

    ``going`` turns false when training should end, and ``stopped`` says why where that is early.
    """

    def __init__(
        self,
        net: Network,
        epochs: int,
        validation: Samples | None,
        watch: Watch | None,
        callbacks: Sequence[Callback],
        checkpoints: Checkpoints | None,
        origin: Callable[[], Origin],
        bar: Progress,
    ) -> None:
        self.history: History = {}
        self.stopped: str | None = None
        self.interrupted = False
        self.first_loss: float | None = None  # of the first step
        self.epochs = epochs
        self._net, self._validation, self._watch = net, validation, watch
        self._callbacks, self._checkpoints, self._origin = callbacks, checkpoints, origin
        self._bar = bar
        self._best: Parameters = {}
        self._unsaved: State | None = None  # its arrays are the engine's own

    @property
    def done(self) -> int:
        """How many epochs are over."""
        return len(self.history.get("loss", ()))

    @property
    def going(self) -> bool:
        return self.done < self.epochs and self.stopped is None and not self.interrupted

    @property
    def is_watched(self) -> bool:
        """Is anything done between two epochs but to note their numbers?"""
        held_out, rule = self._validation is not None, self._watch is not None
        return held_out or rule or bool(self._callbacks) or self._checkpoints is not None

    def restore(self, state: State) -> None:
        """Go on from a saved state; raises ConfigError where it has more epochs than wanted."""
        self.history = state.history
        if self.done > self.epochs:
            raise ConfigError(
                f"epochs is {self.epochs}, but the checkpoint has been trained for {self.done}; "
                f"expected at least that many"
            )
        self._best = {
            name.removeprefix(BEST): value
            for name, value in state.memory.items()
            if name.startswith(BEST)
        }
        if self._watch is not None:
            for value in self.history[self._watch.monitor]:
                self._watch.better(value)
            self.stopped = self._watch.verdict
        self._bar.epoch_done(self.history)

    def validated(
        self, scores: Callable[[Network, Samples], Mapping[str, float]]
    ) -> dict[str, float]:
        """The columns that validation adds, by a function that scores samples."""
        if self._validation is None:
            return {}
        weighted = self._validation.weight is not None
        found = scores(self._net.weighted if weighted else self._net, self._validation)
        return {f"validation_{name}": value for name, value in found.items()}

    def epochs_done(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Note the numbers of some epochs."""
        for columns in rows:
            for name, value in columns.items():
                self.history.setdefault(name, []).append(value)
        self._bar.epoch_done(self.history)

    def epoch_done(
        self,
        columns: Mapping[str, float],
        params: Parameters,
        memory: Mapping[str, Array],
        steps: int = 0,
        random: Mapping[str, Any] | None = None,
        rates: str | None = None,
    ) -> None:
        """Note an epoch's numbers; look whether to go on, save, and call back."""
        self.epochs_done([columns])
        if self._watch is not None:
            if self._watch.better(columns[self._watch.monitor]) and self._watch.rule.restore_best:
                self._best = copied(params)
            self.stopped = self._watch.verdict
        self._unsaved = State(params, memory, steps, self.history, random, rates)
        due = self._checkpoints is not None and self.done % self._checkpoints.every == 0
        if due or not self.going:
            self._save()
        for callback in self._callbacks:
            try:
                callback(self.done - 1, copied(params), self.history)
            except StopIteration as wish:
                self.stopped = str(wish) or "a callback ended it"
            except KeyboardInterrupt:
                self.interrupted = True

    def agree(self, member: Member) -> None:
        """End where any of the processes that train together wants to."""
        reasons = member.gathered(self.stopped or "")
        self.stopped = next(filter(None, reasons), None)
        self.interrupted = any(member.largest(int(self.interrupted)))

    def _save(self) -> None:
        if self._checkpoints is None or self._unsaved is None:
            return
        state, self._unsaved = self._unsaved, None
        best = {f"{BEST}{name}": value for name, value in self._best.items()}
        memory = {**state.memory, **best}
        try:
            self._checkpoints.write(replace(state, memory=memory), self._origin())
        except StorageError as fault:  # what was learnt is not lost with it
            fault.result = self._outcome(state.params)
            fault.params = fault.result.params
            raise

    def result(self, params: Parameters) -> FitResult:
        """What has been learnt: the best parameters where they are kept, else those given."""
        if not self.interrupted:  # then the arrays may be those of half an epoch
            self._save()
        return self._outcome(params)

    def _outcome(self, params: Parameters) -> FitResult:
        best = self._watch.best_epoch if self._watch is not None and self._best else None
        return FitResult(
            self._best if best else copied(params),
            self.history,
            self.interrupted,
            self.stopped,
            best,
        )


def copied(params: Parameters) -> Parameters:
    """A copy of the parameters as they are."""
    return {name: value.copy() for name, value in params.items()}
