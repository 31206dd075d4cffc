"""What is kept from the forward to the backward pass, block by block.

The forward jobs are cut wherever a single value leads on. Within a block every choice of what is
kept is looked at, which is exact for what the block then runs again; along the blocks a dynamic
programme shares out the bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pullback.emit.recompute.computation import Computation

_LARGEST = 11  # values of a block that are chosen from; smaller ones are kept
_LEVELS = 400  # amounts of bytes that the programme tells apart


@dataclass(frozen=True)
class KeptChoice:
    """What of a block is dropped, the bytes that the rest keeps, and the work that it costs."""

    dropped: frozenset[int]
    bytes: int
    work: float


class ForwardBlocks:
    """The blocks of a computation's forward jobs, and what may be kept of each."""

    def __init__(self, computation: Computation) -> None:
        self.computation = computation
        jobs = computation.jobs
        self.forward = [at for at, job in enumerate(jobs) if not job.once]
        self.backward_reads = {v for job in jobs if job.once for v in job.read}

    @cached_property
    def blocks(self) -> list[list[int]]:
        """The jobs of each block, in order."""
        jobs, place = self.computation.jobs, {at: n for n, at in enumerate(self.forward)}
        last = dict[int, int]()  # where each value is read last by a forward job
        for at in self.forward:
            last |= dict.fromkeys(jobs[at].read, place[at])
        found, block, open_ = list[list[int]](), list[int](), set[int]()
        for n, at in enumerate(self.forward):
            block.append(at)
            open_ |= {value for value in jobs[at].made if last.get(value, -1) > n}
            open_ = {value for value in open_ if last[value] > n}
            if len([value for value in open_ if self.computation.sizes[value]]) <= 1:
                found.append(block)
                block = []
        return _joined([*found, block] if block else found)

    @cached_property
    def choices(self) -> list[list[KeptChoice]]:
        """What may be dropped of each block: only what no other choice beats in bytes and work."""
        known: dict[object, list[tuple[frozenset[int], int, float]]] = {}
        found = []
        for block in self.blocks:
            values = [value for at in block for value in self.computation.jobs[at].made]
            number = {value: n for n, value in enumerate(values)}
            key = self._shape(block, number)
            if key not in known:
                best = _undominated(self._every_choice(block))
                known[key] = [
                    (frozenset(number[v] for v in each.dropped), each.bytes, each.work)
                    for each in best
                ]
            found.append(
                [KeptChoice(frozenset(values[n] for n in d), b, w) for d, b, w in known[key]]
            )
        return found

    def _shape(self, block: Sequence[int], number: dict[int, int]) -> object:
        """What two blocks have in common that have the same choices."""
        jobs, sizes = self.computation.jobs, self.computation.sizes
        return tuple(
            (
                tuple(number.get(value, -1) for value in jobs[at].read),
                tuple((sizes[v], v in self.backward_reads, v in self.ends) for v in jobs[at].made),
                jobs[at].work,
            )
            for at in block
        )

    @cached_property
    def ends(self) -> set[int]:
        """The values that other blocks read: they are kept."""
        jobs = self.computation.jobs
        home = {v: n for n, block in enumerate(self.blocks) for at in block for v in jobs[at].made}
        return {
            value
            for n, block in enumerate(self.blocks)
            for at in block
            for value in jobs[at].read
            if home.get(value, n) != n
        }

    def _every_choice(self, block: Sequence[int]) -> Iterator[KeptChoice]:
        jobs, sizes, maker = self.computation.jobs, self.computation.sizes, self.computation.maker
        inside = set(block)
        made = [value for at in block for value in jobs[at].made if sizes[value]]
        free = [value for value in made if value not in self.ends]
        free = sorted(free, key=lambda value: -sizes[value])[:_LARGEST]
        rest = [value for value in made if value not in free]
        ends = sum(sizes[value] for value in rest if value in self.backward_reads | self.ends)
        wanted = [v for at in block for v in jobs[at].made if v in self.backward_reads]
        for bits in range(1 << len(free)):
            dropped = {value for n, value in enumerate(free) if bits >> n & 1}
            runs, lacking, used = set[int](), [v for v in wanted if v in dropped], set(wanted)
            while lacking:
                at = maker[lacking.pop()]
                if at in runs:
                    continue
                runs.add(at)
                used.update(jobs[at].read)
                lacking += [v for v in jobs[at].read if v in dropped and maker[v] in inside]
            if any(value not in used for value in free if value not in dropped):
                continue  # it would be kept for nobody
            kept = ends + sum(sizes[value] for value in free if value not in dropped)
            yield KeptChoice(frozenset(dropped), kept, sum(jobs[at].work for at in runs))

    def dropped(self, limit: int) -> set[int] | None:
        """What to drop so that no more bytes are kept, at the least work; None if there is none."""
        levels = np.full(_LEVELS + 1, np.inf)
        levels[0] = 0.0
        unit, taken = max(1, -(-limit // _LEVELS)), list[np.ndarray]()
        for choices in self.choices:
            best, which = np.full(_LEVELS + 1, np.inf), np.zeros(_LEVELS + 1, np.int64)
            for n, choice in enumerate(choices):
                step = -(-choice.bytes // unit)
                if step > _LEVELS:
                    continue
                work = np.full(_LEVELS + 1, np.inf)
                work[step:] = levels[: _LEVELS + 1 - step] + choice.work
                which[work < best] = n
                best = np.minimum(best, work)
            levels = best
            taken.append(which)
        level = int(np.argmin(levels))
        if not np.isfinite(levels[level]):
            return None
        found = set[int]()
        for choices, which in zip(reversed(self.choices), reversed(taken), strict=True):
            choice = choices[which[level]]
            found |= choice.dropped
            level -= -(-choice.bytes // unit)
        return found


def _joined(blocks: list[list[int]]) -> list[list[int]]:
    """ForwardBlocks of a job or two go to the next one."""
    found = list[list[int]]()
    for block in blocks:
        if found and len(found[-1]) < 3:
            found[-1] = [*found[-1], *block]
        else:
            found.append(block)
    return found


def _undominated(choices: Iterator[KeptChoice]) -> list[KeptChoice]:
    found, least = list[KeptChoice](), float("inf")
    for each in sorted(choices, key=lambda choice: (choice.bytes, choice.work)):
        if each.work < least:
            found.append(each)
            least = each.work
    return found
