"""Real networks on the real data: what every verdict and every piece of advice is checked against.

The weights are those that a module holds, or some dozens of draws of the scheme. Theory says what
happens on average at large width; a trial says what happens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pullback.calculus.quadrature import Array
from pullback.moments.answer.record import number
from pullback.moments.law.layers import Layer
from pullback.moments.law.setting import Setting
from pullback.moments.sampling.draws import Change, Ensemble, Pass
from pullback.net.network import Parameters

DRAWS, FEWEST = 100, 20
WORK = 300_000_000  # multiply-adds of a forward pass, over all draws: about a second
SAMPLES = 16, 256  # that each draw sees, at least and at most
LEAST = 4  # samples, where even so few draws are much work
HELD_SAMPLES = 4096  # that a module is run on, at most
MEMORY = 128 * 2**20
MANY = 20  # networks, from which on their spread is a number to go by
_QR = 10  # times the work of independent weights
_LIKE = 1e-10  # relative: units nearer to each other than this are the same unit
FLOAT32 = 2.0**-149, 3.4028235e38  # the smallest number above 0, and the largest
FORMATS = {"float32": FLOAT32, "float16": (2.0**-24, 65504.0)}
_ROUNDING = 1e-3  # of the error at the output: δ below this times _LIKE is rounding
_FADED = 1e-200  # of the error at the output
_RANGE = 0.025, 0.5, 0.975


@dataclass(frozen=True)
class Trial:
    """One row a network, one column a layer, input side first.

    ``norms`` is RMS ‖δ‖ over the samples; ``weighted``: has the layer weights of its own, which are
    what a verdict is about? ``reached``: does any gradient reach them, by whichever way?
    ``idle``: none does in the first step only, since its residual branch ends in zero weights.
    ``largest`` is the largest |z|, ``off`` the share of units whose δ is 0 at every sample,
    ``distinct`` the number of units of which no two are alike in weights, bias and δ.
    """

    held: bool
    samples: int
    seed: int
    format: str
    weighted: tuple[bool, ...]
    norms: Array
    reached: Array
    idle: Array
    largest: Array
    off: Array
    distinct: Array

    def __len__(self) -> int:
        return len(self.norms)

    @cached_property
    def cut_off(self) -> Array:
        """Does no gradient reach a layer, neither now nor after a step (networks, layers)?

        One that fades away over many layers, until it is no number, is not cut off.
        """
        least = np.min(self.norms, axis=1, where=self.norms > 0, initial=np.inf)
        fades = (least < _FADED * self.norms[:, -1])[:, None]
        return np.asarray(~self.reached & ~self.idle & ~fades)

    @cached_property
    def dead(self) -> Array:
        """The share of networks in which no gradient reaches a layer (layers,)."""
        return np.asarray(self.cut_off.mean(axis=0))

    @cached_property
    def dead_share(self) -> float:
        """The share of networks in which no gradient reaches some layer."""
        return float(self.cut_off.any(axis=1).mean())

    @cached_property
    def relative(self) -> Array:
        """RMS ‖δ‖ over the output's (networks, layers): infinite beyond the numbers, 0 if dead."""
        with np.errstate(all="ignore"):
            found = self.norms / self.norms[:, -1:]
        found[np.isnan(found)] = np.inf
        found[self.norms == 0] = 0.0
        return found

    @cached_property
    def ranges(self) -> Array:
        """The 2.5, 50 and 97.5 % points of ``relative`` over the networks alive (3, layers)."""
        alive = self.relative[~self.cut_off.any(axis=1)]
        if not len(alive):
            alive = self.relative
        # order statistics, not interpolated: between 0 and infinity there is no number
        return np.asarray(np.quantile(alive, _RANGE, axis=0, method="nearest"))

    @cached_property
    def spread(self) -> float:
        """Var ln of the squared ratio at the first layer over the networks; 0 if they are few."""
        first = self.relative[:, self.first]
        some = first[(first > 0) & np.isfinite(first)]
        return float(np.var(2 * np.log(some))) if len(some) >= MANY else 0.0

    @cached_property
    def sizes(self) -> Array:
        """The largest |z| at each layer, in half of the networks."""
        return np.asarray(np.quantile(self.largest, 0.5, axis=0, method="nearest"))

    @cached_property
    def overflow(self) -> str | None:
        """Where most networks leave the range of their format; None if they do not."""
        least, most = FORMATS[self.format]
        for at, size in enumerate(self.sizes):
            if not size <= most:
                return f"z overflows {self.format} at layer {at}"
        norms = np.quantile(self.norms, 0.5, axis=0, method="nearest")
        for at in reversed(range(len(norms))):
            if not norms[at] <= most:
                return f"δ overflows {self.format} at layer {at}"
            if 0 < norms[at] < least:
                return f"δ underflows {self.format} at layer {at}: it is 0 there"
        return None

    @property
    def extreme(self) -> float:
        """ln of that ratio with its sign, in half of the networks."""
        judged = [at for at, own in enumerate(self.weighted) if own and not self.idle[:, at].all()]
        with np.errstate(divide="ignore"):
            logs = np.log(self.ranges[1, judged])
        return float(logs[np.argmax(np.abs(logs))])

    def to_dict(self) -> dict[str, Any]:
        """Plain data: how many networks, and what became of them."""
        low, high = self.interval
        return {
            "networks": len(self), "held": self.held, "samples": self.samples, "seed": self.seed,
            "ratio": number(float(self.ranges[1, self.first])),
            "interval": [number(low), number(high)],
            "dead": self.dead_share, "overflow": self.overflow,
        }  # fmt: skip

    @property
    def first(self) -> int:
        """The first layer that has weights."""
        return self.weighted.index(True)

    @property
    def interval(self) -> tuple[float, float]:
        """Between which the ratio of 95 % of the networks lies, at the first layer."""
        low, _, high = self.ranges[:, self.first]
        return float(low), float(high)

    @cached_property
    def worst(self) -> Array:
        """|ln| of the ratio furthest from 1, of the layers with weights (networks,)."""
        judged = np.asarray(self.weighted) & ~self.idle
        with np.errstate(divide="ignore"):
            apart = np.abs(np.log(self.relative))
        return np.asarray(np.max(apart, axis=1, where=judged, initial=0.0))


def trial(
    setting: Setting, seed: int, change: Change | None = None, draws: int | None = None
) -> Trial:
    """The networks of a setting on its data; ``change`` repairs the weights before they run.

    20 to 100 draws, of 4 to 256 samples each, as many as a budget of work allows, or ``draws``, and
    of all samples where the network takes statistics over the batch; a module is run as it is on up
    to 4,096 samples. Equal seeds give equal numbers.
    """
    rng = np.random.default_rng([seed, 23])
    ensemble, held = setting.ensemble, setting.held
    count, samples = (1, _most(setting)) if held is not None else _sizes(setting, draws)
    samples = setting.samples if setting.net.several else samples
    facts: list[tuple[Array, ...]] = []
    for size in _chunks(ensemble, count, samples):
        params = dict(held) if held is not None else ensemble.draw(setting.scheme, size, rng)
        if change is not None:
            params = ensemble.changed(params, change, rng)
        chosen = np.arange(samples)[None]
        if samples < setting.samples:
            if held is not None:
                chosen = np.linspace(0, setting.samples - 1, samples).astype(int)[None]
            else:
                chosen = np.argsort(rng.random((size, setting.samples)), axis=1)[:, :samples]
        shown = {name: value[chosen] for name, value in setting.batch.items()}
        batch = {n: np.broadcast_to(v, (size, *v.shape[1:])) for n, v in shown.items()}
        facts.append(_facts(ensemble, params, ensemble(params, batch)))
    ensemble.release()
    joined = map(np.concatenate, zip(*facts, strict=True))
    weighted = tuple(map(bool, ensemble.weights))
    if not any(weighted):
        weighted = (True,) * len(weighted)
    return Trial(held is not None, samples, seed, setting.format, weighted, *joined)


def _most(setting: Setting) -> int:
    units = sum(each.n_in + each.n_out for each in setting.layers)
    return max(1, min(setting.samples, HELD_SAMPLES, MEMORY // (32 * units)))


def _sizes(setting: Setting, asked: int | None = None) -> tuple[int, int]:
    """How many networks, and how many samples each."""
    ensemble = setting.ensemble
    schemes = [ensemble.scheme_of(spec, setting.scheme) for spec in ensemble.drawn]
    slow = any(scheme.entries == "orthogonal" for scheme in schemes)
    work = ensemble.work * (_QR if slow else 1)
    samples = int(np.clip(WORK // (DRAWS * work), *SAMPLES))
    draws = int(np.clip(WORK // (work * (samples + SAMPLES[0])), FEWEST, DRAWS))
    if draws == FEWEST:
        samples = int(np.clip(WORK // (draws * work), LEAST, samples))
    return asked or draws, min(samples, setting.samples)


def _chunks(ensemble: Ensemble, count: int, samples: int) -> Iterator[int]:
    size = max(1, MEMORY // ensemble.bytes_per_draw(samples))
    for start in range(0, count, size):
        yield min(size, count - start)


def _facts(ensemble: Ensemble, params: Parameters, found: Pass) -> tuple[Array, ...]:
    layers = ensemble.layers
    size = np.abs(found.delta[layers[-1].index]).max(axis=_inner(found.delta[layers[-1].index]))
    columns = [_column(ensemble, layer, params, found, size) for layer in layers]
    norms, reached, largest, off, distinct = (
        np.stack(each, axis=1) for each in zip(*columns, strict=True)
    )
    for at, own in enumerate(ensemble.weights):  # a weight that is used twice is reached by one
        alike = [other for other, held in enumerate(ensemble.weights) if own & held]
        if len(alike) > 1:
            reached[:, at] = reached[:, alike].any(axis=1)
    if any(ensemble.weights):
        reached[:, [at for at, own in enumerate(ensemble.weights) if not own]] = True
    idle = np.zeros_like(reached)
    for layer in layers:
        weight, at = ensemble.weight(layer, params), layer.index
        zero = np.zeros(1, bool) if weight is None else ~weight.any(axis=_inner(weight))
        if not zero.any():
            continue
        asleep = zero & reached[:, at]
        for before in ensemble.behind.get(at, ()):
            idle[:, before] |= asleep
        if at in ensemble.behind:
            distinct[asleep, at] = layer.n_out
    return norms, reached, idle, largest, off, distinct


def _inner(array: Array) -> tuple[int, ...]:
    """Every place but that of the draws."""
    return tuple(range(1, array.ndim))


def _column(
    ensemble: Ensemble, layer: Layer, params: Parameters, found: Pass, error: Array
) -> tuple[Array, ...]:
    """The facts of one layer, one entry a network; ``error`` is the largest δ at the output."""
    units = found.delta[layer.index].shape[-1] if layer.rows else 1
    delta, z = (_flat(held[layer.index]) for held in (found.delta, found.z))
    with np.errstate(all="ignore"):
        size = np.abs(delta).max(axis=(1, 2), initial=0.0)
        shares = delta / np.where(size > 0, size, 1.0)[:, None, None]  # squares may leave floats
        norms = size * np.sqrt(np.mean(np.sum(shares**2, axis=2), axis=1))
        norms = np.where(size > 0, norms, size)
        arrives = (delta != 0).any(axis=2)
        if layer.index in found.inputs:
            arrives = arrives & (_flat(found.inputs[layer.index]) != 0).any(axis=2)
        largest = np.abs(z).max(axis=(1, 2))
    off = (delta == 0).all(axis=1).mean(axis=1)
    largest = np.where(np.isnan(largest), np.inf, largest)
    distinct = np.full(len(delta), layer.n_out)
    weight = ensemble.weight(layer, params)
    if weight is not None and layer.rows:
        bias = None if layer.bias is None else params[layer.bias]
        by_unit = found.delta[layer.index].reshape(len(delta), -1, units)
        distinct = _distinct(weight, bias, by_unit, error) * layer.n_out // units
    return norms, arrives.any(axis=1), largest, off, distinct


def _flat(array: Array) -> Array:
    """(draws, samples, entries)."""
    return array.reshape(*array.shape[:2], -1)


def _distinct(weight: Array, bias: Array | None, delta: Array, error: Array) -> Array:
    """How many units differ, by two numbers of each: of its weights and of its δ.

    A layer whose weights are all equal sees one number of what comes in: it counts as one unit.
    """
    rng = np.random.default_rng(0)
    with np.errstate(all="ignore"):
        own = weight @ rng.standard_normal(weight.shape[2])
        if bias is not None:
            own = own + rng.standard_normal() * bias
        back = np.einsum("s,dsu->du", rng.standard_normal(delta.shape[1]), delta)
        marks = np.stack(np.broadcast_arrays(own, back), axis=2)
        size = np.abs(marks).max(axis=1, keepdims=True)
        size[:, 0, 1] = np.maximum(size[:, 0, 1], _ROUNDING * error)
        marks = np.round(np.nan_to_num(marks / np.where(size > 0, size, 1.0)) / _LIKE)
    units = marks.shape[1]
    twins = (np.diff(np.sort(marks[:, :, 0], axis=1), axis=1) == 0).any(axis=1)
    found = [
        len(np.unique(each, axis=0)) if some else units
        for each, some in zip(marks, twins, strict=True)
    ]
    equal = weight[:, 0, 0] == weight[:, -1, -1]  # so they are where all are, and it costs nothing
    equal[equal] = (np.ptp(weight[equal], axis=(1, 2)) == 0) & (weight.shape[2] > 1)
    return np.where(equal, 1, found)


def in_print(ratio: float) -> str:
    """A ratio as text: words where it is beyond the numbers of float32.

    >>> in_print(0.0123), in_print(3.4e196), in_print(0.0)
    ('0.0123', 'an overflow', '0')
    """
    least, most = FLOAT32
    if not ratio <= most:
        return "an overflow"
    return f"{ratio:.3g}" if ratio >= least or not ratio else "an underflow"
