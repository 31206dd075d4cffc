"""The fast engine: many steps of training as one compiled function, run by a thread pool.

The function comes from the same lowered steps as the NumPy program.
"""

from __future__ import annotations

import ctypes
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from pullback.emit.epoch.record import CHUNK, FIRST, LINE, Epoch, Variant
from pullback.errors import DataError, NotApplicableError
from pullback.machine.barrier import meeting_room
from pullback.machine.threads import Workers, processors
from pullback.machine.worker_count import WorkerCount
from pullback.net.modes import drawn, step_seed
from pullback.net.network import Network, Parameters
from pullback.net.program import Array
from pullback.net.vector import ravel
from pullback.train.compiled_epoch import EpochProgram, program
from pullback.train.compiled_scores import CompiledScores
from pullback.train.engine import InMemory, Outcome
from pullback.train.metrics import threshold
from pullback.train.optim import Optimizer
from pullback.train.samples import Samples

# operations in a step, some 20 µs, that make one more worker worth its while
GRAIN = 1_500_000
# Batches of so many samples leave the caches between two layers. They go in strips through networks
# of at most so many weights; one of more multiplies matrices for most of a step.
LONG, NARROW = 4096, 16384
_LINE = 64  # bytes
_NOISE = 2**24  # numbers that are drawn before steps use them
_DRAWN = 8  # bytes of a number as it is drawn


class CompiledEngine(InMemory):
    """Runs steps of training in one compiled function; see ``Engine``.

    ``workers`` threads share a step; None takes as many as a step is worth, or one while that is
    faster. No bit of the result depends on how many there are. Noise is drawn from ``seed`` as
    NumPy's engine draws it. The variant "profile" adds up in ``spent`` (workers, kinds) where their
    time goes; see ``emit.epoch.record``. ``batch_size`` is how many samples a step will have, where
    that is known. ``compiling`` is called before a program is compiled that is nowhere yet.
    """

    def __init__(
        self,
        net: Network,
        start: Parameters,
        optimizer: Optimizer,
        workers: int | None = None,
        variant: Variant = "training",
        seed: int = 0,
        batch_size: int | None = None,
        compiling: Callable[[], object] = lambda: None,
    ) -> None:
        given, unravel = ravel({name: start[name] for name in net.trained})
        vector = _zeros(given.shape, given.dtype)
        vector[:] = given
        slots = {name: _zeros(given.shape, given.dtype) for name in optimizer.slots}
        trained = unravel(vector)
        params = {
            name: trained[name] if name in trained else np.array(value, order="C")
            for name, value in start.items()
        }
        super().__init__(params, vector, slots)
        self._net = net
        self._optimizer, self._variant, self._compiling = optimizer, variant, compiling
        self._programs: dict[bool, EpochProgram] = {}
        self._scores: dict[Network, CompiledScores | None] = {}
        self._program(batch_size or 1)
        parts = math.ceil(self.vector.size / CHUNK)
        self._fixed = {
            "weights": self.vector,
            "gradient": _zeros(given.shape, given.dtype),
            "sums": _zeros((parts,), given.dtype),
            **self.slots,
        }
        self._lie = {name: array.ctypes.data for name, array in self._fixed.items()}
        self._seed = seed
        self._score = net.criterion.is_scored
        self._threshold = threshold(net.criterion)
        self._wanted, self._pool = workers, Workers(1)
        self._counts = dict[int, WorkerCount]()  # by the size of a batch
        self._processors = processors()
        self.spent = np.zeros((1, LINE), np.int64)

    @property
    def takes_epochs(self) -> bool:
        return not self._net.noise

    @staticmethod
    def threads(net: Network, batch_size: int | None) -> int:
        return 1  # their number changes nothing

    def scores(self, net: Network, samples: Samples) -> dict[str, float]:
        if net not in self._scores:
            self._scores[net] = None
            with suppress(NotApplicableError):  # its samples meet
                self._scores[net] = CompiledScores(net, self.vector.dtype, self._wanted)
        compiled = self._scores[net]
        if compiled is None:
            return super().scores(net, samples)
        return compiled(self.params, samples)

    def run(
        self, data: Mapping[str, Array], order: Array | None, batch_size: int, rates: Array
    ) -> Outcome:
        count = self._count(batch_size)
        order = np.arange(len(data["target"])) if order is None else order
        # steps that stay together, those of an epoch where there are several, and their part of it
        whole, rows = (len(rates) // len(order), 1) if order.ndim == 2 else (1, batch_size)
        first, outcomes = 0, list[Outcome]()
        while not outcomes or (first < len(rates) and outcomes[-1].failed is None):
            steps = min(len(rates) - first, count.limit or len(rates))
            if self._net.noise:
                steps = min(steps, self._steps_at_once(batch_size))
            begin, wholes = first // whole * rows, -(-steps // whole)
            part, these = order[begin : begin + wholes * rows], rates[first:][: wholes * whole]
            noise = self._drawn(data, len(part), batch_size) if self._net.noise else {}
            started, used = time.perf_counter(), time.thread_time()
            outcomes.append(self._run({**data, **noise}, part, batch_size, these, count.now))
            seconds, used = time.perf_counter() - started, time.thread_time() - used
            count.took(len(these), seconds, used)
            first += len(these)
        return outcomes[0] if len(outcomes) == 1 else _joined(outcomes)

    def _steps_at_once(self, batch_size: int) -> int:
        """For how many steps there is room for noise."""
        return max(1, _NOISE // (self._noise_of_a_sample * batch_size))

    @property
    def _noise_of_a_sample(self) -> int:
        """How many numbers are drawn for each sample."""
        leaves = (noise.leaf for noise in self._net.noise.values())
        return sum(math.prod(axis.size or 1 for axis in leaf.axes) for leaf in leaves)

    def _drawn(self, data: Mapping[str, Array], samples: int, batch_size: int) -> dict[str, Array]:
        """The noise of the next steps, of each from a seed of its own, one behind the other."""
        steps = [
            drawn(
                self._net,
                {name: rows[: min(batch_size, samples - begin)] for name, rows in data.items()},
                step_seed(self._seed, self.done + at),
            )
            for at, begin in enumerate(range(0, samples, batch_size))
        ]
        return {name: np.concatenate([step[name] for step in steps]) for name in self._net.noise}

    def _run(
        self, data: Mapping[str, Array], order: Array, batch_size: int, rates: Array, workers: int
    ) -> Outcome:
        program = self._program(batch_size)
        dtype, epoch, most = self.vector.dtype, program.epoch, self._count(batch_size).most
        samples = order.shape[-1]
        if order.ndim == 2 and order.strides[0] == 0:  # each epoch goes the same way
            order = order[0]
        further = 0 if order.ndim == 1 else samples
        if len(self.spent) != most:
            self.spent = np.zeros((most, LINE), np.int64)
        given = {
            "meeting": np.zeros(meeting_room(workers), np.int64),
            "hits": np.zeros((len(rates), workers), np.int64),
            "order": np.ascontiguousarray(order, np.int64),
            "spent": self.spent,
            "rates": np.asarray(rates, dtype),
            "losses": np.zeros(len(rates), dtype),
            "work": self._room(epoch.room(batch_size, most)),
        }
        lie = self._lie | {name: array.ctypes.data for name, array in given.items()}
        more = [self._rows(epoch, name, data[name]) for name in epoch.data]
        more += [self.params[name] for name in epoch.held]
        every = [lie[name] for name in (*FIRST, *epoch.slots)]
        every += [array.ctypes.data for array in more]
        places = (ctypes.c_void_p * len(every))(*every)
        numbers = (workers, samples, batch_size, len(rates), self.done + 1, int(self._score))
        failed = self._together(program, workers, [*numbers, further, self._threshold, places])
        losses, right = given["losses"].astype(np.float64), given["hits"].sum(axis=1)
        if failed >= 0:
            self.done += failed
            return Outcome(losses[: failed + 1], right[: failed + 1], failed=failed)
        self.done += len(rates)
        return Outcome(losses, right)

    def _together(self, program: EpochProgram, workers: int, arguments: list[Any]) -> int:
        if workers == 1:
            return program.run(0, *arguments)  # the others may be wanted again
        if self._pool.count != workers:
            self._pool = Workers(workers)
        return self._pool.run(program.run, arguments)

    def _program(self, batch_size: int) -> EpochProgram:
        """The program for batches of so many samples: in strips where these leave a cache."""
        strips = batch_size >= LONG and self.vector.size <= NARROW
        strips = strips and self._variant != "products"
        if strips not in self._programs:
            self._programs[strips] = self._compiled(strips)
        return self._programs[strips]

    def _compiled(self, strips: bool) -> EpochProgram:
        shapes = {name: value.shape for name, value in self.params.items()}
        given = (self._net, self._optimizer, shapes, self.vector.dtype.name, self._variant)
        if strips:
            with suppress(NotApplicableError):  # its samples wait for one another
                return program(*given, strips=True, compiling=self._compiling)
        return program(*given, compiling=self._compiling)

    def memory(self, batch_size: int) -> int:
        """The bytes that steps of this size take, with their batches, noise and gradients."""
        epoch = self._program(batch_size).epoch
        numbers = epoch.room(batch_size, self._count(batch_size).most)
        numbers += self._fixed["gradient"].size + self._fixed["sums"].size
        each = self._noise_of_a_sample
        noise = self._steps_at_once(batch_size) * each * batch_size if each else 0
        itemsize = self.vector.dtype.itemsize
        return numbers * itemsize + noise * (2 * itemsize + _DRAWN)

    def workers(self, batch_size: int) -> int:
        """How many threads share a step of this size by now."""
        return self._count(batch_size).now

    def _count(self, batch_size: int) -> WorkerCount:
        if batch_size not in self._counts:
            most = min(self._processors, 6 * batch_size * self.vector.size // GRAIN)
            least = self._wanted or 1
            self._counts[batch_size] = WorkerCount(self._wanted or max(1, most), least)
        return self._counts[batch_size]

    def _rows(self, epoch: Epoch, name: str, array: Array) -> Array:
        """The samples of an input as the function reads them.

        Raises DataError where a whole number is none of the places where something is looked up.
        """
        kind = np.dtype(np.int64) if name in epoch.whole else self.vector.dtype
        rows: Array = np.ascontiguousarray(array, kind)
        size = epoch.indices.get(name)
        if size is not None and rows.size and not 0 <= rows.min() <= rows.max() < size:
            raise DataError(f"{name} is not of whole numbers from 0 to {size - 1}")
        return rows

    def _room(self, numbers: int) -> Array:
        """The memory that the function works in, kept while the sizes stay the same."""
        room = self._fixed.get("work")
        if room is None or len(room) != numbers:
            room = self._fixed["work"] = _zeros((numbers,), self.vector.dtype)
        return room


def _joined(outcomes: Sequence[Outcome]) -> Outcome:
    """What steps that follow each other gave; only the last ones can have failed."""
    losses, right = (
        np.concatenate([getattr(each, name) for each in outcomes]) for name in ("losses", "right")
    )
    failed = outcomes[-1].failed
    before = sum(len(each.losses) for each in outcomes[:-1])
    return Outcome(losses, right, None if failed is None else before + failed)


def _zeros(shape: Sequence[int], dtype: Any) -> Array:
    """An array that begins where a line of the cache does: no vector lies across two of them."""
    size = math.prod(shape) * dtype.itemsize
    room = np.zeros(size + _LINE, np.uint8)
    begin = -room.ctypes.data % _LINE
    array: Array = room[begin : begin + size].view(dtype).reshape(shape)
    return array
