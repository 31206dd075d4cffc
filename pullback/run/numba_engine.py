"""The fast engine: many steps of training as one function, compiled by Numba.

The function comes from the same lowered steps as the NumPy program; its source can be read
(``NumbaEngine.source``). Numba loads when the first engine is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from pullback.emit import lower
from pullback.emit.epoch import RESERVED, epoch
from pullback.run.compiled import Array, execute
from pullback.run.engine import Outcome
from pullback.run.metrics import threshold
from pullback.run.network import Network, Parameters
from pullback.run.optim import Optimizer, equations
from pullback.run.vector import ravel
from pullback.vmath.functions import functions

# sums may be reordered and products fused, which is what vectorising needs; NaN and infinity keep
# their meaning
FASTMATH = frozenset({"contract", "reassoc", "nsz", "arcp"})


class NumbaEngine:
    """Runs steps of training in one compiled function; see ``Engine``."""

    def __init__(self, net: Network, start: Parameters, optimizer: Optimizer) -> None:
        self.vector, unravel = ravel(start)
        self._params = unravel(self.vector)
        self.slots = {name: np.zeros_like(self.vector) for name in optimizer.slots}
        self.done = 0
        emitted = epoch(
            lower(net.training_roots, RESERVED),
            lower(equations(optimizer), RESERVED),
            {name: value.shape for name, value in start.items()},
        )
        self.source = emitted.source
        self._slots = [self.slots[name] for name in emitted.slots]
        self._data = emitted.data
        self._run = compile_epoch(emitted.source, emitted.functions, self.vector.dtype.str)
        self._score = net.criterion.target != "values"
        self._threshold = threshold(net.criterion)

    @property
    def params(self) -> Parameters:
        return self._params

    def run(
        self,
        x: Array,
        target: Array,
        order: Array | None,
        batch_size: int,
        rates: Array,
        sample_weight: Array | None = None,
    ) -> Outcome:
        given = {"x": x, "target": target, "sample_weight": sample_weight}
        data = [np.ascontiguousarray(given[name], self.vector.dtype) for name in self._data]
        losses = np.zeros(len(rates))
        failed, right = self._run(
            self.vector,
            *self._slots,
            *data,
            np.arange(len(x)) if order is None else order,
            batch_size,
            np.asarray(rates, self.vector.dtype),
            self.done + 1,
            self._score,
            self._threshold,
            losses,
        )
        if failed >= 0:
            self.done += failed
            return Outcome(losses[: failed + 1], right, failed=failed)
        self.done += len(rates)
        return Outcome(losses, right)


@lru_cache(maxsize=64)
def compile_epoch(source: str, names: tuple[str, ...], dtype: str) -> Callable[..., Any]:
    """The compiled function of emitted source, in single or double precision."""
    import numba

    real = np.dtype(dtype).type
    known = functions(np.dtype(dtype).name)
    namespace: dict[str, Any] = {name: known[name] for name in names}
    namespace |= {"np": np, "real": real, "inf": np.inf, "isfinite": math.isfinite}
    namespace["hits"] = numba.njit(_hits)
    emitted = execute(source, namespace)["run"]
    run: Callable[..., Any] = numba.njit(
        emitted, error_model="numpy", fastmath=set(FASTMATH), nogil=True
    )
    return run


def _hits(output: Array, target: Array, threshold: float) -> int:
    """How many rows are classified right; the rule is that of ``metrics.hits``."""
    right = 0
    for i in range(output.shape[0]):
        best, wanted, ones, agree = 0, 0, 0, True
        for j in range(output.shape[1]):
            best = j if output[i, j] > output[i, best] else best
            wanted = j if target[i, j] > target[i, wanted] else wanted
            ones += target[i, j] > 0
            agree = agree and (output[i, j] > threshold) == (target[i, j] > 0.5)
        by_largest = threshold != threshold or (output.shape[1] > 1 and ones == 1)
        right += best == wanted if by_largest else agree
    return right
