"""Monte Carlo: real draws of the real network on the real batch, with intervals that hold.

Moments of δ are heavy-tailed in deep networks (width 32, depth 50: mean 1, median 0.017), so a
t-interval around them lies; what is reported is ln‖δ‖² and quantiles. A moment gets an interval
only if there are enough draws for the spread of its logarithm.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from pullback.calculus.quadrature import Array
from pullback.moments.law.finite_width import QUANTILES
from pullback.moments.sampling.draws import Ensemble
from pullback.nn import init
from pullback.notebook import can_animate

SAMPLES = 8  # of the data that each draw sees, at most
MEMORY = 256 * 2**20  # bytes, over all threads
_KEPT = 20_000  # entries of δ that a layer keeps for its histogram
_LARGEST_CHUNK = 4096
Z95 = 1.959964


@dataclass(frozen=True)
class Estimate:
    """A number from draws; its standard error and 95 % interval where they can be trusted."""

    value: float
    error: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Sampled:
    """δ at one layer over all draws: moments, ln‖δ‖², quantiles, some entries, q."""

    mean: Estimate
    square: Estimate
    log_mean: Estimate
    log_var: float
    quantiles: tuple[Estimate, ...]
    dead: float
    entries: Array
    z_square: float


@dataclass
class _Tally:
    """What one chunk of draws leaves behind, for one layer; arrays over its draws."""

    mean: Array
    square: Array
    logs: Array
    entries: Array
    z_square: Array


def sample(
    ensemble: Ensemble,
    scheme: init.Scheme,
    batch: Mapping[str, Array],
    draws: int,
    seed: int,
    progress: bool,
    memory: int = MEMORY,
) -> dict[int, Sampled]:
    """Statistics of δ at every layer over ``draws`` networks; equal seeds give equal bits.

    Each draw sees up to 8 samples of the data, chosen anew; all of them where the network takes
    statistics over the batch. ``memory`` bounds the arrays in use. An ensemble on several devices
    gives the same numbers, to rounding.
    """
    given = len(batch["target"])
    samples = given if ensemble.net.several else min(SAMPLES, given)
    # devices share each chunk; processes that share them have to take the chunks in one order
    workers = 1 if ensemble.placement is not None else os.cpu_count() or 1
    # the size of a chunk must not depend on the number of cores, or neither would the draws
    size = max(1, min(memory // 4 // ensemble.bytes_per_draw(samples), _LARGEST_CHUNK))
    starts = range(0, draws, size)

    def chunk(number: int) -> dict[int, _Tally]:
        rng = np.random.default_rng([seed, number])
        count = min(size, draws - number * size)
        params = ensemble.draw(scheme, count, rng)
        chosen = np.argsort(rng.random((count, given)), axis=1)[:, :samples]
        seen = {name: value[chosen] for name, value in batch.items()}
        found = ensemble(params, {**seen, **ensemble.noise(seen, rng)})
        keep = -(-_KEPT // len(starts))
        with np.errstate(all="ignore"):  # what overflows is left out by its reader
            return {
                at: _tally(delta, found.z[at], keep, rng)
                for at, delta in reversed(found.delta.items())
            }

    with (
        threadpool_limits(1, "blas"),
        ThreadPoolExecutor(min(workers, 4, len(starts))) as pool,
        _bar(draws, progress) as advance,
    ):
        tallies = []
        for tally in pool.map(chunk, range(len(starts))):
            tallies.append(tally)
            advance(min(size, draws))
    with np.errstate(all="ignore"):
        return {at: _summary([t[at] for t in tallies]) for at in sorted(tallies[0])}


def _tally(delta: Array, z: Array, keep: int, rng: np.random.Generator) -> _Tally:
    delta = delta.reshape(*delta.shape[:2], -1)
    norms = np.einsum("dsu,dsu->ds", delta, delta)
    logs = np.log(norms)
    units = delta.shape[-1]
    some = rng.integers(delta.size, size=min(keep, delta.size))
    return _Tally(
        delta.mean(axis=(1, 2)),
        norms.mean(axis=1) / units,
        logs,
        delta.reshape(-1)[some],
        np.mean(z * z, axis=tuple(range(1, z.ndim))),
    )


def _summary(tallies: list[_Tally]) -> Sampled:
    def joined(name: str) -> Array:
        return np.concatenate([getattr(t, name) for t in tallies])

    logs = joined("logs")
    alive = np.isfinite(logs)
    some = logs[alive] if alive.any() else np.zeros(1)
    # samples of one draw share its weights: the draws are what is independent
    by_draw = [row[ok].mean() for row, ok in zip(logs, alive, strict=True) if ok.any()]
    square = joined("square")
    return Sampled(
        mean=_measured(joined("mean"), _is_heavy(square, 1)),
        square=_measured(square, _is_heavy(square, 4)),
        log_mean=_measured(np.array(by_draw or [0.0]), heavy=False),
        log_var=float(some.var()),
        quantiles=tuple(_quantile(some, p, len(logs)) for p in QUANTILES),
        dead=float(np.mean(logs == -np.inf)),
        entries=joined("entries")[:_KEPT],
        z_square=float(joined("z_square").mean()),
    )


def _is_heavy(squares: Array, power: int) -> bool:
    """Are there too few draws for a t-interval around a mean that is all but lognormal?

    E δ² with variance v in its logarithm has a kurtosis of order e^(4v), E δ one of order e^v.
    """
    logs = np.log(squares[(squares > 0) & np.isfinite(squares)])
    return bool(len(logs) < 50 * np.exp(min(power * logs.var(), 50)) if len(logs) else True)


def _measured(values: Array, heavy: bool) -> Estimate:
    mean = float(values.mean())
    if heavy or len(values) < 2 or not np.isfinite(mean):
        return Estimate(mean, None, None)
    error = float(values.std(ddof=1) / np.sqrt(len(values)))
    return Estimate(mean, error, (mean - Z95 * error, mean + Z95 * error))


def _quantile(values: Array, p: float, draws: int) -> Estimate:
    """A quantile between order statistics, as if only one sample of each draw counted."""
    half = Z95 * np.sqrt(p * (1 - p) / draws)
    low, middle, high = np.quantile(values, np.clip([p - half, p, p + half], 0, 1))
    return Estimate(float(middle), None, (float(low), float(high)))


@contextmanager
def _bar(draws: int, enabled: bool) -> Iterator[Any]:
    """A progress bar in a terminal or notebook; yields the function that moves it on."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if not (enabled and can_animate(console)):
        yield lambda count: None
        return
    with Progress(console=console) as bar:
        task = bar.add_task("networks drawn", total=draws)
        yield lambda count: bar.advance(task, count)
