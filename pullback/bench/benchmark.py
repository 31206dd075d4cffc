"""Peers side by side: every one ready on a task, then rounds in which each goes once."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

from pullback.bench.peers import AbsentError
from pullback.bench.process import Process
from pullback.bench.record import BenchmarkRow, Comparison
from pullback.bench.stopwatch import LONG_ENOUGH, Lap
from pullback.bench.task import TrainingTask
from pullback.report.words.numbers import count
from pullback.report.words.provenance import processor


class Runner(Protocol):
    """A peer wherever it runs; see ``Process``."""

    @property
    def alive(self) -> bool: ...

    def prepare(self, task: TrainingTask) -> float | None: ...

    def go(self, seconds: float) -> Lap: ...

    def close(self) -> None: ...


@dataclass
class _Measured:
    """What is known of one task so far."""

    task: TrainingTask
    laps: dict[str, list[Lap]] = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=dict)

    def row(self) -> BenchmarkRow:
        steps = self.task.batches
        return BenchmarkRow(
            self.task,
            {
                peer: statistics.median(lap.seconds for lap in laps) / steps
                for peer, laps in self.laps.items()
                if laps
            },
            self.losses,
        )


class Benchmark:
    """Measures peers on tasks; ``found`` is what is known so far, also after an interruption.

    >>> class Fixed:  # takes a second a pass
    ...     alive = True
    ...     def prepare(self, task): return 0.5
    ...     def go(self, seconds): return Lap(1.0, quiet=True)
    ...     def close(self): pass
    >>> task = TrainingTask((4, 2), 8, "relu", "sgd")
    >>> with Benchmark(["pullback"], rounds=3, start=lambda name: Fixed()) as benchmark:
    ...     benchmark.run([task])
    >>> benchmark.found.rows[0].seconds
    {'pullback': 0.015625}
    """

    def __init__(
        self,
        peers: Sequence[str],
        rounds: int = 9,
        threads: int = 1,
        long_enough: float = LONG_ENOUGH,
        start: Callable[[str], Runner] | None = None,
    ) -> None:
        self._peers, self._rounds, self._long = tuple(peers), rounds, long_enough
        self._threads = threads
        self._start = start or (lambda name: Process(name, threads))
        self._runners = {name: self._start(name) for name in self._peers}
        self._measured: list[_Measured] = []
        self._absent: dict[tuple[str, str], list[str]] = {}  # where each peer with what reason
        self._planned, self._complete = 0, True

    def __enter__(self) -> Benchmark:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        for runner in self._runners.values():
            with suppress(OSError):
                runner.close()

    def run(
        self, tasks: Iterable[TrainingTask], tell: Callable[[str], object] = lambda doing: None
    ) -> None:
        """Measure every task; ``tell`` hears what is being done, once a measurement."""
        tasks = list(tasks)
        self._planned, self._complete = self._planned + len(tasks), False
        for task in tasks:
            self._measure(task, tell)
        self._complete = True

    def steps(self, tasks: int) -> int:
        """How often ``tell`` is called for so many tasks, if nobody is absent."""
        return tasks * len(self._peers) * (1 + self._rounds)

    @property
    def found(self) -> Comparison:
        """What is known so far."""
        measured = [each for each in self._measured if any(each.laps.values())]
        laps = [lap for each in measured for some in each.laps.values() for lap in some]
        return Comparison(
            machine=f"{processor()}, {count(self._threads, 'thread')} each",
            peers=self._peers,
            rounds=self._rounds,
            rows=tuple(each.row() for each in measured),
            absent=tuple(
                (peer, "" if len(places) == self._planned else ", ".join(places), reason)
                for (peer, reason), places in self._absent.items()
            ),
            measurements=len(laps),
            disturbed=sum(not lap.quiet for lap in laps),
            planned=self._planned,
            complete=self._complete,
        )

    def _measure(self, task: TrainingTask, tell: Callable[[str], object]) -> None:
        measured = _Measured(task)
        for peer in self._peers:
            tell(f"{task}: {peer} gets ready")
            with self._absence(peer, task):
                loss = self._runners[peer].prepare(task)
                measured.laps[peer] = []
                if loss is not None:
                    measured.losses[peer] = loss
        self._measured.append(measured)
        for number in range(self._rounds):
            for peer, laps in measured.laps.items():
                if len(laps) < number:
                    continue  # it could not go on
                tell(f"{task}: round {number + 1} of {self._rounds}, {peer}")
                with self._absence(peer, task):
                    laps.append(self._runners[peer].go(self._long))

    @contextmanager
    def _absence(self, peer: str, task: TrainingTask) -> Iterator[None]:
        """Note who cannot take part; a process that has ended is started again."""
        try:
            yield
        except AbsentError as reason:
            self._absent.setdefault((peer, str(reason)), []).append(str(task))
            if not self._runners[peer].alive:
                self._runners[peer].close()
                self._runners[peer] = self._start(peer)
