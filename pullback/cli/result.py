"""What training came to, as a table for people and as JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pullback.cli.work import Work
from pullback.report.words.numbers import count, percent, seconds, short
from pullback.train.fit import FitResult
from pullback.train.prediction import predicted


def summary(work: Work, result: FitResult) -> dict[str, Any]:
    """The last numbers of a training, as plain data."""
    history = result.history
    last = {
        shown: history[name][-1]
        for name, shown in {
            "loss": "loss",
            "accuracy": "accuracy",
            "validation_loss": "test_loss",
            "validation_accuracy": "test_accuracy",
        }.items()
        if name in history
    }
    spent, epochs, samples = sum(history["seconds"]), len(history["loss"]), len(work.train[0])
    return {
        "samples": samples,
        "test_samples": len(work.test[0]),
        "parameters": sum(value.size for value in result.params.values()),
        "epochs": epochs,
        "seconds": spent,
        "samples_per_second": epochs * samples / max(spent, 1e-9),
        "interrupted": result.interrupted,
        **last,
        "test_scores": scores(work, result),
    }


def scores(work: Work, result: FitResult) -> dict[str, float]:
    """How well the network does on the samples for testing, in the target's own units."""
    found = predicted(work.net, result.params, work.test[0], work.preprocessing)
    return found.scores(work.truth)


def print_table(found: dict[str, Any], target: str, saved: Path | None) -> None:
    """The training beside the test, and the speed; it fits 80 columns."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for name, style in (("", ""), ("training", "blue"), ("test", "green")):
        table.add_column(name, justify="right" if name else "left", style=style)
    table.add_row("samples", f"{found['samples']:,}", f"{found['test_samples']:,}")
    table.add_row("loss", short(found["loss"]), short(found["test_loss"]))
    if "accuracy" in found:
        table.add_row("accuracy", percent(found["accuracy"]), percent(found["test_accuracy"]))
    console = Console(highlight=False)
    with console.capture() as page:  # its own way with a closed pipe is not ours
        console.print(table)
    print(page.get(), end="")
    print(scores_text(found["test_scores"], f"test {target}"))
    print(
        f"{count(found['parameters'], 'parameter')}, {count(found['epochs'], 'epoch')} "
        f"in {seconds(found['seconds'])} ({found['samples_per_second']:,.0f} samples/s)"
        f"{', interrupted' if found['interrupted'] else ''}"
    )
    if saved is not None:
        print(f"saved {saved}")


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


def print_notes(notes: Sequence[str]) -> None:
    """What was guessed about the data, a line each."""
    for note in notes:
        print(f"note: {note}")


def print_json(found: dict[str, Any], notes: Sequence[str] = ()) -> None:
    """One JSON object; with what was guessed about the data, where anything was."""
    told = {"notes": list(notes)} if notes else {}
    print(json.dumps({**found, **told}, ensure_ascii=False, indent=2))
