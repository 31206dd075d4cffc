"""The section about speed: a training step beside the matrix products that it cannot do without."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, repeat
from typing import Any

import numpy as np

from pullback.errors import ConfigError, NotApplicableError, PullbackError
from pullback.net.network import Network
from pullback.report.drawing.figures import to_csv
from pullback.report.drawing.tables import table
from pullback.report.layers import Layers
from pullback.report.profile import SAYING, profile_steps
from pullback.report.sections.samples import Data, rows
from pullback.report.sections.section import Picture, Section
from pullback.report.words.numbers import brief, count, percent, short, times
from pullback.report.words.provenance import processor
from pullback.train.divergence import untold
from pullback.train.fit import fit
from pullback.train.optim import Optimizer

ROUNDS, LEAST, SECONDS = 9, 3, 0.3  # side by side, until the time is up
STILL = 1e-30  # a learning rate
_PARTS = {
    "gather": "samples",
    "products": "products",
    "elementwise": "elementwise",
    "update": "update",
    "meetings": "waiting",
}
TURN = 0.012  # seconds of steps in a row


@dataclass(frozen=True)
class PacedProduct:
    """One matrix product of a step: (rows, inner) times (inner, columns)."""

    what: str
    rows: int
    inner: int
    columns: int

    @property
    def fma(self) -> int:
        return self.rows * self.inner * self.columns


@dataclass(frozen=True)
class Pace:
    """Median seconds of a step and of its matrix products alone, over interleaved rounds.

    ``shares`` are those of the kinds of work, where the compiled engine trains and tells them.
    """

    step: float
    floor: float
    rounds: int
    batch: int
    dtype: str
    optimizer: Optimizer
    products: tuple[PacedProduct, ...]
    shares: Mapping[str, float] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """How many times longer the step takes."""
        return self.step / self.floor

    @property
    def fma(self) -> int:
        """The fma of the products of a step."""
        return sum(product.fma for product in self.products)


def pace_of(
    net: Network,
    params: Mapping[str, Any],
    data: Data,
    layers: Layers,
    optimizer: Optimizer,
    batch_size: int | None,
) -> Pace | str:
    """Time steps of training, and the products of the same shapes, in turns.

    The compiled engine is measured as ``profile_steps`` does, NumPy's by epochs of ``fit``. The
    reason why not, where no equation is such a product or a step fails.
    """
    batch = min(batch_size or len(data[1]), len(data[1]))
    products = _products(layers, batch)
    if not products:
        return "no equation is z = W a + b, whose products would be the floor"
    try:
        return _compiled(net, params, data, products, optimizer, batch)
    except (NotApplicableError, ConfigError):  # fit, too, goes on with NumPy then
        return _numpy(net, params, data, products, optimizer, batch)
    except PullbackError as error:
        return str(error).rstrip(".")


def _compiled(
    net: Network,
    params: Mapping[str, Any],
    data: Data,
    products: tuple[PacedProduct, ...],
    optimizer: Optimizer,
    batch: int,
) -> Pace:
    found = profile_steps(net, *data, params, optimizer, batch, rounds=ROUNDS, long_enough=TURN)
    dtype = str(params[next(iter(params))].dtype)
    step, floor = found.total, found.floor
    return Pace(step, floor, ROUNDS, batch, dtype, optimizer, products, found.shares)


def _numpy(
    net: Network,
    params: Mapping[str, Any],
    data: Data,
    products: tuple[PacedProduct, ...],
    optimizer: Optimizer,
    batch: int,
) -> Pace | str:
    count = len(data[1])
    dtype = params[next(iter(params))].dtype

    # a rate at which no weight changes: the step of a training that diverged has a pace, too
    still = replace(optimizer, learning_rate=STILL)

    def steps(number: int) -> float:
        part = rows(data, slice(number * batch))
        with untold():
            result = fit(net, *part, dict(params), still, 1, batch, shuffle=False, progress=False)
        return float(sum(result.history["seconds"])) / number

    floor = _floor(products, dtype)
    try:
        steps(1)  # touches the memory
    except PullbackError as error:
        return str(error).rstrip(".")
    number = int(max(1, min(TURN / max(steps(1), 1e-7), count // batch)))
    floor(1)
    found: list[tuple[float, float]] = []
    until = time.perf_counter() + SECONDS
    while len(found) < LEAST or (len(found) < ROUNDS and time.perf_counter() < until):
        found.append((steps(number), floor(number)))
    step, alone = (statistics.median(values) for values in zip(*found, strict=True))
    return Pace(step, alone, len(found), batch, str(dtype), optimizer, products)


def pace(found: Pace | str) -> Section:
    """Two bars, one for the step and one for its floor, and the products one by one."""
    if isinstance(found, str):
        why = f"There is no pace for this network: {found}."
        return Section("pace", "The pace", why, "measured", "Nothing was timed.", ())
    rows = {"a step": found.step, "products alone": found.floor}
    rows |= {f"· {_PARTS[kind]}": share * found.step for kind, share in found.shares.items()}
    bars = "".join(
        f'<tr><th scope="row">{name}</th><td class="lane"><i class="bar {css}" style="width:'
        f'{100 * value / max(rows.values()):.1f}%"></i></td><td class="number">{_time(value)}</td>'
        "</tr>"
        for (name, value), css in zip(
            rows.items(), chain(["forward"], repeat("parameter")), strict=False
        )
    )
    picture = Picture(
        "pace",
        f'<table class="pace"><tbody>{bars}</tbody></table>',
        "Time of a step, and of its matrix products alone: what is left if all else costs nothing."
        + (
            " With a dot, what the step consists of: fetching its samples, products forward and "
            "back, elementwise work, the update, waiting for other threads."
            if found.shares
            else ""
        ),
        to_csv(["what", "seconds"], [(name, f"{value:.3g}") for name, value in rows.items()]),
    )
    rate = found.fma / found.floor / 1e9
    return Section(
        "pace",
        "The pace",
        f"A step on {count(found.batch, 'sample')} takes {_time(found.step)}, "
        f"{times(found.ratio)} its floor of {_time(found.floor)}: {_reading(found)}",
        "measured",
        f"Medians of {found.rounds} rounds, step and floor in turns, {found.dtype}, "
        f"{brief(found.optimizer)}; the floor runs at {short(rate)} G fma/s. The step is all that "
        "training does: picking the batch, both passes, the loss, the update. Measured on "
        f"{processor()}, of one run: expect it to vary by a tenth or more.",
        (picture, _table(found)),
    )


def _reading(found: Pace) -> str:
    if found.ratio < 2:
        return "most of the time goes into the products themselves."
    if found.shares:
        kind, share = max(found.shares.items(), key=lambda each: each[1])
        return f"{SAYING[kind][0]} {percent(share)} of it."
    if found.floor < 2e-5:
        return "the matrices are so small that overhead dominates."
    return "the rest is elementwise work, the update and overhead."


def _time(value: float) -> str:
    return f"{short(value * 1e6)} µs" if value < 1e-3 else f"{short(value * 1e3)} ms"


def _table(found: Pace) -> str:
    return table(
        {
            "product": [each.what for each in found.products],
            "shape": [f"{p.rows}×{p.inner} · {p.inner}×{p.columns}" for p in found.products],
            "fma": [each.fma for each in found.products],
        },
        "The products of a step",
    )


def _products(layers: Layers, batch: int) -> tuple[PacedProduct, ...]:
    """Forward and for W at every z = W a + b; back to the layer before, if there is one."""
    found = []
    for layer in layers:
        if layer.form is None or layer.form.shared:
            continue
        out, into = layer.form.n_out, layer.form.n_in
        places = batch * layer.width // out
        found.append(PacedProduct(f"{layer.z}, forward", places, into, out))
        if layer.form.weight.trained:
            found.append(PacedProduct(f"gradient of {layer.weight}", out, places, into))
        if max(layer.reads, default=0) >= len(layers.sources):
            found.append(
                PacedProduct(f"{layer.weight}ᵀ {layer.delta}, backward", places, out, into)
            )
    return tuple(found)


def _floor(products: Sequence[PacedProduct], dtype: Any) -> Callable[[int], float]:
    """Seconds of all products, a time, by how many times they are run."""
    random = np.random.default_rng(0)
    arrays = [
        (
            random.standard_normal((p.rows, p.inner)).astype(dtype),
            random.standard_normal((p.inner, p.columns)).astype(dtype),
            np.empty((p.rows, p.columns), dtype),
        )
        for p in products
    ]

    def run(number: int) -> float:
        started = time.perf_counter()
        for _ in range(number):
            for left, right, out in arrays:
                np.dot(left, right, out)
        return (time.perf_counter() - started) / number

    return run
