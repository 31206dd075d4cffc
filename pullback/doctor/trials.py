"""Trials: training again with one thing changed, from the same seed for as many steps.

A fix is offered because a network trained with it learnt, not because a rule says so. What is
certain is changed first; of the rest, what has most to speak for it is tried first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pullback.doctor.observe import Observations
from pullback.doctor.outputs import guessed
from pullback.doctor.reference import FEW
from pullback.doctor.setup import TrainingSetup
from pullback.doctor.suspicion import CERTAIN, MEASURED, Suspicion
from pullback.doctor.tape import FAULTS, said
from pullback.doctor.training import LEARNT, NEVER, TrainingRun, outputs, train
from pullback.interop.extras import Late
from pullback.interrupt import Interrupt

torch: Any = Late("torch", "torch")

ENOUGH = 0.8  # of what can be learnt: the training as given is left alone
SETTLED = 0.9  # beyond it one fix is as good as another, and no more are looked for
GAIN = 0.1  # of a share: less is no improvement
MOST = 3  # changes at once
LONGER = "too few steps"
HELD_OUT = 4  # one sample in so many
AGAIN = 2  # more seeds
_AWAY = 0.5  # of a score below that of one answer to all
_SEEN = 0.5  # of a share: what was measured goes before what may be, if it helps at all

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Attempt:
    """A suspicion's change, alone or after others, and what training with it came to."""

    suspicion: Suspicion
    after: tuple[Suspicion, ...]
    course: TrainingRun

    @property
    def share(self) -> float:
        return self.course.share


@dataclass
class Trials:
    """All trials of a set-up; ``seconds`` of processor time may be spent."""

    given: TrainingSetup
    seen: Observations
    seconds: float
    tell: Tell
    interrupt: Interrupt
    done: list[Attempt] = field(default_factory=list)
    accepted: list[Attempt] = field(default_factory=list)
    skipped: int = 0
    spent: float = 0.0

    def over(self, more: float = 0.0) -> bool:
        """Is the time up, with so many seconds more, or did somebody press Ctrl-C?"""
        return self.interrupt.asked or self.spent + more > self.seconds

    def train(
        self,
        setup: TrainingSetup,
        best: float,
        late: Callable[[float], bool],
        ends: float = LEARNT,
    ) -> TrainingRun:
        """Train a set-up, and count the time."""
        course = train(setup, best, ends, late)
        self.spent += course.seconds
        return course

    def as_given(self) -> None:
        """Train as given to the end, in a third of the time; trials have as many steps."""
        self.seen.course = self.train(
            self.given.clone(),
            self.seen.attainable,
            lambda seconds: self.over(2 * seconds),
            ends=NEVER,
        )
        if self.seen.course.cut:
            self.given = replace(self.given, limit=max(self.seen.course.steps, 1))

    def again(self, suspicions: list[Suspicion]) -> bool:
        """Does it learn from other seeds too? Asked where something contradicts itself."""
        if not any(each_.weight >= CERTAIN and each_.change for each_ in suspicions):
            return True
        for seed in range(self.given.seed + 1, self.given.seed + 1 + AGAIN):
            other = replace(self.given, seed=seed)
            course = self.train(other.clone(), self.seen.attainable, self.over)
            if course.share < ENOUGH and not course.cut:
                self.seen.course = course
                return False
        return True

    @property
    def changes(self) -> tuple[Suspicion, ...]:
        """What has been accepted so far."""
        return tuple(trial.suspicion for trial in self.accepted)

    @property
    def course(self) -> TrainingRun:
        """The training with what has been accepted."""
        return self.accepted[-1].course if self.accepted else self.seen.course

    @property
    def share(self) -> float:
        """How much is learnt with it."""
        return self.course.share

    def changed(self, suspicions: Iterable[Suspicion]) -> TrainingSetup:
        """A copy of the set-up with some changes."""
        setup = self.given.clone()
        for each_ in suspicions:
            assert each_.change is not None
            setup = each_.change(setup)
        return setup

    def run(self, suspicion: Suspicion) -> Attempt:
        """Train with one more change."""
        self.tell(suspicion.fix)
        try:
            setup = self.changed((*self.changes, suspicion))
            course = self.train(setup, self.best(setup), self.over)
        except FAULTS as fault:
            course = TrainingRun(fault=said(fault))
        found = Attempt(suspicion, self.changes, course)
        self.done.append(found)
        return found

    def best(self, setup: TrainingSetup) -> float:
        """The score to come near: of another task, as where values become classes, it is 1."""
        return self.seen.attainable if setup.task.kind == self.given.task.kind else 1.0

    def search(self, suspicions: list[Suspicion]) -> None:
        """Accept certain changes, then one after another until the network learns."""
        able = [each_ for each_ in suspicions if each_.change is not None and each_.weight > 0]
        for one in [each_ for each_ in able if each_.weight >= CERTAIN]:
            if not self.over():
                self.accepted.append(self.run(one))
        rest = [each_ for each_ in able if each_.weight < CERTAIN]
        while not self.settled() and len(self.accepted) < MOST and not self.over():
            found = self.round(self.untaken(rest)) or self.round_of_pairs(rest)
            if found is None:
                break
            self.accepted.append(found)

    def settled(self) -> bool:
        """Is enough learnt with what has been accepted, from another seed and at the end too?

        Of the two trainings the worse one counts.
        """
        if self.share < SETTLED or not self.accepted or self.over():
            return self.share >= SETTLED
        last = self.accepted[-1]
        setup = replace(self.changed(self.changes), seed=self.given.seed + 1)
        again = self.train(setup, self.best(setup), self.over, ends=NEVER)
        if again.share < last.share and not again.cut:
            self.accepted[-1] = replace(last, course=again)
        return self.share >= SETTLED

    def untaken(self, suspicions: list[Suspicion]) -> list[Suspicion]:
        """Those of which nothing like it has been accepted."""
        taken = {each_.key for each_ in self.changes}
        return [each_ for each_ in suspicions if each_.key not in taken]

    def round_of_pairs(self, suspicions: list[Suspicion]) -> Attempt | None:
        """More steps, and one more change: what helps only where there is time for it to."""
        longer = next((each_ for each_ in suspicions if each_.key == LONGER), None)
        if longer is None or longer not in self.untaken(suspicions) or self.over():
            return None
        before = len(self.accepted)
        self.accepted.append(Attempt(longer, self.changes, self.course))
        found = self.round(self.untaken(suspicions))
        if found is None:
            del self.accepted[before:]
        else:
            self.accepted[before] = replace(self.accepted[before], course=found.course)
        return found

    def round(self, suspicions: list[Suspicion]) -> Attempt | None:
        """Of the changes up to the first that makes it learn, the one that most speaks for."""
        tried: list[Attempt] = []
        failed: dict[str, float] = {}
        for one in suspicions:
            if self.over():
                self.skipped += 1
                continue
            before = failed.get(one.key)
            if before is not None and before < self.share + 0.02 and one.key != "rate too high":
                continue
            trial = self.run(one)
            failed[one.key] = trial.share
            tried.append(trial)
            if trial.share >= LEARNT:
                break
        helped = [trial for trial in tried if self.helps(trial)]
        return max(helped, key=worth, default=None)

    def helps(self, trial: Attempt) -> bool:
        """Is more learnt with it, or does a training that ran away run away no more?"""
        if trial.share >= max(self.share, 0) + GAIN:
            return True
        before, after = self.course.score, trial.course.score
        low = self.given.task.trivial - _AWAY
        return trial.suspicion.weight >= MEASURED and before < low <= after


def worth(trial: Attempt) -> tuple[float, float, float]:
    """How much speaks for a change that helps: what was learnt, and whether it was seen before."""
    seen = _SEEN * (trial.suspicion.weight >= MEASURED)
    return min(trial.share, SETTLED) + seen, trial.suspicion.weight, trial.share


def held_out(given: TrainingSetup, late: Callable[[float], bool]) -> float:
    """The score on samples that were held out of a training as given."""
    n = len(given)
    if n < FEW:
        return np.nan
    mixed = torch.randperm(n, generator=torch.Generator().manual_seed(given.seed))
    new, old = mixed[: n // HELD_OUT], mixed[n // HELD_OUT :]
    setup = given.some(old).clone()
    train(setup, ends=NEVER, late=late)
    test = replace(given.some(new), module=setup.module)
    return test.task.score(guessed(test, outputs(test)))
