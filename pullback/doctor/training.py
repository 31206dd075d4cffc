"""Training a set-up for a look: the given steps from the given seed, on a module of our own."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from pullback.doctor.draws import seeded
from pullback.doctor.lesson import Array
from pullback.doctor.outputs import guessed
from pullback.doctor.setup import TrainingSetup, inputs
from pullback.doctor.tape import FAULTS, prediction, said
from pullback.interop.extras import Late

torch: Any = Late("torch", "torch")

LEARNT = 0.95  # of what can be learnt: a trial ends there
NEVER = math.inf  # trained to the end
LOOKS = 12  # at the score, while a trial runs
CHUNK = 512
GLANCE = 64


@dataclass
class TrainingRun:
    """What a training came to: losses by step, scores by look, and the fault that ended it."""

    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    steps: int = 0
    fault: str = ""
    cut: bool = False  # was time up before the end?
    guess: Array | None = None  # at the last look
    learnt_at: int | None = None  # the step of the first look at which enough was learnt
    broken: tuple[TrainingSetup, Any] | None = None  # what gave no finite loss, and on which rows
    seconds: float = 0.0  # of processor time, without the first step, in which torch loads

    @property
    def share(self) -> float:
        """How much was learnt in the end, 0 to 1."""
        return self.shares[-1] if self.shares else -1.0

    @property
    def score(self) -> float:
        return self.scores[-1] if self.scores else -math.inf

    @property
    def finite(self) -> bool:
        return not self.losses or math.isfinite(self.losses[-1])

    @property
    def loss(self) -> float:
        """The mean of the last tenth of the losses."""
        last = self.losses[-max(len(self.losses) // 10, 1) :]
        return float(np.mean(last)) if last else math.nan

    @property
    def start(self) -> float:
        return self.losses[0] if self.losses else math.nan


# optimisers of torch's whose rule works on each number by itself
ELEMENTWISE = ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam",
               "RAdam", "ASGD", "Rprop")  # fmt: skip


class Apart:
    """An optimiser as it is made, for rules that need whole matrices, as LBFGS and Muon."""

    def __init__(self, setup: TrainingSetup) -> None:
        self.optimizer = setup.updates.made() if setup.updates.parameters else None
        self._held = setup.updates.parameters

    def clear(self) -> None:
        for p in self._held:
            p.grad = None

    def step(self, closure: Callable[[], Any]) -> Any:
        """One step; gives the loss before it."""
        return closure() if self.optimizer is None else self.optimizer.step(closure)


class Flat(Apart):
    """The parameters of an optimiser in one vector a group: a step is then one update, not many."""

    def __init__(self, setup: TrainingSetup) -> None:
        groups = []
        self._gradients = []
        for held, options in setup.updates.groups:
            held = tuple(p for p in held if p.requires_grad)
            if not held:
                continue
            with torch.no_grad():
                vector = torch.cat([p.detach().reshape(-1) for p in held])
            slope, at = torch.zeros_like(vector), 0
            for p in held:
                end = at + p.numel()
                p.data = vector[at:end].view_as(p)
                p.grad = slope[at:end].view_as(p)
                at = end
            vector.requires_grad_()
            vector.grad = slope
            self._gradients.append(slope)
            groups.append({"params": [vector], **options})
        self.optimizer = setup.updates.kind(groups) if groups else None

    def clear(self) -> None:
        for slope in self._gradients:
            slope.zero_()


def stepper(setup: TrainingSetup) -> Apart:
    """The optimiser of a set-up, in the quickest form that its rule allows."""
    kind = setup.updates.kind
    plain = kind.__name__ in ELEMENTWISE and kind.__module__.startswith("torch.optim.")
    return Flat(setup) if plain else Apart(setup)


def train(
    setup: TrainingSetup,
    best: float = 1.0,
    ends: float = LEARNT,
    late: Callable[[float], bool] = lambda _: False,
) -> TrainingRun:
    """Train the set-up in place; ``best`` is the score that can be reached.

    It ends early where ``ends`` of that is learnt, where the loss is not finite, and where
    ``late(seconds)`` says that so much processor time is too much.
    """
    course = TrainingRun()
    seeded(1000 + setup.seed)
    order = torch.Generator().manual_seed(setup.seed)
    begun, rule, every = 0.0, None, max(setup.steps // LOOKS, 1)
    setup.module.train()
    with quiet():
        try:
            for rows in batches(setup, order):
                if rule is None:  # inside: what it refuses is said
                    rule = stepper(setup)
                loss = rule.step(partial(_slope, setup, rule, rows))
                course.losses.append(float(loss.detach()))
                course.steps += 1
                if course.steps == 1:
                    begun = time.process_time()
                course.seconds = time.process_time() - begun
                stop = late(course.seconds)
                if not math.isfinite(course.losses[-1]):
                    course.broken = setup, rows
                    break
                whole = stop or course.steps == setup.steps
                if whole or course.steps % every == 0:
                    look(setup, course, best, whole=whole)
                if stop or course.share >= ends or course.steps == setup.steps:
                    course.cut = stop and course.share < ends and course.steps < setup.steps
                    break
        except FAULTS as fault:
            course.fault = said(fault)
    if not course.finite:
        course.scores.append(-math.inf)
        course.shares.append(-1.0)
    return course


def _slope(setup: TrainingSetup, rule: Apart, rows: Any) -> Any:
    """The loss of a step, with its gradient in the parameters."""
    if not setup.accumulates:
        rule.clear()
    loss = setup.loss(setup.call(setup.rows(rows)), setup.Y[rows])
    if loss.requires_grad:
        loss.backward()
    return loss


def look(setup: TrainingSetup, course: TrainingRun, best: float, *, whole: bool) -> None:
    """Score the module as it is now, in evaluation mode.

    On all samples at the end, and where some of them say that it has learnt.
    """
    few = setup if whole else setup.some(glance(setup))
    score, share = scored(few, course, best)
    if len(few) < len(setup) and share >= LEARNT:
        score, share = scored(setup, course, best)
    course.scores.append(score)
    course.shares.append(share)
    if course.share >= LEARNT and course.learnt_at is None:
        course.learnt_at = course.steps


def scored(setup: TrainingSetup, course: TrainingRun, best: float) -> tuple[float, float]:
    """The score now, and its share of what can be learnt."""
    course.guess = guessed(setup, outputs(setup))
    score = setup.task.score(course.guess)
    return score, setup.task.share(score, best)


def glance(setup: TrainingSetup) -> Any:
    """The samples of a look on the way: as many as two steps take, and 64 at least."""
    mixed = torch.randperm(len(setup), generator=torch.Generator().manual_seed(setup.seed))
    return mixed[: max(2 * setup.batch, GLANCE)]


def outputs(setup: TrainingSetup) -> Any:
    """What the module gives for all samples, in evaluation mode; then it trains on."""
    setup.module.eval()
    with torch.no_grad():
        chunks = (setup.rows(slice(at, at + CHUNK)) for at in range(0, len(setup), CHUNK))
        found = [prediction(setup.call(x)) for x in chunks]
    setup.module.train()
    return torch.cat(found)


def batches(setup: TrainingSetup, order: Any) -> Iterator[Any]:
    """The samples of each step, shuffled anew in every epoch."""
    n = len(inputs(setup.X)[0])
    for _ in range(setup.epochs):
        mixed = torch.randperm(n, generator=order)
        for at in range(0, n, setup.batch):
            yield mixed[at : at + setup.batch]


@contextmanager
def one_thread() -> Iterator[None]:
    """Small matrices on one thread: with more, threads wait for each other most of the time."""
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1, "blas"):
            yield
    finally:
        torch.set_num_threads(count)


@contextmanager
def quiet() -> Iterator[None]:
    """Without warnings, and with gradients on."""
    with warnings.catch_warnings(), torch.enable_grad():
        warnings.simplefilter("ignore")
        yield
