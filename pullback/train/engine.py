"""What runs the steps of training: gather a batch, forward, backward, update, again and again.

``fit`` decides what happens between chunks of steps; an engine does the steps. All weights that are
trained lie in one vector, which the engine changes in place, and so does the memory of the
optimiser; frozen ones stay what they are. States, such as running means, are updated in each step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pullback.net.modes import drawn, step_seed
from pullback.net.network import Network, Parameters
from pullback.net.program import Array
from pullback.net.vector import ravel
from pullback.train.metrics import hits
from pullback.train.optim import Optimizer, Updater

_SHARED = 2**18  # multiply-adds up to which OpenBLAS has one thread compute a product


@dataclass(frozen=True)
class Outcome:
    """What some steps gave: each batch's loss before its update, and the samples got right.

    ``failed`` is the number of the first batch whose loss is not finite: it was not learnt from,
    and nothing after it was run.
    """

    losses: Array
    hits: int
    failed: int | None = None


class Engine(Protocol):
    """Runs steps of training on one network with one optimiser."""

    vector: Array  # all trained weights (all,)
    slots: dict[str, Array]  # the optimiser's memory, by name, each (all,)
    done: int  # the steps so far; setting it goes on from another number

    @property
    def params(self) -> Parameters:
        """The parameters by name: views into the vector, the frozen ones and the states."""

    @staticmethod
    def threads(net: Network, batch_size: int | None) -> int:
        """How many threads share a step of this size: more of them add in another order."""

    def run(
        self, data: Mapping[str, Array], order: Array | None, batch_size: int, rates: Array
    ) -> Outcome:
        """One step a rate: batch k holds the samples order[k·batch_size : (k+1)·batch_size].

        ``data`` has an array (samples, …) for each input of the network, the target among them.
        ``order`` None is the order of the data; the last batch may be smaller.
        """


class NumpyEngine:
    """The emitted NumPy programs, one call a batch."""

    def __init__(
        self, net: Network, start: Parameters, optimizer: Optimizer, seed: int = 0
    ) -> None:
        self._net, self._seed = net, seed
        self.vector, unravel = ravel({name: start[name] for name in net.trained})
        self._slope = np.zeros_like(self.vector)
        self._params, self._grads = {**start, **unravel(self.vector)}, unravel(self._slope)
        self._updater = Updater(optimizer, self.vector.size, self.vector.dtype)
        self.slots = self._updater.slots

    @property
    def done(self) -> int:
        return self._updater.done

    @done.setter
    def done(self, steps: int) -> None:
        self._updater.done = steps

    @property
    def params(self) -> Parameters:
        return self._params

    @staticmethod
    def threads(net: Network, batch_size: int | None) -> int:
        from threadpoolctl import threadpool_info

        found = [each for each in threadpool_info() if each["user_api"] == "blas"]
        largest = max((math.prod(spec.shape) for spec in net.specs), default=0)
        small = batch_size is not None and batch_size * largest <= _SHARED
        if small and {each["internal_api"] for each in found} <= {"openblas"}:
            return 1
        return max((int(each["num_threads"]) for each in found), default=1)

    def run(
        self, data: Mapping[str, Array], order: Array | None, batch_size: int, rates: Array
    ) -> Outcome:
        losses, right = np.zeros(len(rates)), 0
        for at, rate in enumerate(rates):
            part = slice(at * batch_size, (at + 1) * batch_size)
            rows = part if order is None else order[part]
            inputs = {name: array[rows] for name, array in data.items()}
            inputs |= drawn(self._net, inputs, step_seed(self._seed, self.done))
            values = self._net.training_program(self._params, inputs, self._grads)
            losses[at] = values["loss"]
            if not np.isfinite(losses[at]):
                return Outcome(losses[: at + 1], right, failed=at)
            right += hits(self._net.criterion, values["output"], inputs["target"]) or 0
            self._updater.step(self.vector, self._slope, rate)
            for name, key in self._net.update_keys.items():
                self._params[name][...] = values[key]
        return Outcome(losses, right)
