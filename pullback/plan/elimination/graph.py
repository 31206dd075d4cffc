"""The linearised graph, and what it costs to eliminate its vertices in some order.

An edge is a local derivative. To eliminate a vertex is to multiply each edge into it with each edge
out of it: one fma a pair, and the two ends have an edge of their own then. When only inputs and
outputs are left, the edges are the entries of the Jacobian. Griewank and Walther, Evaluating
Derivatives, 2nd edition, chapter 9.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from pullback.errors import ConfigError

Order = tuple[int, ...]


@dataclass(frozen=True)
class LinearisedGraph:
    """Vertices 0, 1, … in an order in which they can be computed, and what each one reads.

    Inputs read nothing; ``outputs`` are read by none. All others are to be eliminated. Raises
    ConfigError for a vertex that reads a later one, as in a cycle.

    >>> chain = LinearisedGraph(((), (), (0, 1), (2,), (3,), (3,)), (4, 5))
    >>> chain.inner, chain.cost((2, 3)), chain.cost((3, 2))
    ((2, 3), 6, 6)
    """

    reads: tuple[tuple[int, ...], ...]
    outputs: tuple[int, ...]

    def __post_init__(self) -> None:
        for at, read in enumerate(self.reads):
            if late := [each for each in read if not 0 <= each < at]:
                raise ConfigError(
                    f"vertex {at} reads {late[0]}; expected one of those before it, and no cycle"
                )

    @cached_property
    def inputs(self) -> tuple[int, ...]:
        """Those that read nothing."""
        return tuple(at for at, read in enumerate(self.reads) if not read)

    @cached_property
    def inner(self) -> Order:
        """Those that are eliminated, in the order of the program."""
        ends = {*self.inputs, *self.outputs}
        return tuple(at for at in range(len(self.reads)) if at not in ends)

    @cached_property
    def masks(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """What each vertex reads, and what reads it, as bits."""
        before, after = [0] * len(self.reads), [0] * len(self.reads)
        for at, read in enumerate(self.reads):
            for each in read:
                before[at] |= 1 << each
                after[each] |= 1 << at
        return tuple(before), tuple(after)

    def cost(self, order: Sequence[int]) -> int:
        """The fma of an order of all inner vertices."""
        left = Elimination(self)
        return sum(left.eliminate(vertex) for vertex in order)


class Elimination:
    """The graph while its vertices go, one after another."""

    def __init__(self, graph: LinearisedGraph) -> None:
        before, after = graph.masks
        self.before, self.after = [*before], [*after]

    def degree(self, vertex: int) -> int:
        """How many fma it takes to eliminate a vertex now."""
        return self.before[vertex].bit_count() * self.after[vertex].bit_count()

    def eliminate(self, vertex: int) -> int:
        """Eliminate a vertex: the fma that it took."""
        before, after = self.before[vertex], self.after[vertex]
        gone = ~(1 << vertex)
        for each in bits(before):
            self.after[each] = (self.after[each] | after) & gone
        for each in bits(after):
            self.before[each] = (self.before[each] | before) & gone
        return before.bit_count() * after.bit_count()


def bits(mask: int) -> Iterator[int]:
    """The places of the ones."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def alive(reads: Sequence[Iterable[int]], outputs: Iterable[int]) -> set[int]:
    """The vertices on which some output depends."""
    found, waiting = set[int](), [*outputs]
    while waiting:
        at = waiting.pop()
        if at not in found:
            found.add(at)
            waiting.extend(reads[at])
    return found
