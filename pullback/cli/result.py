"""What training came to, as a table for people and as JSON for machines."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pullback.cli.fitting import show
from pullback.cli.training import Pair
from pullback.cli.work import Work
from pullback.report.words.numbers import brief, count, percent, seconds, short
from pullback.train.fit import FitResult
from pullback.train.history import Divergence
from pullback.train.metrics import scores as losses_of
from pullback.train.optim import FullBatch, Optimizer
from pullback.train.prediction import predicted
from pullback.train.samples import Samples


def echo(
    work: Work, optimizer: Optimizer | FullBatch, epochs: int, batch_size: int
) -> dict[str, str]:
    """What is about to be done: the task, the network, the optimiser."""
    parameters = sum(prod(spec.shape) for spec in work.net.specs)
    batches = "" if isinstance(optimizer, FullBatch) else f", batches of {batch_size}"
    return {
        "task": work.task,
        "model": f"{work.net.model!r}, {count(parameters, 'parameter')}",
        "loss": brief(work.net.criterion),
        "optimizer": f"{brief(optimizer)}{batches}, {count(epochs, 'epoch')}",
    }


def summary(work: Work, result: FitResult, fitted: Pair, held: Pair | None) -> dict[str, Any]:
    """What training came to, as plain data: the last numbers, and those of the test."""
    history, samples = result.history, len(fitted[0])
    known = [name for name in ("loss", "accuracy") if name in history]
    last: dict[str, float] = {name: history[name][-1] for name in known}
    parts = {"test": work.test} if held is None else {"validation": held, "test": work.test}
    for part, (X, Y) in parts.items():
        found = losses_of(work.net.eval(), result.params, Samples.of(work.net, X, Y, result.params))
        last |= {f"{part}_{name}": value for name, value in found.items()}
    spent, epochs = sum(history.get("seconds", ())), len(history.get("loss", ()))
    return {
        "samples": samples,
        **({} if held is None else {"validation_samples": len(held[0])}),
        "test_samples": len(work.test[0]),
        "parameters": sum(value.size for value in result.params.values()),
        "epochs": epochs,
        "seconds": spent,
        "samples_per_second": epochs * samples / max(spent, 1e-9),
        "interrupted": result.interrupted,
        "stopped": result.stopped,
        "diverged": result.diverged is not None,
        **({"divergence": result.diverged.to_dict()} if result.diverged else {}),
        **last,
        "test_scores": scores(work, result),
    }


def scores(work: Work, result: FitResult) -> dict[str, float]:
    """How well the network does on the samples for testing, in the target's own units."""
    found = predicted(work.net, result.params, work.test[0], work.preprocessing)
    return found.scores(work.truth)


def print_table(
    found: dict[str, Any], target: str, diverged: Divergence | None, saved: Path | None
) -> None:
    """Training, validation and test side by side, then the speed and how it ended."""
    parts = [part for part in ("validation", "test") if f"{part}_samples" in found]
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for name, style in (("", ""), ("training", "blue"), *((part, "green") for part in parts)):
        table.add_column(name, justify="right" if name else "left", style=style)
    for name, form in (("samples", "{:,}".format), ("loss", short), ("accuracy", percent)):
        row = [found.get(name), *(found.get(f"{part}_{name}") for part in parts)]
        if any(value is not None for value in row):
            table.add_row(name, *("–" if value is None else form(value) for value in row))
    console = Console(highlight=False)
    with console.capture() as page:  # its own way with a closed pipe is not ours
        console.print(table)
    print(page.get(), end="")
    show(scores_text(found["test_scores"], f"test {target}"))
    show(
        f"{count(found['epochs'], 'epoch')} in {seconds(found['seconds'])} "
        f"({found['samples_per_second']:,.0f} samples/s)"
        f"{', interrupted' if found['interrupted'] else ''}"
    )
    if found["stopped"]:
        show(f"stopped early: {found['stopped']}")
    if diverged is not None:
        show(diverged.sentence)
    if saved is not None:
        show(f"saved {saved}")


_SCORES = {
    "rmse": "RMSE", "mae": "MAE", "r2": "R²",
    "accuracy": "accuracy", "f1": "F1", "log_loss": "log-loss", "calibration": "calibration error",
}  # fmt: skip
_SHARES = ("accuracy", "calibration")


def scores_text(scores: Mapping[str, float], target: str) -> str:
    """Scores in one line, in the target's own units."""
    shown = [
        f"{_SCORES[name]} {percent(value) if name in _SHARES else short(value)}"
        for name, value in scores.items()
    ]
    return f"{target}: {', '.join(shown)}"
