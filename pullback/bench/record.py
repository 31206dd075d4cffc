"""What a benchmark found, as plain data, as sentences, and as the table of a README."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pullback.bench.task import BenchmarkTask
from pullback.notebook import headline, paragraph, table
from pullback.report.words.numbers import percent, times

OURS, FLOOR = "pullback", "floor"
AGREE = 1e-3  # relative to ours; a pass in float32 leaves the losses closer than that
# Adam of scikit-learn adds ε before it corrects the bias, which counts where gradients are small
LOOSER = {("sklearn", "adam"): 5e-2}


@dataclass(frozen=True)
class BenchmarkRow:
    """Seconds a step on one task, the median of each peer, and what all should have in common.

    ``losses`` are the mean losses of the first pass, or the mean squares of what is predicted.
    """

    task: BenchmarkTask
    seconds: dict[str, float]
    losses: dict[str, float]
    threads: dict[str, int] = field(default_factory=dict)  # where they were chosen

    def ratio(self, peer: str) -> float | None:
        """How many times as long as ours a peer takes; None where one of them is missing."""
        ours, theirs = self.seconds.get(OURS), self.seconds.get(peer)
        return theirs / ours if ours and theirs else None

    @property
    def agree(self) -> bool:
        """Whether all have learnt the same in the first pass.

        >>> from pullback.bench.task import TrainingTask
        >>> task = TrainingTask((2, 2), 4, "relu", "sgd")
        >>> [BenchmarkRow(task, {}, {"a": 1.0, "b": b}).agree for b in (1.0001, 1.1)]
        [True, False]
        """
        ours = self.losses.get(OURS, next(iter(self.losses.values()), 0.0))
        return all(
            abs(loss - ours) <= LOOSER.get((peer, self.task.optimizer), AGREE) * abs(ours)
            for peer, loss in self.losses.items()
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            **self.task.to_dict(),
            "network": self.task.network,
            "manner": self.task.manner,
            "microseconds": {peer: 1e6 * each for peer, each in self.seconds.items()},
            "threads": self.threads,
            "losses": self.losses,
            "same_loss": self.agree,
        }


@dataclass(frozen=True)
class Comparison:
    """Peers side by side; ``absent`` says who did not take part, where, and why."""

    machine: str
    peers: tuple[str, ...]
    rounds: int
    rows: tuple[BenchmarkRow, ...]
    absent: tuple[tuple[str, str, str], ...]  # (peer, task or "", reason)
    measurements: int
    disturbed: int
    planned: int  # tasks
    complete: bool
    chosen: bool = False  # each peer's number of threads, the fastest of several

    @property
    def others(self) -> list[str]:
        """The peers beside us that were measured somewhere."""
        return [p for p in self.peers if p != OURS and self.ratios(p)]

    def ratios(self, peer: str, rows: Sequence[BenchmarkRow] | None = None) -> list[float]:
        """How many times as long as ours a peer takes, wherever both are known."""
        found = [row.ratio(peer) for row in (self.rows if rows is None else rows)]
        return [each for each in found if each is not None]

    def verdict(self) -> str:
        """Who is fastest, in one sentence."""
        rivals = [peer for peer in self.others if peer != FLOOR]
        met = [row for row in self.rows if any(row.ratio(peer) for peer in rivals)]
        if not met:
            return "Nothing was measured beside pullback."
        won = [r for r in met if all((r.ratio(peer) or math.inf) > 1 for peer in rivals)]
        means = sorted((geometric_mean(self.ratios(peer)), peer) for peer in rivals)
        text = f"pullback is the fastest in {len(won)} of {len(met)}; on average "
        text += ", ".join(f"{peer} takes {times(mean)}" for mean, peer in means)
        return f"{text} as long.{self._floor()}"

    def _floor(self) -> str:
        found = self.ratios(FLOOR)
        if not found:
            return ""
        return f" It takes {1 / geometric_mean(found):.2f} × the matrix products alone."

    def remarks(self) -> list[str]:
        """What a reader has to know beside the numbers."""
        said = [
            f"{row.task}: the {'losses' if row.task.work == 'training' else 'outputs'} differ: "
            + ", ".join(f"{peer} {loss:.6g}" for peer, loss in row.losses.items())
            for row in self.rows
            if not row.agree
        ]
        if not self.complete:
            said.insert(
                0, f"Stopped at {len(self.rows)} of {self.planned}: the last is not complete."
            )
        if self.rows and all(row.agree for row in self.rows):
            works = {row.task.work for row in self.rows}
            said += ["All end their first pass with the same loss."] * ("training" in works)
            said += ["All predict the same."] * ("predicting" in works)
        if self.disturbed:
            share = percent(self.disturbed / self.measurements)
            said.append(f"{share} of {self.measurements} measurements were disturbed by others.")
        said += self._threads_chosen()
        said += [
            f"{peer}{f' on {where}' if where else ''} is left out: {reason}"
            for peer, where, reason in self.absent
        ]
        return said

    def _threads_chosen(self) -> list[str]:
        """Which peers are fastest with how many threads, where that was tried."""
        said = []
        for peer in self.peers:
            counts = [row.threads[peer] for row in self.rows if peer in row.threads]
            often = {number: counts.count(number) for number in sorted(set(counts))}
            if self.chosen and often:
                shares = ", ".join(f"{n} in {times} of {len(counts)}" for n, times in often.items())
                said.append(f"Threads of {peer}: {shares}.")
        return said

    def markdown(self) -> str:
        """A table with a row a network: our step, and from how many to how many times as long."""
        names = ["network", "batch", OURS, *self.others]
        lines = [f"| {' | '.join(names)} |", f"|---|{'---:|' * (len(names) - 1)}"]
        for (network, batch, work), rows in self.grouped().items():
            ours = [1e6 * row.seconds[OURS] for row in rows if OURS in row.seconds]
            named = network if work == "training" else f"{network}, predict"
            cells = [named, str(batch), span(ours, _whole) + " µs"]
            cells += [span(self.ratios(peer, rows), times) for peer in self.others]
            lines.append(f"| {' | '.join(cells)} |")
        manners = "; ".join(dict.fromkeys(row.task.manner for row in self.rows))
        return "\n".join(
            [
                *lines,
                "",
                f"{self.machine}. Times of a step, and how many times as long the others take, "
                f"from the least to the most of: {manners}. Medians of {self.rounds} rounds.",
            ]
        )

    def grouped(self) -> dict[tuple[str, int, str], list[BenchmarkRow]]:
        """The rows by network, batch and work."""
        groups: dict[tuple[str, int, str], list[BenchmarkRow]] = {}
        for row in self.rows:
            key = (row.task.network, row.task.batch, row.task.work)
            groups.setdefault(key, []).append(row)
        return groups

    def _repr_html_(self) -> str:
        rows = [
            (
                str(row.task),
                *(_whole(1e6 * row.seconds[p]) if p in row.seconds else "" for p in self.peers),
            )
            for row in self.rows
        ]
        about = paragraph(f"{self.machine}; µs a step or call, medians of {self.rounds}.")
        return headline(self.verdict()) + table(["task", *self.peers], rows) + about

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "machine": self.machine,
            "rounds": self.rounds,
            "complete": self.complete,
            "verdict": self.verdict(),
            "measurements": self.measurements,
            "disturbed": self.disturbed,
            "absent": [
                {"peer": peer, "where": where, "reason": reason}
                for peer, where, reason in self.absent
            ],
            "rows": [row.to_dict() for row in self.rows],
        }


def geometric_mean(values: Sequence[float]) -> float:
    """
    >>> geometric_mean([1.0, 4.0])
    2.0
    """
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def span(values: Sequence[float], shown: Any) -> str:
    """From the smallest to the largest, where these differ when shown.

    >>> span([2.04, 3.1, 2.1], times), span([2.0, 2.0], times), span([], times)
    ('2.0–3.1×', '2.0×', '')
    """
    if not values:
        return ""
    low, high = shown(min(values)), shown(max(values))
    return high if low == high else f"{low.removesuffix('×')}–{high}"


def _whole(microseconds: float) -> str:
    return f"{microseconds:.3g}" if microseconds < 100 else f"{microseconds:,.0f}"
