"""Workers that run one program together: who has which rows, and where they meet.

Rows of an axis are shared out, the same rows to the same worker each time. A unit that reads what
another worker has written, or overwrites what another still reads, waits until all are there. A sum
over samples is one worker's, all of it, so no bit of it depends on how many workers there are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from pullback.emit.nest.language import Multiply, Unit, Windowed, batch_of
from pullback.emit.nest.layout import Spot
from pullback.ir import Axis

# A product with as many columns shares them out and not its rows: a worker copies its own only
WIDE = 256
Part = tuple[int | None, int, int] | None  # the rows of an axis as they lie; None is everything


@dataclass(frozen=True)
class Touch:
    """A part of an array that each worker reads or writes."""

    array: str | int
    part: Part
    writes: bool = False

    def clashes(self, other: Touch) -> bool:
        """May one worker write here what another one reads or writes there?"""
        apart = self.part is not None and self.part == other.part
        return self.array == other.array and (self.writes or other.writes) and not apart


class Meetings:
    """Remembers what was touched since the workers last met; ``rooms`` are those of arrays.

    Each worker has ``numbers`` of its own.
    """

    def __init__(self, rooms: Mapping[str, int], numbers: Collection[str]) -> None:
        self._rooms, self._numbers = rooms, numbers
        self._since: set[Touch] = set()

    def before(self, touches: Iterable[Touch]) -> bool:
        """Do they have to meet before something with these touches?"""
        found = set(touches)
        needed = self.needed(found)
        self._since = found if needed else self._since | found
        return needed

    def needed(self, touches: Collection[Touch]) -> bool:
        """Would they have to?"""
        return any(old.clashes(new) for old in self._since for new in touches)

    def of(self, unit: Unit, shared: Axis | None) -> Iterator[Touch]:
        """What a unit of which workers share an axis touches."""
        for places, writes in ((unit.reads, False), (unit.writes, True)):
            for place in places:
                if place.array not in self._numbers:
                    yield self.touch(place, shared, writes)

    def touch(self, place: Spot, shared: Axis | None, writes: bool = False) -> Touch:
        """What is touched at a place."""
        stride = place.stride(shared) if shared is not None else 0
        part = (shared.size, stride, place.offset) if shared is not None and stride else None
        if shared is not None and shared.size is None and stride:
            part = (None, place.each or stride, 0)  # workers have whole blocks
        return Touch(self._rooms.get(place.array, place.array), part, writes)


def shared_axis(unit: Unit) -> Axis | None:
    """The axis of which each worker takes a part; None where each does everything for itself."""
    if not unit.axes:
        return None
    batch = batch_of(unit.axes)
    if batch is None:  # the parts of a kernel are no rows
        return None if isinstance(unit, Windowed) else unit.axes[0]
    if isinstance(unit, Multiply):
        wide = [axis for axis in unit.axes if (axis.size or 0) >= WIDE and len(unit.axes) == 2]
        if wide and not unit.left.stride(wide[0]) * unit.right.stride(wide[0]):
            return wide[0]
    return batch
