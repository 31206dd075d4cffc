"""The peers: each makes of a task something that learns, one file a library."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Protocol

from pullback.bench.task import TrainingTask


class Peer(Protocol):
    """One library at work on one task."""

    def first_pass(self) -> float | None:
        """Learn from every batch once; the mean of the losses before each update, if it learns.

        What has to be compiled is compiled here.
        """

    def passes(self, count: int) -> None:
        """Learn from every batch so many times more; done when it returns."""


class AbsentError(Exception):
    """Why a peer cannot take part, for people."""


_HOMES = {
    "pullback": ("ours", "Ours"),
    "floor": ("floor", "Floor"),
    "torch": ("torch", "Eager"),
    "torch.compile": ("torch", "CompiledTorch"),
    "jax.jit": ("jax", "Jit"),
    "jax.scan": ("jax", "WholePass"),
    "sklearn": ("sklearn", "Sklearn"),
}
PEERS = tuple(_HOMES)


def make(name: str, task: TrainingTask, threads: int) -> Peer:
    """The peer of that name; raises AbsentError where it cannot take part."""
    module, kind = _HOMES[name]
    try:
        made: Callable[[TrainingTask, int], Peer] = getattr(
            import_module(f"{__name__}.{module}"), kind
        )
        return made(task, threads)
    except ModuleNotFoundError as missing:
        raise AbsentError(f"{missing.name} is not installed") from None
