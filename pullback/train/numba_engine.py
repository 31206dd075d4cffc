"""The fast engine: many steps of training as one compiled function, run by a crew of threads.

The function comes from the same lowered steps as the NumPy program; its source can be read
(``NumbaEngine.source``). Numba loads when a program is compiled for the first time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pullback.emit.epoch.arguments import Size
from pullback.emit.epoch.profile import Variant
from pullback.machine.threads import Workers, processors
from pullback.net.network import Network, Parameters
from pullback.net.program import Array
from pullback.net.vector import ravel
from pullback.train.compiled_epoch import program
from pullback.train.engine import InMemory, Outcome
from pullback.train.metrics import threshold
from pullback.train.optim import Optimizer

# operations in a step, some 20 µs, that make one more worker worth its while
GRAIN = 1_500_000
_LINE = 64  # bytes


class NumbaEngine(InMemory):
    """Runs steps of training in one compiled function; see ``Engine``.

    ``workers`` threads share a step; None takes as many as a step is worth. Their number changes
    the order of sums, and so the last bits. The variant "profile" adds up in ``spent``
    (workers, kinds) where their time goes; see ``emit.epoch``.
    """

    def __init__(
        self,
        net: Network,
        start: Parameters,
        optimizer: Optimizer,
        workers: int | None = None,
        variant: Variant = "training",
    ) -> None:
        given, unravel = ravel({name: start[name] for name in net.trained})
        vector = _zeros(given.shape, given.dtype)
        vector[:] = given
        trained = unravel(vector)
        slots = {name: _zeros(given.shape, given.dtype) for name in optimizer.slots}
        super().__init__({**start, **trained}, vector, slots)
        self._gradient = _zeros(self.vector.shape, self.vector.dtype)
        gradients = unravel(self._gradient)
        shapes = {name: value.shape for name, value in start.items()}
        self._program = program(net, optimizer, shapes, self.vector.dtype.name, variant)
        self._epoch = self._program.epoch
        self._fixed = {"vector": self.vector, "gradient": self._gradient, **self.slots}
        for key, (weight, gradient) in self._epoch.parameters.items():
            self._fixed |= {weight: trained[key], gradient: gradients[key]}
        self._score = net.criterion.is_scored
        self._threshold = threshold(net.criterion)
        self._wanted, self._crew = workers, Workers(1)
        self.spent = np.zeros((1, 16), np.int64)
        self._work: dict[str, Array] = {}
        self._places: dict[str, Any] = {}
        self._sizes: dict[Size, int] = {}

    @property
    def source(self) -> str:
        """The source of the function that runs."""
        return self._epoch.source

    def run(
        self, data: Mapping[str, Array], order: Array | None, batch_size: int, rates: Array
    ) -> Outcome:
        dtype, rows = self.vector.dtype, len(data["target"])
        workers = self.workers(batch_size)
        if len(self.spent) != workers:
            self.spent = np.zeros((workers, 16), np.int64)
        numbers: dict[str, Any] = {
            "workers": workers,
            "rows": rows,
            "samples": rows if order is None else len(order),
            "batch_size": batch_size,
            "steps": len(rates),
            "first_step": self.done + 1,
            "score": int(self._score),
            "threshold": self._threshold,
        }
        given = {
            "meeting": np.zeros(1, np.int64),
            "hits": np.zeros(workers, np.int64),
            "order": np.arange(rows) if order is None else np.ascontiguousarray(order, np.int64),
            "rates": np.asarray(rates, dtype),
            "losses": np.zeros(len(rates), dtype),
            "spent": self.spent,
            **{f"rows_{n}": np.ascontiguousarray(data[n], dtype) for n in self._epoch.data},
        }
        self._make_room(batch_size, workers)
        values = numbers | self._places | _places(given)
        arguments = [values[argument.name] for argument in self._epoch.arguments[1:]]
        failed = self._together(workers, arguments)
        losses, right = given["losses"].astype(np.float64), int(given["hits"].sum())
        if failed >= 0:
            self.done += failed
            return Outcome(losses[: failed + 1], right, failed=failed)
        self.done += len(rates)
        return Outcome(losses, right)

    def _together(self, workers: int, arguments: list[Any]) -> int:
        if self._crew.count != workers:
            self._crew = Workers(workers)
        return self._crew.run(self._program.run, arguments)

    def workers(self, batch_size: int) -> int:
        """How many threads share a step of this size."""
        return _workers(self.vector.size, batch_size) if self._wanted is None else self._wanted

    @staticmethod
    def threads(net: Network, batch_size: int | None) -> int:
        weights = sum(math.prod(spec.shape) for spec in net.specs)
        return processors() if batch_size is None else _workers(weights, batch_size)

    def _make_room(self, batch_size: int, workers: int) -> None:
        """The arrays that the function works in, kept while the sizes stay the same."""
        sizes: dict[Size, int] = {"batch_size": batch_size, "workers": workers}
        if sizes == self._sizes:
            return
        outside = {"rates", "losses", *self._fixed}
        self._work = {
            argument.name: _zeros([int(sizes.get(n, n)) for n in argument.shape], self.vector.dtype)
            for argument in self._epoch.arguments
            if argument.kind == "real"
            and argument.shape
            and argument.name not in outside
            and not argument.name.startswith("rows_")
        }
        self._sizes = sizes
        self._places = _places(self._fixed) | _places(self._work)


def _workers(weights: int, batch_size: int) -> int:
    return max(1, min(processors(), 6 * batch_size * weights // GRAIN))


def _zeros(shape: Sequence[int], dtype: Any) -> Array:
    """An array that begins where a line of the cache does: no vector lies across two of them."""
    size = math.prod(shape) * dtype.itemsize
    room = np.zeros(size + _LINE, np.uint8)
    begin = -room.ctypes.data % _LINE
    array: Array = room[begin : begin + size].view(dtype).reshape(shape)
    return array


def _places(arrays: Mapping[str, Array]) -> dict[str, Any]:
    """The address of each array, for code that takes it as it is."""
    return {name: array.ctypes.data for name, array in arrays.items()}
