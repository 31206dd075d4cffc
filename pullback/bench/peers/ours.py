"""pullback: a pass is one call of the compiled epoch, a prediction one call of ``predict``."""

from __future__ import annotations

import numpy as np

from pullback.bench.task import ADAM_RATE, MOMENTUM, RATE, BenchmarkTask
from pullback.emit.epoch.record import Variant
from pullback.train.compiled_engine import CompiledEngine
from pullback.train.optim import SGD, Adam, Optimizer

OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": SGD(RATE),
    "momentum": SGD(RATE, momentum=MOMENTUM),
    "adam": Adam(ADAM_RATE),
}


class Ours:
    """The engine as ``fit`` uses it, without what is done between epochs."""

    def __init__(self, task: BenchmarkTask, threads: int, variant: Variant = "training") -> None:
        params = task.params()
        net, self._data = task.net.batch(params, *task.data)
        self._order = np.arange(len(task.data[0]))
        self._rates = np.full(task.batches, task.rate, np.float32)
        self._batch = task.batch
        self._engine = CompiledEngine(net, params, OPTIMIZERS[task.optimizer], variant=variant)

    def first_pass(self) -> float:
        return float(self._run().mean())

    def passes(self, count: int) -> None:
        for _ in range(count):
            self._run()

    def _run(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        outcome = self._engine.run(self._data, self._order, self._batch, self._rates)
        return outcome.losses


class Predicting:
    """``net.predict``, with everything that it checks."""

    def __init__(self, task: BenchmarkTask, threads: int) -> None:
        self._net, self._params, (self._x, _) = task.net, task.params(), task.data

    def first_pass(self) -> float:
        return float(np.square(self._net.predict(self._params, self._x)).mean())

    def passes(self, count: int) -> None:
        for _ in range(count):
            self._net.predict(self._params, self._x)
