"""The engine of jax: the emitted program under ``jit``, on one device or many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from pullback.errors import ConfigError
from pullback.interop.extras import library
from pullback.net.inputs import BATCH
from pullback.net.modes import drawn, step_seed
from pullback.net.network import Network, Parameters
from pullback.net.program import Array
from pullback.net.vector import ravel
from pullback.train.engine import Outcome
from pullback.train.jax.hosts import meeting
from pullback.train.jax.placement import Hardware
from pullback.train.jax.program import Shapes, scoring, training_step
from pullback.train.optim import Optimizer
from pullback.train.samples import Samples


class JaxEngine:
    """Runs steps of training on jax's devices; see ``Engine``.

    Of several devices each computes a part of every batch, filled up with samples of weight 0
    where it does not go evenly; where a block takes statistics over the batch, those are taken
    out again before anything is computed. The mean is over the whole batch, and so the steps are
    those of one device, to rounding. Noise is drawn as the NumPy engine draws it. With ``half``
    products read bfloat16; the weights stay in float32.
    """

    def __init__(
        self,
        net: Network,
        start: Parameters,
        optimizer: Optimizer,
        seed: int,
        hardware: Hardware,
    ) -> None:
        vector, self._unravel = ravel({name: start[name] for name in net.trained})
        placement, half = hardware.placement, hardware.half
        if half and vector.dtype != np.float32:
            raise ConfigError(
                f"precision is 'bfloat16', but the data are {vector.dtype}; expected float32"
            )
        self._jax, self._placement = library("jax", "jax"), placement
        self._seed, self._dtype, self._count = seed, vector.dtype, vector.size
        self._fills = placement.size > 1
        self._net = net.weighted if self._fills and not net.several else net
        self._shapes: Shapes = tuple((name, value.shape) for name, value in start.items())
        self._step = training_step(self._net, optimizer, self._shapes, placement, half)
        self._slots = optimizer.slots
        self._state: dict[str, Any] = {}
        self._held: Parameters | None = None  # the parameters as they were last looked at
        self._names = tuple(start)
        empty = {name: np.zeros_like(vector) for name in optimizer.slots}
        self.restore(start, empty, 0)

    @property
    def params(self) -> Parameters:
        if self._held is None:
            get, state = self._placement.get, self._state
            with self._computing():
                trained = self._unravel(get(state["vector"])[: self._count])
                self._held = trained | {name: get(each) for name, each in state["others"].items()}
        return {name: self._held[name] for name in self._names}

    @property
    def takes_epochs(self) -> bool:
        return False

    @property
    def slots(self) -> dict[str, Array]:
        with self._computing():
            found = {name: self._placement.get(each) for name, each in self._state["slots"].items()}
        return {name: slot[: self._count] for name, slot in found.items()}

    def restore(self, params: Parameters, slots: Mapping[str, Array], done: int) -> None:
        vector, _ = ravel({name: params[name] for name in self._net.trained})
        others = {name: params[name] for name in self._names if name not in self._net.trained}
        put, place = self._placement.put, self._placement
        with self._computing():
            self._state = {
                "vector": put(self._filled(vector), place.vectors),
                "slots": {n: put(self._filled(slots[n]), place.vectors) for n in self._slots},
                "others": {name: put(value, place.whole) for name, value in others.items()},
            }
        self._held = None
        self.done = done

    def _filled(self, vector: Array) -> Array:
        """A vector with zeros behind it, so that it can be cut up evenly."""
        return np.pad(vector, (0, -vector.size % self._placement.size))

    @staticmethod
    def threads(net: Network, batch_size: int | None) -> int:
        return 1  # jax has its own, and a training may go on with other devices

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """jax computes in float64 only where it is told to, and tells when a process is lost."""
        wide = self._jax.enable_x64(True) if self._dtype == np.float64 else nullcontext()
        with wide, meeting(self._placement.member):
            yield

    def run(
        self, data: Mapping[str, Array], order: Array | None, batch_size: int, rates: Array
    ) -> Outcome:
        self._held, losses, right = None, [], []
        count = len(data["target"]) if order is None else len(order)
        with self._computing():
            self._state["going"] = self._placement.put(np.array(True), self._placement.whole)
            for at, rate in enumerate(rates):
                rows = np.arange(at * batch_size, min((at + 1) * batch_size, count))
                rows = rows if order is None else order[rows]
                self.done += 1
                self._state, loss, hits = self._step(
                    self._state, *self._batch(data, rows, batch_size), *self._numbers(rate)
                )
                losses.append(loss)
                right.append(hits)
            found = np.array(self._jax.device_get(losses), np.float64)
            hit = np.array(self._jax.device_get(right), np.int64)
        del self._state["going"]
        if np.isfinite(found).all():
            return Outcome(found, hit)
        failed = int(np.argmin(np.isfinite(found)))
        self.done -= len(rates) - failed
        return Outcome(found[: failed + 1], hit, failed)

    def _numbers(self, rate: float) -> tuple[Array, Array]:
        """A step's rate and its number, in the precision of the weights."""
        return np.asarray(rate, self._dtype), np.asarray(self.done, self._dtype)

    def _batch(self, data: Mapping[str, Array], rows: Array, size: int) -> tuple[Any, Any]:
        """The samples in these rows on the devices; which of their places are not filled up."""
        filled = self._placement.filled(len(rows), size if self._fills else len(rows))
        own = {name: array[rows[filled.places]] for name, array in data.items()}
        shapes = Samples(own).of_length(len(rows))
        noise = drawn(self._net, shapes, step_seed(self._seed, self.done - 1))
        for name, array in noise.items():
            axes = self._net.noise[name].leaf.axes
            own[name] = array.take(filled.places, axes.index(BATCH)) if BATCH in axes else array
        if not self._fills:
            return self._put(self._net, own), None
        if self._net.several:
            return self._put(self._net, own), filled.samples
        return self._put(self._net, filled.weighted(own)), None

    def _put(self, net: Network, own: Mapping[str, Array]) -> dict[str, Any]:
        axes = {leaf.name: leaf.axes for leaf in net.inputs}
        return {name: self._placement.put_batch(each, axes[name]) for name, each in own.items()}

    def scores(self, net: Network, samples: Samples) -> dict[str, float]:
        net = net.weighted if self._fills else net
        filled = self._placement.filled(len(samples), len(samples))
        own = {name: array[filled.places] for name, array in samples.arrays.items()}
        score = scoring(net, self._shapes)
        with self._computing():
            batch = self._put(net, filled.weighted(own) if self._fills else own)
            loss, hit = map(float, score(self._state, batch))
        accuracy = {"accuracy": hit / samples.places} if net.criterion.is_scored else {}
        return {"loss": loss, **accuracy}
