"""Where the time of a training step goes: measured by a clock inside the compiled function."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.emit.epoch.record import KINDS, Variant
from pullback.errors import require, whole
from pullback.net.checks import checked_parameters
from pullback.net.network import Network
from pullback.net.program import Array
from pullback.notebook import headline, table
from pullback.report.words.numbers import count, percent
from pullback.report.words.provenance import processor
from pullback.train.compiled_engine import CompiledEngine
from pullback.train.optim import SGD, Optimizer
from pullback.train.samples import Samples

SAYING = {
    "gather": ("fetching samples takes", "fetching the samples of a batch"),
    "products": ("products take", "matrix products, forward and backward"),
    "elementwise": ("elementwise work takes", "activations, loss, errors, sums"),
    "update": ("the update takes", "changing the weights"),
    "meetings": ("waiting takes", "waiting for other threads"),
}
_VARIANTS: tuple[Variant, ...] = ("training", "profile", "products")


@dataclass(frozen=True)
class Profile:
    """Seconds a step, by kind of work; ``floor`` are those of the matrix products alone.

    With several workers a kind's seconds are the mean over them.
    """

    seconds: Mapping[str, float]
    floor: float
    batch_size: int
    workers: int
    machine: str

    @property
    def total(self) -> float:
        """Seconds of a whole step."""
        return sum(self.seconds.values())

    @property
    def shares(self) -> dict[str, float]:
        """What part of a step each kind of work takes."""
        return {kind: value / self.total for kind, value in self.seconds.items()}

    def verdict(self) -> str:
        """What takes most of a step, and how far it is from the least possible.

        >>> Profile({"gather": 1e-6, "products": 9e-6}, 8e-6, 32, 1, "").verdict()
        'products take 90 % of a step; 1.25 × the floor'
        """
        kind, share = max(self.shares.items(), key=lambda each: each[1])
        ratio = self.total / self.floor
        return f"{SAYING[kind][0]} {100 * share:.0f} % of a step; {ratio:.2f} × the floor"

    def rows(self) -> list[tuple[str, str, str, str]]:
        """A line each for kinds of work, step and floor: name, microseconds, share, meaning."""
        known = [
            *((kind, value, SAYING[kind][1]) for kind, value in self.seconds.items()),
            ("step", self.total, f"{self.batch_size} samples, {count(self.workers, 'worker')}"),
            ("floor", self.floor, "the same products alone"),
        ]
        return [
            (name, f"{1e6 * value:,.2f}", percent(value / self.total), meaning)
            for name, value, meaning in known
        ]

    def text(self) -> str:
        """The verdict, and a table of shares and microseconds."""
        verdict = self.verdict()
        lines = [f"{verdict[0].upper()}{verdict[1:]}.", self.machine, ""]
        lines.append(f"{'':<12}{'µs a step':>12}{'share':>9}")
        lines += [f"{kind:<12}{us:>12}{share:>9}  {what}" for kind, us, share, what in self.rows()]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "verdict": self.verdict(),
            "microseconds": {kind: 1e6 * value for kind, value in self.seconds.items()},
            "shares": self.shares,
            "microseconds_a_step": 1e6 * self.total,
            "floor_microseconds": 1e6 * self.floor,
            "batch_size": self.batch_size,
            "workers": self.workers,
            "machine": self.machine,
        }

    def _repr_html_(self) -> str:
        return headline(self.verdict()) + table(["", "µs a step", "share", ""], self.rows())


def profile_steps(
    net: Network,
    X: Any,
    Y: Any,
    params: Mapping[str, Any] | None = None,
    optimizer: Optimizer = SGD(0.1, momentum=0.9),  # noqa: B008  frozen
    batch_size: int = 32,
    seed: int = 0,
    rounds: int = 7,
    long_enough: float = 0.05,
    tell: Callable[[str], object] = lambda doing: None,
    clock: Callable[[], float] = time.perf_counter,
) -> Profile:
    """Where a training step on X (batch, features) and Y spends its time, in the fast engine.

    Three functions take turns: the one that trains, which gives the total; the same with a clock
    inside, which gives the shares; and its matrix products alone, the floor. The numbers are
    medians over the rounds, each of which runs each function for about ``long_enough`` seconds.
    ``tell`` hears what is being done, 3 + ``rounds`` times.
    Raises ConfigError and the errors of ``fit`` for bad input.

    >>> import pullback as pb
    >>> net = pb.Network(pb.Linear(4, 2), loss=pb.MSELoss())
    >>> X, Y = np.ones((64, 4)), np.ones((64, 2))
    >>> found = profile_steps(net, X, Y, rounds=1, long_enough=0.001)
    >>> list(found.seconds)
    ['gather', 'products', 'elementwise', 'update', 'meetings']
    """
    require("net", net, Network, "a pb.Network(model, loss)")
    require("optimizer", optimizer, Optimizer, "one such as pb.optim.SGD(0.1)")
    samples = Samples.of(net, X, Y, params)
    size = min(whole("batch_size", batch_size), len(samples))
    whole("rounds", rounds)
    start = checked_parameters(net, params if params is not None else net.init(seed), samples.dtype)
    order = np.random.default_rng(seed).permutation(len(samples))[: len(samples) // size * size]
    took: dict[str, list[float]] = {variant: [] for variant in _VARIANTS}
    engines, runs, workers = dict[Variant, CompiledEngine](), dict[Variant, _Run](), None
    for variant in _VARIANTS:
        tell(f"compiling: {variant}")
        engine = CompiledEngine(net, start, optimizer, workers, variant=variant)
        engines[variant], runs[variant] = engine, _Run(engine, samples, order, size, clock)
        runs[variant].lengthen(long_enough)
        workers = engine.workers(size)  # the others have as many as the one that trains came to
    ticks: list[Array] = []
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}")
        engines["profile"].spent[...] = 0
        for variant, run in runs.items():
            took[variant].append(run())
        ticks.append(engines["profile"].spent.sum(axis=0)[: len(KINDS)])
    spent = np.median(ticks, axis=0)  # of a round in which somebody else ran, nothing is kept
    total, floor = (statistics.median(took[variant]) for variant in ("training", "products"))
    seconds = {
        kind: total * float(each) for kind, each in zip(KINDS, spent / spent.sum(), strict=True)
    }
    return Profile(seconds, floor, size, workers or 1, processor())


class _Run:
    """Runs an engine for some steps: seconds a step."""

    def __init__(
        self,
        engine: CompiledEngine,
        samples: Samples,
        order: Array,
        size: int,
        clock: Callable[[], float],
    ) -> None:
        self._engine, self._data, self._size, self._clock = engine, samples.arrays, size, clock
        self._once = self._order = order
        self._rates = self._rates_for(order)

    def __call__(self) -> float:
        started = self._clock()
        self._engine.run(self._data, self._order, self._size, self._rates)
        return (self._clock() - started) / len(self._rates)

    def lengthen(self, seconds: float) -> None:
        """Go through the samples as often in one call as takes so long."""
        self()
        spent = self() * len(self._rates)
        self._order = np.tile(self._once, max(1, round(seconds / max(spent, 1e-6))))
        self._rates = self._rates_for(self._order)

    def _rates_for(self, order: Array) -> Array:
        return np.zeros(len(order) // self._size)  # no weight changes
