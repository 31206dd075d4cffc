"""The peers: each makes of a task something that works on it, one file a library."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Protocol

from pullback.bench.absent import AbsentError
from pullback.bench.task import BenchmarkTask


class Peer(Protocol):
    """One library at work on one task."""

    def first_pass(self) -> float | None:
        """What all should have in common after the first pass: a loss, or the output's mean square.

        What has to be compiled is compiled here.
        """

    def passes(self, count: int) -> None:
        """Go over every batch so many times more; done when it returns."""


_HOMES = {
    "training": {
        "pullback": ("ours", "Ours"),
        "floor": ("floor", "Floor"),
        "torch": ("torch", "Eager"),
        "torch.compile": ("torch", "CompiledTorch"),
        "jax.jit": ("jax", "Jit"),
        "jax.scan": ("jax", "WholePass"),
        "sklearn": ("sklearn", "Sklearn"),
    },
    "predicting": {
        "pullback": ("ours", "Predicting"),
        "torch": ("torch", "EagerPrediction"),
        "torch.compile": ("torch", "CompiledPrediction"),
        "jax.jit": ("jax", "JitPrediction"),
        "sklearn": ("sklearn", "SklearnPrediction"),
    },
}
PEERS = tuple(_HOMES["training"])


def make(name: str, task: BenchmarkTask, threads: int) -> Peer:
    """The peer of that name; raises AbsentError where it cannot take part."""
    if name in PEERS and name not in _HOMES[task.work]:
        raise AbsentError("it is for training alone")
    module, kind = _HOMES[task.work][name]
    try:
        made: Callable[[BenchmarkTask, int], Peer] = getattr(
            import_module(f"{__name__}.{module}"), kind
        )
        return made(task, threads)
    except ModuleNotFoundError as missing:
        raise AbsentError(f"{missing.name} is not installed") from None
