"""What runs the steps of training: gather a batch, forward, backward, update, again and again.

``fit`` decides what happens between chunks of steps; an engine does the steps, and holds what they
change: the weights, the states, such as running means, and the memory of the optimiser, a vector
over all trained weights for each of its slots. Frozen weights stay what they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pullback.net.modes import drawn, noise_shapes, step_seed
from pullback.net.network import Network, Parameters
from pullback.net.program import Array, Compiled
from pullback.net.vector import ravel
from pullback.net.within import Shapes
from pullback.train.metrics import hits, scores
from pullback.train.optim import Optimizer, Updater
from pullback.train.samples import Samples

_SHARED = 2**18  # multiply-adds up to which OpenBLAS has one thread compute a product


@dataclass(frozen=True)
class Outcome:
    """What some steps gave: each batch's loss before its update, and its samples got right.

    ``failed`` is the number of the first batch whose loss is not finite: it was not learnt from,
    and nothing after it was run.
    """

    losses: Array
    right: Array
    failed: int | None = None

    @property
    def hits(self) -> int:
        """All samples that were got right."""
        return int(self.right.sum())


class Engine(Protocol):
    """Runs steps of training on one network with one optimiser."""

    @property
    def params(self) -> Parameters:
        """The parameters by name as they are now, the frozen ones and the states too."""

    @property
    def slots(self) -> Mapping[str, Array]:
        """The optimiser's memory as it is now, by name, each (all,)."""

    @property
    def done(self) -> int:
        """The steps so far."""

    @property
    def takes_epochs(self) -> bool:
        """Does ``run`` take the steps of several epochs?"""

    def restore(self, params: Parameters, slots: Mapping[str, Array], done: int) -> None:
        """Go on from other parameters and another memory, after so many steps."""

    def scores(self, net: Network, samples: Samples) -> dict[str, float]:
        """What ``net`` makes of samples as trained by now: their loss, and what it gets right."""

    @staticmethod
    def threads(net: Network, batch_size: int | None) -> int:
        """How many threads share a step of this size: more of them add in another order."""

    def run(
        self, data: Mapping[str, Array], order: Array | None, batch_size: int, rates: Array
    ) -> Outcome:
        """One step a rate: batch k holds the samples order[k·batch_size : (k+1)·batch_size].

        ``data`` has an array (samples, …) for each input of the network, the target among them.
        ``order`` None is the order of the data; the last batch may be smaller. Of an engine that
        ``takes_epochs`` it may have a row (epochs, samples) for each of several epochs.
        """


class InMemory:
    """Weights and the optimiser's memory as arrays of NumPy that a step changes in place.

    The parameters that are trained are views into ``vector`` (all,).
    """

    def __init__(self, params: Parameters, vector: Array, slots: dict[str, Array]) -> None:
        self.params, self.vector, self.slots, self.done = params, vector, slots, 0

    @property
    def takes_epochs(self) -> bool:
        return False

    def restore(self, params: Parameters, slots: Mapping[str, Array], done: int) -> None:
        for name, value in self.params.items():
            value[...] = params[name]
        for name, slot in self.slots.items():
            slot[...] = slots[name]
        self.done = done

    def scores(self, net: Network, samples: Samples) -> dict[str, float]:
        return scores(net, self.params, samples)


class NumpyEngine(InMemory):
    """The emitted NumPy programs, one call a batch, each in at most ``memory`` bytes."""

    def __init__(
        self,
        net: Network,
        start: Parameters,
        optimizer: Optimizer,
        seed: int = 0,
        memory: int | None = None,
    ) -> None:
        self._net, self._seed, self._memory = net, seed, memory
        self._planned: tuple[Shapes, Compiled] | None = None  # for which batches
        vector, unravel = ravel({name: start[name] for name in net.trained})
        self._slope = np.zeros_like(vector)
        self._grads = unravel(self._slope)
        self._updater = Updater(optimizer, vector.size, vector.dtype)
        super().__init__({**start, **unravel(vector)}, vector, self._updater.slots)

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
        losses, right = np.zeros(len(rates)), np.zeros(len(rates), np.int64)
        self._updater.done = self.done
        for at, rate in enumerate(rates):
            part = slice(at * batch_size, (at + 1) * batch_size)
            rows = part if order is None else order[part]
            inputs = {name: array[rows] for name, array in data.items()}
            program = self._program(inputs)
            if self._memory is not None and self._net.noise:
                program.release()  # drawing takes room, too
            inputs |= drawn(self._net, inputs, step_seed(self._seed, self.done))
            values = program(self.params, inputs, self._grads)
            losses[at] = values["loss"]
            if not np.isfinite(losses[at]):
                return Outcome(losses[: at + 1], right, failed=at)
            right[at] = hits(self._net.criterion, values["output"], inputs["target"]) or 0
            self._updater.step(self.vector, self._slope, rate)
            self.done += 1
            for name, key in self._net.update_keys.items():
                self.params[name][...] = values[key]
            del inputs, values  # before the next ones are there
        return Outcome(losses, right)

    def _program(self, inputs: Mapping[str, Array]) -> Compiled:
        """What runs a step on these inputs, the noise not among them."""
        if self._memory is None:
            return self._net.training_program
        shapes = {name: array.shape for name, array in inputs.items()}
        if self._planned is None or not _as_large(self._planned[0], shapes):
            held = {name: array.shape for name, array in self.params.items()}
            every = {**held, **shapes, **noise_shapes(self._net, inputs)}
            limited, dtype = self._net.limited_training, self.vector.dtype
            self._planned = shapes, limited.compiled(every, dtype, self._memory)[1]
        return self._planned[1]


def _as_large(planned: Shapes, shapes: Shapes) -> bool:
    """Is a batch no longer along any axis than one that is planned for?"""
    return all(
        have <= most
        for name, shape in shapes.items()
        for have, most in zip(shape, planned[name], strict=True)
    )
