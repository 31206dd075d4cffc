"""A computation as a memory limit sees it: what each operation reads, makes, costs and occupies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Job:
    """The values that are ``made`` from those that are ``read``, by number.

    ``work`` is what it costs and ``room`` the bytes that it needs besides, while it runs. Its
    result may lie where one of the values ``over`` lay, if nobody reads that one any more. What
    is ``once`` is never run again, as all that is backward.
    """

    made: tuple[int, ...]
    read: tuple[int, ...]
    work: float
    room: int = 0
    over: tuple[int, ...] = ()
    once: bool = False


@dataclass(frozen=True)
class Computation:
    """Operations in an order in which they may run, and how many bytes each value has.

    The values ``kept`` are wanted in the end: from where they are made they stay.
    """

    jobs: tuple[Job, ...]
    sizes: tuple[int, ...]
    kept: frozenset[int] = frozenset()

    @cached_property
    def maker(self) -> dict[int, int]:
        """The operation that makes each value."""
        return {value: at for at, op in enumerate(self.jobs) for value in op.made}

    @cached_property
    def work(self) -> float:
        """What it costs if nothing is run again."""
        return sum(op.work for op in self.jobs)

    @cached_property
    def forward_work(self) -> float:
        """What those jobs cost that may be run again."""
        return sum(op.work for op in self.jobs if not op.once)


@dataclass(frozen=True)
class Life:
    """A value between the run that makes it and the last one that reads it, both included."""

    value: int
    begin: int
    end: int


@dataclass(frozen=True)
class RunOrder:
    """Runs of a computation's jobs by number, each as often as it stands there.

    >>> chain = Computation((Job((0,), (), 1.0), Job((1,), (0,), 1.0, once=True)), (8, 8))
    >>> RunOrder(chain, (0, 1)).peak
    16
    """

    computation: Computation
    runs: tuple[int, ...]

    @cached_property
    def work(self) -> float:
        """What all runs cost."""
        return sum(self.computation.jobs[at].work for at in self.runs)

    @cached_property
    def extra(self) -> float:
        """The work of what is run again, as a part of that of all that is forward."""
        whole = self.computation.forward_work
        return (self.work - self.computation.work) / whole if whole else 0.0

    @cached_property
    def lives(self) -> tuple[Life, ...]:
        """How long each value lives, once for each time that it is made."""
        jobs, found = self.computation.jobs, list[Life]()
        begin, end = dict[int, int](), dict[int, int]()
        for run, at in enumerate(self.runs):
            for value in jobs[at].read:
                end[value] = run
            for value in jobs[at].made:
                if value in begin:
                    found.append(Life(value, begin[value], end[value]))
                begin[value] = end[value] = run
        last = len(self.runs) - 1
        kept = self.computation.kept
        found += [Life(v, begin[v], last if v in kept else end[v]) for v in begin]
        return tuple(sorted(found, key=lambda life: (life.begin, life.value)))

    @cached_property
    def taken_over(self) -> dict[Life, Life]:
        """The lives whose value may lie where that of another lay, which ends with its making."""
        ending = {(life.end, life.value): life for life in self.lives if life.end > life.begin}
        found = dict[Life, Life]()
        for life in self.lives:
            for value in self.computation.jobs[self.runs[life.begin]].over:
                if (before := ending.pop((life.begin, value), None)) is not None:
                    found[life] = before
                    break
        return found

    @cached_property
    def occupied(self) -> tuple[int, ...]:
        """The bytes that are in use in each run."""
        sizes, changes = self.computation.sizes, [0] * (len(self.runs) + 1)
        for life in self.lives:
            changes[life.begin] += sizes[life.value]
            changes[life.end + 1] -= sizes[life.value]
        for life in self.taken_over:
            changes[life.begin] -= sizes[life.value]
            changes[life.begin + 1] += sizes[life.value]
        found, total = list[int](), 0
        for run, at in enumerate(self.runs):
            total += changes[run]
            found.append(total + self.computation.jobs[at].room)
        return tuple(found)

    @cached_property
    def peak(self) -> int:
        """The most bytes that are in use at a time."""
        return max(self.occupied, default=0)


def in_order(computation: Computation) -> RunOrder:
    """Everything is run once and kept."""
    return RunOrder(computation, tuple(range(len(computation.jobs))))


def is_possible(computation: Computation, order: Sequence[int]) -> bool:
    """Has every value been made when it is read, and is all that is once run once?"""
    made, once = set[int](), [at for at in order if computation.jobs[at].once]
    for at in order:
        op = computation.jobs[at]
        if not made.issuperset(op.read):
            return False
        made.update(op.made)
    return len(once) == len(set(once)) and made.issuperset(computation.maker)
