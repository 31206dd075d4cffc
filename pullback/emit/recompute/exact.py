"""The cheapest schedule within a limit, by a search over what is in memory.

A state is how many of the jobs that run once are done, and which values are in memory: a
value leaves only where its room is needed (Dijkstra's search, led by the work that is left in any
case). Minimum-cost rematerialisation is NP-hard (Naumann, "Call tree reversal is NP-complete",
2008), so the search is for chains and blocks of some twenty equations; it says when it gives up.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from pullback.emit.recompute.computation import Computation, RunOrder

MOVES = 1_000_000  # from state to state, before the search gives up

State = tuple[int, int]  # how many are done that run once, and the values in memory as bits


@dataclass
class SetSearch:
    """The search in one computation for one limit; ``ended`` says whether it came to its end."""

    computation: Computation
    limit: int
    most: int = MOVES
    ended: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        jobs = self.computation.jobs
        self.once = [at for at, op in enumerate(jobs) if op.once]
        self.again = [at for at, op in enumerate(jobs) if not op.once]
        self.reads = [_bits(op.read) for op in jobs]
        self.makes = [_bits(op.made) for op in jobs]
        self.kept = _bits(self.computation.kept)
        self.ever = self._ever()
        self._left = dict[State, float]()

    def cheapest(self) -> RunOrder | None:
        """The cheapest schedule; None where there is none, or the search has given up."""
        numbers, steps, start = count(), count(), (0, 0)
        best, came = {start: 0.0}, dict[State, tuple[State, int]]()
        queue = [(self.left(start), next(numbers), start)]
        looked = set[State]()
        while queue:
            _, _, state = heapq.heappop(queue)
            if state in looked:
                continue
            looked.add(state)
            if state[0] == len(self.once):
                self.ended = True
                return RunOrder(self.computation, tuple(_runs(came, state)))
            for at, after in self.moves(state):
                if next(steps) > self.most:
                    return None
                work = best[state] + self.computation.jobs[at].work
                if work < best.get(after, float("inf")):
                    best[after], came[after] = work, (state, at)
                    heapq.heappush(queue, (work + self.left(after), next(numbers), after))
        self.ended = True
        return None

    def moves(self, state: State) -> Iterator[tuple[int, State]]:
        """What can be run now, and the states that it leads to."""
        done, held = state
        ever = self.ever[done]
        for at in [self.once[done], *self.again]:
            makes = self.makes[at]
            missing = makes & ~held
            if self.reads[at] & ~held or not missing:
                continue
            if at != self.once[done] and not missing & ever:
                continue
            after = done + (at == self.once[done])
            for left in self._with_room(at, held):
                yield at, (after, (left | makes) & (self.ever[after] | self.kept))

    def _with_room(self, at: int, held: int) -> Iterator[int]:
        """What may stay in memory while an operation runs: as much as there is room for."""
        op, sizes = self.computation.jobs[at], self.computation.sizes
        for over in (*(v for v in op.over if held >> v & 1), None):
            gone = 0 if over is None else 1 << over
            made = [v for v in op.made if not held >> v & 1]
            need = op.room + sum(sizes[v] for v in made) - (0 if over is None else sizes[over])
            need += sum(sizes[v] for v in _numbers(held)) - self.limit
            pinned = self.reads[at] | self.makes[at] | self.kept
            movable = [v for v in _numbers(held & ~pinned) if sizes[v]]
            movable.sort(key=lambda v: -sizes[v])
            for dropped in _enough(movable, sizes, need):
                yield held & ~dropped & ~gone

    def left(self, state: State) -> float:
        """The work that is left in any case."""
        if state not in self._left:
            done, held = state
            rest, work = self.once[done:], 0.0
            wanted, seen = list(rest), set(rest)
            while wanted:
                at = wanted.pop()
                work += self.computation.jobs[at].work
                for value in _numbers(self.reads[at] & ~held):
                    maker = self.computation.maker[value]
                    if maker not in seen:
                        seen.add(maker)
                        wanted.append(maker)
            self._left[state] = work
        return self._left[state]

    def _ever(self) -> list[int]:
        """The values that may still be read when so many of those that run once are done."""
        found, reads = [0], 0
        for at in reversed(self.once):
            wanted = [at]
            while wanted:
                new = self.reads[wanted.pop()] & ~reads
                reads |= new
                wanted += [self.computation.maker[value] for value in _numbers(new)]
            found.append(reads)
        return found[::-1]


def _enough(values: list[int], sizes: tuple[int, ...], need: int) -> Iterator[int]:
    """The sets of values that have so many bytes together, none of which could stay."""
    if need <= 0:
        yield 0
        return
    for at, value in enumerate(values):
        if sum(sizes[each] for each in values[at:]) < need:
            return
        for rest in _enough(values[at + 1 :], sizes, need - sizes[value]):
            yield rest | 1 << value


def _runs(came: dict[State, tuple[State, int]], state: State) -> list[int]:
    runs = list[int]()
    while state in came:
        state, at = came[state]
        runs.append(at)
    return runs[::-1]


def _bits(values: tuple[int, ...] | frozenset[int]) -> int:
    return sum(1 << value for value in set(values))


def _numbers(bits: int) -> Iterator[int]:
    while bits:
        low = bits & -bits
        yield low.bit_length() - 1
        bits ^= low
