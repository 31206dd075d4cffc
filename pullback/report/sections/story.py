"""Everything that a report tells: the training, the check and the predictions, gathered once."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pullback.closed import ClosedForm
from pullback.data import split_rows
from pullback.errors import NonFiniteError, NotApplicableError, PullbackError
from pullback.laws import GradientCheck
from pullback.net.checks import checked_parameters, dtype_of
from pullback.net.network import Network, Parameters
from pullback.net.trace import Trace
from pullback.nn.init import Scheme
from pullback.report.layers import Layers, layers_of, norms_of
from pullback.report.sections.closed_form import closed_of
from pullback.report.sections.neurons import Shown, neurons_of
from pullback.report.sections.outcome import Outcome, hardest, outcome
from pullback.report.sections.outlook import OutlookStory, outlook
from pullback.report.sections.pace import Pace, pace_of
from pullback.report.sections.plans import Plans, plans_of
from pullback.report.sections.samples import (
    Array,
    Data,
    by_input,
    cells,
    checked_samples,
    picture_shape,
    rows,
    some,
)
from pullback.train.check import check
from pullback.train.divergence import untold
from pullback.train.fit import FitResult, fit
from pullback.train.history import Divergence, Watched
from pullback.train.optim import Optimizer
from pullback.train.watch import SAMPLES

TRACED = SAMPLES  # over which δ is averaged: those that ``fit`` watches
CHECKED, LEAST = 32, 4  # samples of the gradient check: at most, and at least
WORK = 2_000_000  # entries of parameters times samples that it takes on: about a second


@dataclass(frozen=True)
class TrainingPlan:
    """How a network is to be trained where no result of training is given.

    It starts from ``params``, or from weights drawn by ``scheme``.
    """

    epochs: int
    optimizer: Optimizer
    batch_size: int | None
    scheme: Scheme | None
    seed: int
    progress: bool
    params: Parameters | None = None

    def start(self, net: Network) -> Parameters:
        """What training starts from."""
        return net.init(self.seed, self.scheme) if self.params is None else dict(self.params)


@dataclass(frozen=True)
class Story:
    """The facts of one report.

    ``outlook`` is the forecast, or the reason why there is none; so with the other questions.
    ``result`` is None if the parameters were given. ``checked`` is on how many samples the gradient
    was checked, at the end and, where the report trained, ``gradient_before`` at the start too.
    ``outcome`` is of the test data, or of the training data where there are no others (``tested``
    says which).
    """

    net: Network
    params: Parameters
    layers: Layers
    result: FitResult | None
    outlook: OutlookStory | str
    gradient: GradientCheck | str
    gradient_before: GradientCheck | str | None
    checked: int
    trace: Trace
    train: Data
    shown: Data
    tested: bool
    outcome: Outcome
    neurons: Shown | str
    plans: Plans | str
    closed: ClosedForm | str
    pace: Pace | str
    image_shape: tuple[int, int] | None
    features: tuple[str, ...]
    seed: int
    schedule: TrainingPlan | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def cells(self, name: str, value: Array) -> Array:
        """One sample of an input, to look at."""
        return cells(self.net.xs[name], value, self.image_shape)

    @property
    def diverged(self) -> Divergence | None:
        """What went wrong in training, if anything did."""
        return None if self.result is None else self.result.diverged

    @property
    def verdict(self) -> GradientCheck | str:
        """The gradient check to judge by: that of the start, unless only the end is wrong.

        Where training diverged it is that of the start alone: at the end units are saturated, and
        nothing can be told from slopes that are rounding.
        """
        before = self.gradient_before
        if isinstance(before, str) or before is None or isinstance(self.gradient, str):
            return self.gradient
        return before if self.diverged or not before.ok else self.gradient

    @property
    def watched(self) -> Watched | None:
        """What training did to δ and the weights, if it was watched."""
        return None if self.result is None else self.result.watched

    @property
    def flow(self) -> dict[str, list[float]]:
        """‖δ‖ by layer, before training and after each epoch."""
        if self.watched is None:
            return {}
        found = self.watched.rms_delta
        return {
            layer.path: [layer.width**0.5 * size for size in found[layer.path]]
            for layer in self.layers
        }

    @property
    def norms(self) -> dict[str, float]:
        """‖δ‖ by layer, with the parameters of the report."""
        return norms_of(self.net, self.layers, self.trace, min(TRACED, len(self.train[1])))


def gather(
    net: Network,
    X: Any,
    Y: Any,
    schedule: TrainingPlan,
    given: FitResult | Mapping[str, Any] | None = None,
    test: tuple[Any, Any] | float | None = 0.2,
    classes: Sequence[str] | None = None,
    image_shape: tuple[int, int] | None = None,
    features: Sequence[str] | None = None,
) -> Story:
    """Train, unless parameters or the result of a training are given; check, trace, predict.

    A share of the data is held out for testing only where this function trains.
    """
    if not net.specs:
        raise NotApplicableError(f"{net.model!r} has no parameters: there is nothing to report")
    clock, trains = _Clock(), given is None or not isinstance(test, (int, float))
    train, held = _parts(net, X, Y, test if trains else None, schedule)
    shape = picture_shape(net, train[0], image_shape)
    layers = layers_of(net, train[0])
    part = rows(train, slice(TRACED))
    with clock("forecast"):
        foreseen = outlook(net, layers, part, schedule.scheme, schedule.seed, schedule.params)
    result: FitResult | None = None
    if given is None:
        with clock("training"):
            result = _train(net, train, held, schedule)
        params = result.params
    elif isinstance(given, FitResult):
        result, params = given, given.params
    else:
        params = checked_parameters(net, given, dtype_of(by_input(net, train[0]), given))
    with clock("gradient check"):
        parameters = sum(math.prod(spec.shape) for spec in net.specs)
        checked = min(len(train[1]), CHECKED, max(LEAST, WORK // max(parameters, 1)))
        some_rows = rows(train, slice(checked))
        gradient = _checked(net, params, some_rows, schedule.seed)
        before = None
        if given is None:
            before = _checked(net, schedule.start(net), some_rows, schedule.seed)
    with clock("trace and predictions"):
        trace = net.trace(params, *part)
        shown = held if held is not None else train
        predicted = outcome(net, params, *shown, names=classes)
    at = hardest(predicted)
    x, y = rows(shown, slice(at, at + 1))
    with clock("graph of neurons"):
        graph = neurons_of(net.eval(), params, x, y, schedule.scheme, schedule.seed)
    with clock("plan"):
        planned = plans_of(net.eval(), params, rows(train, slice(CHECKED))[0], layers)
    with clock("closed form"):
        closed = closed_of(net.eval(), params, some(x, 0))
    with clock("pace"):
        measured = pace_of(net, params, train, layers, schedule.optimizer, schedule.batch_size)
    return Story(
        net=net,
        params=params,
        layers=layers,
        result=result,
        outlook=foreseen,
        gradient=gradient,
        gradient_before=before,
        checked=checked,
        trace=trace,
        train=train,
        shown=shown,
        tested=held is not None,
        outcome=predicted,
        neurons=graph,
        plans=planned,
        closed=closed,
        pace=measured,
        image_shape=shape,
        features=tuple(features or ()),
        seed=schedule.seed,
        schedule=schedule if given is None else None,
        seconds=clock.seconds,
    )


def _checked(net: Network, params: Mapping[str, Any], data: Data, seed: int) -> GradientCheck | str:
    """The check of the gradient on some data, or the reason why there is none."""
    try:
        return check(net, params, *data, seed=seed)
    except PullbackError as error:
        return str(error).rstrip(".")


def _parts(
    net: Network, X: Any, Y: Any, test: tuple[Any, Any] | float | None, schedule: TrainingPlan
) -> tuple[Data, Data | None]:
    """The data to learn from and the data to test with, looked at before any work."""
    data, target = checked_samples(net, X, Y)
    if test is None:
        return data, None
    if isinstance(test, tuple):
        return data, checked_samples(net, *test)[0]
    kinds = None
    if net.criterion.target != "values" and target.ndim == 2:
        kinds = target.argmax(axis=1) if target.shape[1] > 1 else (target[:, 0] > 0.5).astype(int)
    learn, rest = split_rows(len(target), kinds, test, schedule.seed)
    return rows(data, learn), rows(data, rest)


def _train(
    net: Network,
    train: Data,
    held: Data | None,
    schedule: TrainingPlan,
) -> FitResult:
    """Train, and watch δ before the first epoch and after each.

    Where a number is no longer finite, the result is that of the epochs before.
    """
    size = schedule.batch_size
    with untold():  # the page says so at its top
        try:
            return fit(
                net,
                *train,
                params=schedule.start(net),
                optimizer=schedule.optimizer,
                epochs=schedule.epochs,
                batch_size=None if size is None else min(size, len(train[1])),
                validation=held,
                seed=schedule.seed,
                progress=schedule.progress,
                watch=True,
            )
        except NonFiniteError as fault:
            if fault.result is None:
                raise
            found: FitResult = fault.result
            return found


class _Clock:
    """How long each part took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[part] = time.perf_counter() - started
