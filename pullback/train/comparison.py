"""``compared``: which of several trained networks is better, with 95 % intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt
from typing import Any

import numpy as np

from pullback.data.again import read_again
from pullback.errors import ConfigError, DataError
from pullback.net.program import Array
from pullback.train.saved import Trained, load

_LEVEL = 0.95
Interval = tuple[float, float]


@dataclass(frozen=True)
class ComparedRun:
    """A run of one or more seeds: its scores by name, and its loss beside the first run's.

    ``loss`` is the share of errors, or the mean squared error; ``interval`` is that of the mean,
    ``gap`` the difference to the first run and ``gap_interval`` its interval, None for the first.
    """

    name: str
    seeds: int
    scores: dict[str, float]
    loss: float
    interval: Interval
    gap: float | None = None
    gap_interval: Interval | None = None

    @property
    def verdict(self) -> str:
        """Is it better than the first run?"""
        if self.gap_interval is None:
            return "the others are compared with it"
        low, high = self.gap_interval
        if low <= 0 <= high:
            return "cannot be told from the first"
        return "better than the first" if high < 0 else "worse than the first"


@dataclass(frozen=True)
class ComparedRuns:
    """Runs in the order in which they were given, what their loss is, and on what it is taken."""

    runs: tuple[ComparedRun, ...]
    measure: str
    over: str

    def text(self) -> str:
        """A line for each run."""
        names = [*self.runs[0].scores]
        head = ("run", "seeds", *names, f"{self.measure} (95 %)", "minus the first (95 %)", "")
        rows = [head]
        for run in self.runs:
            gap = "" if run.gap is None else _shown(run.gap, run.gap_interval)
            scores = [f"{run.scores[name]:.4g}" for name in names]
            loss = _shown(run.loss, run.interval)
            rows.append((run.name, str(run.seeds), *scores, loss, gap, run.verdict))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        return "\n".join([*lines, "", self.over])

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        runs = [{**vars(run), "verdict": run.verdict} for run in self.runs]
        return {"runs": runs, "measure": self.measure, "over": self.over}


def compared(
    runs: Sequence[Sequence[str]], on: str | None = None, header: bool | None = None
) -> ComparedRuns:
    """Two or more runs, each the files of its seeds, on the rows of a file or by their own tests.

    On the same rows the differences are paired: an interval is that of a normal mean over rows of
    the loss, averaged over seeds. By their own tests it is Student's over seeds, of which each run
    then needs two (Welch 1947 for a difference). Raises ConfigError for fewer, DataError for runs
    that were not trained on one target, and the errors of ``load`` and ``read_again``.
    """
    if len(runs) < 2:
        raise ConfigError("there is one run; expected two or more to compare")
    held = [[load(path) for path in files] for files in runs]
    targets = {
        (each.preprocessing.target.name, each.preprocessing.target.classes)
        for group in held
        for each in group
        if each.preprocessing is not None
    }
    if len(targets) != 1 or any(each.preprocessing is None for group in held for each in group):
        raise DataError("the networks were not trained on one target; expected the same for all")
    ((_, classes),) = targets
    measure = "share of errors" if classes else "mean squared error"
    names = [",".join(files) for files in runs]
    if on is not None:
        return _on_rows(names, held, measure, on, header)
    if any(len(group) < 2 for group in held):
        raise ConfigError(
            "a single run has no interval; score all on the same rows with --on data.csv, or give "
            "two seeds or more of each as a1.safetensors,a2.safetensors"
        )
    return _by_seeds(names, held, measure)


def _on_rows(
    names: Sequence[str],
    held: Sequence[Sequence[Trained]],
    measure: str,
    on: str,
    header: bool | None,
) -> ComparedRuns:
    found = []
    rows = 0
    first: Array | None = None
    for name, group in zip(names, held, strict=True):
        losses, scores = [], []
        for each in group:
            if each.preprocessing is None:
                continue
            data = read_again(on, each.preprocessing, header)
            if data.Y is None:
                raise DataError(f"{on} has no column {each.preprocessing.target.name!r} to score")
            made = each.predict(data.X).take(data.labelled)
            losses.append(made.losses(data.Y))
            scores.append(made.scores(data.Y))
        loss: Array = np.mean(losses, axis=0)
        if len(loss) < 2:
            raise DataError(f"{on} has one row with a target; an interval needs two or more")
        rows = len(loss)
        gap = None if first is None else loss - first
        first = loss if first is None else first
        found.append(
            ComparedRun(
                name, len(group), _means(scores), float(loss.mean()), _interval(loss),
                None if gap is None else float(gap.mean()),
                None if gap is None else _interval(gap),
            )
        )  # fmt: skip
    return ComparedRuns(tuple(found), measure, f"on {rows:,} rows of {on}, paired row by row")


def _by_seeds(
    names: Sequence[str], held: Sequence[Sequence[Trained]], measure: str
) -> ComparedRuns:
    from scipy.stats import t

    found: list[ComparedRun] = []
    first: Array | None = None
    for name, group in zip(names, held, strict=True):
        scores = [each.facts.get("test_scores") for each in group]
        if not all(isinstance(each, dict) for each in scores):
            raise DataError(f"{name} has no test scores; score it with --on data.csv")
        told = [each for each in scores if isinstance(each, dict)]
        loss = np.array([_loss(each) for each in told])
        gap = interval = None
        if first is not None:
            gap = float(loss.mean() - first.mean())
            shares = [values.var(ddof=1) / len(values) for values in (loss, first)]
            spread = sum(shares)
            freedom = spread**2 / sum(
                share**2 / (len(values) - 1)
                for share, values in zip(shares, (loss, first), strict=True)
            ) if spread else inf  # fmt: skip
            half = float(t.ppf((1 + _LEVEL) / 2, freedom) * sqrt(spread)) if spread else 0.0
            interval = gap - half, gap + half
        first = loss if first is None else first
        found.append(
            ComparedRun(
                name, len(group), _means(told), float(loss.mean()), _interval(loss), gap, interval
            )
        )
    over = "test scores of each seed; splits differ with the seed, so that nothing is paired"
    return ComparedRuns(tuple(found), measure, over)


def _loss(scores: dict[str, float]) -> float:
    return 1 - scores["accuracy"] if "accuracy" in scores else scores["rmse"] ** 2


def _interval(values: Array) -> Interval:
    """Student's 95 % interval of the mean of two values or more."""
    from scipy.stats import t

    half = t.ppf((1 + _LEVEL) / 2, len(values) - 1) * values.std(ddof=1) / sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def _means(scores: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([each[name] for each in scores])) for name in scores[0]}


def _shown(value: float, interval: Interval | None) -> str:
    low, high = interval or (value, value)
    return f"{value:.4g} [{low:.4g}, {high:.4g}]"
