"""The floor: the matrix products of forward and backward pass through BLAS, and nothing else."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from pullback.bench.task import TrainingTask
from pullback.net.program import Array


class Floor:
    """Three products a layer, two in the first one, in a compiled loop."""

    def __init__(self, task: TrainingTask, threads: int) -> None:
        import numba

        def products(count, xs, ws, zs, ds, dws, dxs):  # type: ignore[no-untyped-def]
            for _ in range(count):
                for at in range(len(ws)):
                    np.dot(xs[at], ws[at].T, zs[at])
                for at in range(len(ws) - 1, -1, -1):
                    np.dot(ds[at].T, xs[at], dws[at])
                    if at > 0:
                        np.dot(ds[at], ws[at], dxs[at])

        rng = np.random.default_rng(0)

        def arrays(*shapes: tuple[int, int]) -> tuple[Array, ...]:
            return tuple(rng.standard_normal(shape, dtype=np.float32) for shape in shapes)

        layers = list(pairwise(task.widths))
        inputs = [(task.batch, i) for i, _ in layers]
        outputs = [(task.batch, o) for _, o in layers]
        weights = [(o, i) for i, o in layers]
        self._arrays = [
            arrays(*each) for each in (inputs, weights, outputs, outputs, weights, inputs)
        ]
        self._batches = task.batches
        self._products = numba.njit(products)

    def first_pass(self) -> None:
        self.passes(1)

    def passes(self, count: int) -> None:
        self._products(count * self._batches, *self._arrays)
