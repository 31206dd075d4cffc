"""Schedules of any length within a limit: what has to leave memory is chosen on the way.

All runs as it stands; where room is wanted, values leave that are cheap to compute again, large,
and not read for long. The rule is that of dynamic tensor rematerialisation (Kirisame et al., ICLR
2021), which knows the past only; here it is known when a value is read next.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from pullback.emit.recompute.computation import Computation, RunOrder

_LOOKS = 6  # candidates whose work is looked at anew for each that leaves
_MOST = 30  # times as many runs as there are jobs: then it is not to be had this way


@dataclass(frozen=True)
class EvictionRule:
    """How much the work and the time until a value is read weigh against its size."""

    work: float = 1.0
    time: float = 1.0


class Eviction:
    """One pass through a computation under a limit of bytes, with a rule of what leaves.

    The values ``dropped`` leave in any case from the forward to the backward pass.
    """

    def __init__(
        self,
        computation: Computation,
        limit: int,
        rule: EvictionRule = EvictionRule(),
        dropped: Collection[int] = (),
    ) -> None:
        self.computation, self.limit, self.rule = computation, limit, rule
        self.jobs, self.sizes = computation.jobs, computation.sizes
        self.reads: dict[int, list[int]] = {}  # when each value is read
        for at, op in enumerate(self.jobs):
            for value in op.read:
                self.reads.setdefault(value, []).append(at)
        self.held = set[int]()
        self.used = 0
        self.runs: list[int] = []
        self.pinned = Counter[int]()
        self._dear = dict[int, float]()  # the work that it takes to have a value again
        self.back = {value: self._backward_read(value) for value in dropped}
        self.most = _MOST * len(self.jobs)

    def order(self) -> RunOrder | None:
        """The schedule; None where this way needs more."""
        for now in range(len(self.jobs)):
            if not self._run_with_all_it_reads(now):
                return None
        return RunOrder(self.computation, tuple(self.runs))

    def _run_with_all_it_reads(self, now: int) -> bool:
        """Run an operation behind those that make again what it lacks, arguments first."""
        wanted, runs = [now], {now}
        while wanted:
            for value in self.jobs[wanted.pop()].read:
                maker = self.computation.maker[value]
                if value not in self.held and maker not in runs:
                    runs.add(maker)
                    wanted.append(maker)
        for at in runs:
            self.pinned.update(self.jobs[at].read)
        for at in sorted(runs):
            if len(self.runs) > self.most or not self._run(at, now):
                return False
        return True

    def _run(self, at: int, now: int) -> bool:
        op = self.jobs[at]
        over = next((v for v in op.over if self._is_over(v, now, at)), None)
        made = [value for value in op.made if value not in self.held]
        need = (
            op.room + sum(self.sizes[v] for v in made) - (0 if over is None else self.sizes[over])
        )
        self.pinned.update(made)
        if not self._make_room(need, now):
            return False
        self.runs.append(at)
        if over is not None:
            self._leave(over)
        for value in made:
            self.held.add(value)
            self.used += self.sizes[value]
            self._dear.pop(value, None)
        self.pinned.subtract(made)
        self.pinned.subtract(op.read)
        for value in {*op.read, *made}:
            if value not in self.held or self.pinned[value] or value in self.computation.kept:
                continue
            read = self._next(value, now)
            if read is None or self.back.get(value) == read:
                self._leave(value)
                self.back.pop(value, None)  # what is made again stays
        return True

    def _backward_read(self, value: int) -> int:
        """The first job that reads a value and is never run again."""
        return next((at for at in self.reads.get(value, ()) if self.jobs[at].once), -1)

    def _is_over(self, value: int, now: int, at: int) -> bool:
        """Does nobody read a value behind this run?"""
        return (
            value in self.held
            and value not in self.computation.kept
            and self.pinned[value] == 1
            and self._next(value, now) is None
        )

    def _next(self, value: int, now: int) -> int | None:
        """When a value is read next as all runs as it stands."""
        reads = self.reads.get(value, [])
        at = bisect_right(reads, now)
        return reads[at] if at < len(reads) else None

    def _leave(self, value: int) -> None:
        self.held.remove(value)
        self.used -= self.sizes[value]

    def _make_room(self, need: int, now: int) -> bool:
        if self.used + need <= self.limit:
            return True
        maker, kept = self.computation.maker, self.computation.kept
        movable = [
            value
            for value in self.held
            if self.sizes[value]
            and not self.pinned[value]
            and value not in kept
            and not self.jobs[maker[value]].once
        ]
        score = {value: self._score(value, now) for value in movable}
        while self.used + need > self.limit:
            if not score:
                return False
            for _ in range(_LOOKS):
                least = min(score, key=lambda value: (score[value], value))
                del self._dear[least]
                anew = self._score(least, now)
                if anew <= score[least] * 1.0001:
                    break
                score[least] = anew
            del score[least]
            self._leave(least)
        return True

    def _score(self, value: int, now: int) -> float:
        if value not in self._dear:
            self._dear[value] = self._work_again(value)
        ahead = (self._next(value, now) or len(self.jobs)) - now
        worth = self._dear[value] ** self.rule.work
        return float(worth / (self.sizes[value] * float(ahead) ** self.rule.time))

    def _work_again(self, value: int) -> float:
        """The work of an operation and of all that it reads and is not there."""
        wanted, runs, work = [self.computation.maker[value]], set[int](), 0.0
        while wanted:
            at = wanted.pop()
            if at in runs:
                continue
            runs.add(at)
            work += self.jobs[at].work
            wanted += [self.computation.maker[v] for v in self.jobs[at].read if v not in self.held]
        return work
