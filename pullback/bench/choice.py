"""Which tasks are measured, as one asks for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pullback.bench.networks import PUBLISHED
from pullback.bench.task import (
    ACTIVATIONS,
    BATCHES,
    CASES,
    OPTIMIZERS,
    WORKS,
    BenchmarkTask,
    GivenTask,
    PublishedTask,
    TrainingTask,
)
from pullback.errors import ConfigError
from pullback.net.recipe import widths_in

ONE, MANY = 1, 256  # rows that are predicted in a call


def usual(
    works: Sequence[str] = WORKS,
    activations: Sequence[str] = tuple(ACTIVATIONS),
    optimizers: Sequence[str] = OPTIMIZERS,
    quick: bool = False,
) -> list[BenchmarkTask]:
    """Layers of five sizes and the published networks; quickly, the three smaller sizes alone.

    >>> [(str(task), task.batch) for task in usual(["predicting"], quick=True)]
    [('64-32-10 relu predict', 1), ('64-32-10 relu predict', 256)]
    """
    tasks: list[BenchmarkTask] = []
    if "training" in works:
        for widths, batch in CASES[:3] if quick else CASES:
            tasks += _layered(widths, batch, activations, optimizers)
        tasks += [] if quick else [PublishedTask(n, BATCHES[n], "momentum") for n in PUBLISHED]
    if "predicting" in works:
        some: list[BenchmarkTask] = [TrainingTask(*CASES[0], "relu", "sgd")]
        some += [] if quick else [PublishedTask(n, BATCHES[n], "sgd") for n in PUBLISHED]
        tasks += _worked(some, None, ["predicting"])
    return tasks


def only(
    text: str,
    batch: int | None,
    works: Sequence[str],
    activations: Sequence[str],
    optimizers: Sequence[str],
) -> list[BenchmarkTask]:
    """One network: by its widths, or one of ``PUBLISHED`` by its name.

    Raises ConfigError for what is neither.
    """
    if text in PUBLISHED:
        named = [PublishedTask(text, BATCHES[text], rule) for rule in optimizers]
        return _worked(named, batch, works)
    if text[:1].isalpha():
        raise ConfigError(
            f"--only is {text!r}; expected widths as 784,128,10, or one of {', '.join(PUBLISHED)}"
        )
    widths = tuple(widths_in("--only", text))
    usually = next((size for case, size in CASES if case == widths), 64)
    return _worked(_layered(widths, usually, activations, optimizers), batch, works)


def given(
    source: str,
    sizes: tuple[int, ...] | None,
    batch: int | None,
    works: Sequence[str],
    optimizers: Sequence[str],
) -> list[BenchmarkTask]:
    """A person's network; see ``GivenTask``. It is read once, and its errors are raised."""
    tasks = [GivenTask(source, 64, rule, sizes=sizes) for rule in optimizers]
    tasks[0].check()
    return _worked(tasks, batch, works)


def _layered(
    widths: Sequence[int], batch: int, activations: Sequence[str], optimizers: Sequence[str]
) -> list[TrainingTask]:
    return [
        TrainingTask(tuple(widths), batch, activation, optimizer)
        for activation in activations
        for optimizer in optimizers
    ]


def _worked(
    tasks: Iterable[BenchmarkTask], batch: int | None, works: Sequence[str]
) -> list[BenchmarkTask]:
    """The tasks for each kind of work, in batches of that size or of the usual ones."""
    tasks, found = list(tasks), list[BenchmarkTask]()
    if "training" in works:
        found += [task.resized(batch or task.batch) for task in tasks]
    if "predicting" in works:
        rows = [ONE, MANY] if batch is None else [batch]
        found += dict.fromkeys(task.predicting(each) for task in tasks for each in rows)
    return found
