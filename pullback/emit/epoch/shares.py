"""Workers that run one program together: who has which rows, and where they meet.

Rows of an axis are shared out, the same rows to the same worker each time. A block that reads
what another worker has written, or overwrites what another still reads, waits until all are there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pullback.emit.epoch.loops import Into, Loops
from pullback.emit.epoch.schedule import Block, RowLoop, Whole
from pullback.emit.values import ElementwiseStep, Lowered, Product, ProgramStep, Value
from pullback.ir import Axes, Axis

Part = Axis | Literal["whole", "own"]  # the worker's rows of an axis, everything, an own array
MEET = "meet(meeting, workers)"
# A product with as many columns shares them out and not its rows: a worker copies its own only
WIDE = 256


@dataclass(frozen=True)
class Access:
    """A part of an array that each worker reads or writes."""

    array: str
    part: Part
    writes: bool = False

    def clashes(self, other: Access) -> bool:
        """May one worker write here what another one reads or writes there?"""
        apart = self.part == other.part != "whole"
        return self.array == other.array and (self.writes or other.writes) and not apart


class Meetings:
    """Remembers what was accessed since the workers last met."""

    def __init__(self) -> None:
        self._since: set[Access] = set()

    def before(self, accesses: Iterable[Access]) -> list[str]:
        """The meeting that has to stand before a block with these accesses, or nothing."""
        accesses = set(accesses)
        needed = any(old.clashes(new) for old in self._since for new in accesses)
        self._since = accesses if needed else self._since | accesses
        return [MEET] if needed else []


def share(axis: Axis) -> tuple[str, str]:
    """The variables between which a worker's rows of an axis lie."""
    return ("first", "end") if axis.size is None else (f"first_{axis.size}", f"end_{axis.size}")


class Shares:
    """The lines of a program's blocks, done by all workers; ``shares`` are the axes shared out.

    ``own`` holds the arrays of which each worker has one to sum into, ``sums`` the numbers.
    """

    def __init__(self, program: Lowered, blocks: list[Block], given: Mapping[str, str]) -> None:
        self.loops = Loops(program, blocks, given, lambda axis: ", ".join(self._share(axis)))
        self.meetings = Meetings()
        self.shares: dict[Axis, None] = {}
        self.own: dict[str, Axes] = {}
        self.sums: list[str] = []
        self._pending: dict[str, Value] = {}

    def start(self, inputs: Iterable[Value]) -> None:
        """Each worker has fetched its own rows of these."""
        self.meetings.before(self._access(value, value.axes[0], writes=True) for value in inputs)

    def changes(self, parameter: Value) -> list[str]:
        """The meeting before each worker changes its own rows of a parameter."""
        return self.meetings.before([self._access(parameter, parameter.axes[0], writes=True)])

    def lines(self, block: Block) -> list[str]:
        """A block, with the sums that it reads and the meetings that it needs before it."""
        steps = list(block.steps())
        wanted = [value for step in steps for value in step.operands]
        before = [line for value in wanted for line in self.sum_of(value)]
        if isinstance(block, RowLoop):
            accesses = {access for step in steps for access in self._in_rows(step, block)}
            lines = self.loops.rows(block)
            for step in block.totals():
                lines += self._hand_in(step.out)
            return [*before, *self.meetings.before(accesses), *lines]
        assert isinstance(block, Whole)
        if isinstance(block.step, ElementwiseStep):
            return [*before, self.loops.scalar(block.step)]
        return [*before, *self.product(block.step)]

    def sum_of(self, value: Value) -> list[str]:
        """What the workers have summed each for itself, summed, if that is still to be done."""
        if self._pending.pop(value.name, None) is None:
            return []
        if not value.axes:
            place = self.sums.index(value.name)
            read = Access(f"sums {value.name}", "whole")
            return [*self.meetings.before([read]), f"{value.name} = sum_up(sums, {place})"]
        array, axis = self.loops.array_of[value.name], value.axes[0]
        reads = [Access(f"{array}_each", "whole"), Access(array, axis, writes=True)]
        first, end = self._share(axis)
        line = f"add_rows({array}_each[:, {first}:{end}], {array}[{first}:{end}])"
        return [*self.meetings.before(reads), line]

    def _hand_in(self, value: Value) -> list[str]:
        self._pending[value.name] = value
        if value.axes:
            self.own[self.loops.array_of[value.name]] = value.axes
            return []
        self.sums.append(value.name)
        self.meetings.before([Access(f"sums {value.name}", "own", writes=True)])
        return [f"sums[worker, {len(self.sums) - 1}] = {value.name}"]

    def _share(self, axis: Axis) -> tuple[str, str]:
        self.shares[axis] = None
        return share(axis)

    def _in_rows(self, step: ProgramStep, block: RowLoop) -> Iterator[Access]:
        for value in step.operands:
            yield from self._accessed(value, block.axis)
        if block.axis in step.out.axes:
            yield from self._accessed(step.out, block.axis, writes=True)
        elif step.out.axes:
            yield Access(f"{self.loops.array_of[step.out.name]}_each", "own", writes=True)

    def _accessed(self, value: Value, axis: Axis, writes: bool = False) -> Iterator[Access]:
        if value.name in self.loops.array_of:
            yield self._access(value, axis, writes)

    def _access(self, value: Value, axis: Axis, writes: bool = False) -> Access:
        part: Part = axis if axis in value.axes else "whole"
        return Access(self.loops.array_of[value.name], part, writes)

    def product(self, step: Product, into: Into | None = None) -> list[str]:
        """A matrix product, into its own array or into another one."""
        along = step.out.axes[0]
        if along.size is None and len(step.out.axes) > 1 and (step.out.axes[1].size or 0) >= WIDE:
            along = step.out.axes[1]
        accesses = {self._access(value, along) for value in step.operands}
        array = self.loops.array_of[step.out.name] if into is None else into.array
        accesses.add(Access(array, along, writes=True))

        def part(axis: Axis) -> str:
            return ":".join(self._share(axis)) if axis == along else f":{self.loops.size(axis)}"

        return [
            *self.meetings.before(accesses),
            self.loops.product(step, along, part, into),
        ]
