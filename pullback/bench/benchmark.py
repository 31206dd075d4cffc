"""Peers side by side: every one ready on a task, then rounds in which each goes once."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

from pullback.bench.absent import AbsentError
from pullback.bench.process import Process
from pullback.bench.record import BenchmarkRow, Comparison
from pullback.bench.stopwatch import LONG_ENOUGH, Lap
from pullback.bench.task import BenchmarkTask
from pullback.report.words.numbers import count
from pullback.report.words.provenance import processor

SETTLED = 0.03  # relative to a median


class Runner(Protocol):
    """A peer wherever it runs; see ``Process``."""

    @property
    def alive(self) -> bool: ...

    def prepare(self, task: BenchmarkTask) -> float | None: ...

    def go(self, seconds: float) -> Lap: ...

    def close(self) -> None: ...


Seat = tuple[str, int]  # a peer, and the threads that it may use


@dataclass
class _Measured:
    """What is known of one task so far."""

    task: BenchmarkTask
    laps: dict[Seat, list[Lap]] = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=dict)

    def medians(self) -> dict[Seat, float]:
        """Seconds a step."""
        steps = self.task.batches
        return {
            seat: statistics.median(lap.seconds for lap in laps) / steps
            for seat, laps in self.laps.items()
            if laps
        }

    def row(self) -> BenchmarkRow:
        medians = self.medians()
        best = {  # of each peer, with the number of threads that serves it best
            peer: min((s for s in medians if s[0] == peer), key=medians.__getitem__)
            for peer, _ in medians
        }
        return BenchmarkRow(
            self.task,
            {peer: medians[seat] for peer, seat in best.items()},
            self.losses,
            {peer: threads for peer, (_, threads) in best.items()},
        )


class Benchmark:
    """Measures peers on tasks; ``found`` is what is known so far, also after an interruption.

    >>> class Fixed:  # takes a second a pass
    ...     alive = True
    ...     def prepare(self, task): return 0.5
    ...     def go(self, seconds): return Lap(1.0, quiet=True)
    ...     def close(self): pass
    >>> from pullback.bench.task import TrainingTask
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
        threads: int | Sequence[int] = 1,
        long_enough: float = LONG_ENOUGH,
        start: Callable[[str], Runner] | None = None,
    ) -> None:
        self._peers, self._rounds, self._long = tuple(peers), rounds, long_enough
        self._threads = (threads,) if isinstance(threads, int) else tuple(threads)
        self._start = start
        self._runners = {
            (name, count): self._started((name, count))
            for name in self._peers
            for count in self._threads
        }
        self._measured: dict[BenchmarkTask, _Measured] = {}
        # where each peer is absent for what reason
        self._absent: dict[tuple[str, str], dict[str, None]] = {}
        self._complete = True

    def _started(self, seat: Seat) -> Runner:
        return Process(*seat) if self._start is None else self._start(seat[0])

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
        self, tasks: Iterable[BenchmarkTask], tell: Callable[[str], object] = lambda doing: None
    ) -> None:
        """Measure every task; ``tell`` hears what is being done, once a measurement."""
        wanted = {task: self._measured.get(task) or _Measured(task) for task in tasks}
        self._measured.update(wanted)
        self._complete = False
        for measured in wanted.values():
            self._measure(measured, tell)
        self._complete = True

    def run_until_settled(
        self,
        tasks: Iterable[BenchmarkTask],
        most: int,
        tell: Callable[[str], object] = lambda doing: None,
    ) -> None:
        """Measure everything again until no median moves by more than ``SETTLED``.

        At least twice, if ``most`` allows it, and ``most`` times at most.
        """
        tasks, before = list(tasks), dict[tuple[BenchmarkTask, Seat], float]()
        for _ in range(most):
            self.run(tasks, tell)
            after = {
                (task, seat): median
                for task in tasks
                for seat, median in self._measured[task].medians().items()
            }
            if before and all(
                abs(median - before.get(key, 0.0)) <= SETTLED * median
                for key, median in after.items()
            ):
                return
            before = after

    def steps(self, tasks: int) -> int:
        """How often ``tell`` is called for so many tasks in one run, if nobody is absent."""
        return tasks * len(self._runners) * (1 + self._rounds)

    @property
    def found(self) -> Comparison:
        """What is known so far."""
        measured = [each for each in self._measured.values() if any(each.laps.values())]
        planned = len(self._measured)
        laps = [lap for each in measured for some in each.laps.values() for lap in some]
        return Comparison(
            machine=f"{processor()}, {_threads(self._threads)}",
            peers=self._peers,
            rounds=self._rounds,
            rows=tuple(each.row() for each in measured),
            absent=tuple(
                (peer, "" if len(places) == planned else ", ".join(places), reason)
                for (peer, reason), places in self._absent.items()
            ),
            measurements=len(laps),
            disturbed=sum(not lap.quiet for lap in laps),
            planned=planned,
            complete=self._complete,
            chosen=len(self._threads) > 1,
        )

    def _measure(self, measured: _Measured, tell: Callable[[str], object]) -> None:
        task, ready = measured.task, list[Seat]()
        for seat in self._runners:
            tell(f"{task}: {self._called(seat)} gets ready")
            with self._absence(seat, task):
                loss = self._runners[seat].prepare(task)
                measured.laps.setdefault(seat, [])
                ready.append(seat)
                if loss is not None:
                    measured.losses[seat[0]] = loss
        for number in range(self._rounds):
            for seat in list(ready):
                tell(f"{task}: round {number + 1} of {self._rounds}, {self._called(seat)}")
                ready.remove(seat)  # unless it can go on
                with self._absence(seat, task):
                    measured.laps[seat].append(self._runners[seat].go(self._long))
                    ready.append(seat)

    def _called(self, seat: Seat) -> str:
        peer, threads = seat
        return peer if len(self._threads) == 1 else f"{peer} with {count(threads, 'thread')}"

    @contextmanager
    def _absence(self, seat: Seat, task: BenchmarkTask) -> Iterator[None]:
        """Note who cannot take part; a process that has ended is started again."""
        try:
            yield
        except AbsentError as reason:
            self._absent.setdefault((seat[0], str(reason)), {})[str(task)] = None
            if not self._runners[seat].alive:
                self._runners[seat].close()
                self._runners[seat] = self._started(seat)


def _threads(counts: Sequence[int]) -> str:
    if len(counts) == 1:
        return f"{count(counts[0], 'thread')} each"
    return f"{' or '.join(map(str, counts))} threads each, whichever is faster"
