"""Runs that a schedule can do without, where there is room to keep what they would make again."""

from __future__ import annotations

from pullback.emit.recompute.computation import Computation, RunOrder


def spared(order: RunOrder, limit: int) -> RunOrder:
    """The same without every run that it can do without in so many bytes, the dearest first."""
    order = read_ones(order)
    jobs = order.computation.jobs
    refused = set[tuple[int, int]]()  # a job, and which of its runs
    while True:
        again = [each for each in _again(order) if each[1:] not in refused]
        if not again:
            return order
        run, *key = max(again, key=lambda each: jobs[each[1]].work)
        refused.add((key[0], key[1]))
        if _fits(order, run, limit):
            shorter = (*order.runs[:run], *order.runs[run + 1 :])
            trial = read_ones(RunOrder(order.computation, shorter))
            if trial.peak <= limit:
                order = trial


def _again(order: RunOrder) -> list[tuple[int, int, int]]:
    """Each run that is not the first of its job, with the job and which of its runs it is."""
    count = dict[int, int]()
    found = []
    for run, at in enumerate(order.runs):
        count[at] = count.get(at, 0) + 1
        if count[at] > 1:
            found.append((run, at, count[at]))
    return found


def _fits(order: RunOrder, run: int, limit: int) -> bool:
    """Is there room for what a run makes from where it was read last until then?"""
    sizes = order.computation.sizes
    for value in order.computation.jobs[order.runs[run]].made:
        ends = [life.end for life in order.lives if life.value == value and life.end < run]
        between = order.occupied[max(ends) + 1 : run] if ends else ()
        if max(between, default=0) + sizes[value] > limit:
            return False
    return True


def read_ones(order: RunOrder) -> RunOrder:
    """The same without the runs that make nothing which is read."""
    computation: Computation = order.computation
    wanted, found = set(computation.kept), list[int]()
    for at in reversed(order.runs):
        job = computation.jobs[at]
        if not job.once and not wanted.intersection(job.made):
            continue
        found.append(at)
        wanted -= {value for value in job.made if value not in computation.kept}
        wanted |= set(job.read)
    return RunOrder(computation, tuple(reversed(found)))
