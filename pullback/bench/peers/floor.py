"""The floor: the matrix products of forward and backward pass, and nothing else."""

from __future__ import annotations

from pullback.bench.absent import AbsentError
from pullback.bench.peers.ours import Ours
from pullback.bench.task import BenchmarkTask, TrainingTask


class Floor(Ours):
    """The engine's own products, in a compiled loop."""

    def __init__(self, task: BenchmarkTask, threads: int) -> None:
        if not isinstance(task, TrainingTask):
            raise AbsentError("products of matrices are not all that this network needs")
        super().__init__(task, threads, variant="products")

    def first_pass(self) -> None:  # type: ignore[override]  # nothing is learnt
        self.passes(1)
