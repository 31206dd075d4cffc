"""Training a set-up for a look: the given steps from the given seed, on a module of our own."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from pullback.doctor.lesson import Array
from pullback.doctor.outputs import guessed
from pullback.doctor.setup import TrainingSetup, inputs
from pullback.doctor.tape import FAULTS, said
from pullback.interop.extras import Late

torch: Any = Late("torch", "torch")

LEARNT = 0.95  # of what can be learnt: a trial ends there
LOOKS = 12  # at the score, while a trial runs
CHUNK = 512


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


class Flat:
    """The parameters of an optimiser in one vector a group: a step is then one update, not many.

    The update rules of torch's optimisers but LBFGS and Muon work on each number by itself.
    """

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

    def step(self) -> None:
        if self.optimizer is not None:
            self.optimizer.step()


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
    torch.manual_seed(1000 + setup.seed)
    order = torch.Generator().manual_seed(setup.seed)
    begun, flat, every = 0.0, None, max(setup.steps // LOOKS, 1)
    setup.module.train()
    with quiet():
        try:
            for rows in batches(setup, order):
                if flat is None:
                    flat = Flat(setup)
                if not setup.accumulates:
                    flat.clear()
                loss = setup.loss(setup.call(setup.rows(rows)), setup.Y[rows])
                if loss.requires_grad:
                    loss.backward()
                    flat.step()
                course.losses.append(float(loss.detach()))
                course.steps += 1
                if course.steps == 1:
                    begun = time.process_time()
                course.seconds = time.process_time() - begun
                stop = late(course.seconds)
                if not math.isfinite(course.losses[-1]):
                    break
                if course.steps % every == 0 or course.steps == setup.steps or stop:
                    look(setup, course, best)
                if stop or course.share >= ends or course.steps == setup.steps:
                    course.cut = stop and course.share < ends and course.steps < setup.steps
                    break
        except FAULTS as fault:
            course.fault = said(fault)
    if not course.finite:
        course.scores.append(-math.inf)
        course.shares.append(-1.0)
    return course


def look(setup: TrainingSetup, course: TrainingRun, best: float) -> None:
    """Score the module as it is now, in evaluation mode."""
    course.guess = guessed(setup, outputs(setup))
    score = setup.task.score(course.guess)
    course.scores.append(score)
    course.shares.append(setup.task.share(score, best))


def outputs(setup: TrainingSetup) -> Any:
    """What the module gives for all samples, in evaluation mode; then it trains on."""
    setup.module.eval()
    with torch.no_grad():
        chunks = (setup.rows(slice(at, at + CHUNK)) for at in range(0, len(setup), CHUNK))
        found = [setup.call(x) for x in chunks]
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
