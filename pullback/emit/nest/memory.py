"""Where each array lies in a worker's memory: room is used again when nobody reads it any more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from pullback.emit.nest.language import Multiply, Nest, Unit, flat
from pullback.emit.nest.layout import Spot, of_samples, row_size
from pullback.ir import Axes

_LINE = 16  # numbers: arrays begin where a line of the cache does, whatever the precision


@dataclass
class Memory:
    """Rooms for arrays: which array is in which, and how large each is.

    A room for samples has ``size`` numbers for each of them, another one ``size`` numbers.
    """

    room: dict[str, int] = field(default_factory=dict)
    sizes: list[tuple[bool, int]] = field(default_factory=list)

    @property
    def totals(self) -> tuple[int, int]:
        """How many numbers all rooms take: for each sample, and besides."""
        of, rest = (sum(n for s, n in self.sizes if s == kind) for kind in (True, False))
        return of, rest

    def begin(self, array: str) -> tuple[int, int]:
        """How far behind the start an array lies: numbers for each sample, and besides."""
        number = self.room[array]
        samples, _ = self.sizes[number]
        before = [n for s, n in self.sizes[:number] if s == samples]
        return (sum(before), 0) if samples else (self.totals[0], sum(before))


def local(units: Sequence[Unit], kept: Collection[str]) -> set[str]:
    """The values that are read in the unit alone that makes them, where they are at hand.

    What several units make, as a state of a loop, is read in the next turn.
    """
    units = list(flat(units))
    made = [_at_hand(unit) for unit in units]
    times = Counter(name for each in made for name in each)
    found = {name for each in made for name, into in each.items() if name == into.array} - {*kept}
    found -= {name for name, count in times.items() if count > 1}
    for unit, here in zip(units, made, strict=True):
        found -= {place.array for place in unit.reads if here.get(place.array) != place}
    return found


def _at_hand(unit: Unit) -> dict[str, Spot]:
    """What a unit makes entry by entry, for statements behind it, and where it would lie."""
    if isinstance(unit, Nest):
        return {each.name: each.into for each in unit.statements if each.kind == "each"}
    if isinstance(unit, Multiply) and unit.then:
        return {unit.name: unit.out, **{each.name: each.into for each in unit.then}}
    return {}


def allocated(
    units: Sequence[Unit],
    arrays: Mapping[str, Axes],
    given: Collection[str],
    kept: Collection[str],
    whole: Collection[str] = (),
) -> Memory:
    """Rooms for some arrays: those ``given`` before the first unit, and those that units write.

    Those in ``kept`` are read after the last unit too; those of ``whole`` numbers take twice the
    room, and nobody else's.
    """
    last, memory = dict[str, int](), Memory()
    for array in given:
        memory.room[array] = len(memory.sizes)
        memory.sizes.append(_size(arrays[array], array in whole))
    for at, unit in enumerate(units):
        last |= dict.fromkeys((place.array for place in (*unit.reads, *unit.writes)), at)
    last |= dict.fromkeys((*given, *kept), len(units))
    free: list[int] = []
    for at, unit in enumerate(units):
        taken = set[str]()  # rooms that go to what is written in their place
        ending = {p.array for p in unit.reads if last[p.array] == at and p.array in memory.room}
        for place in unit.writes:
            if place.array not in arrays or place.array in memory.room:
                continue
            size = _size(arrays[place.array], place.array in whole)
            over = [a for a in sorted(ending) if _in_place(unit, a, place)
                    and memory.sizes[memory.room[a]] == size]  # fmt: skip
            spare = [number for number in free if memory.sizes[number] == size]
            if place.array in whole:
                over, spare = [], []
            if over:
                ending.remove(over[0])
                taken.add(over[0])
                memory.room[place.array] = memory.room[over[0]]
            elif spare:
                free.remove(spare[0])
                memory.room[place.array] = spare[0]
            else:
                memory.room[place.array] = len(memory.sizes)
                memory.sizes.append(size)
        touched = {place.array for place in (*unit.reads, *unit.writes)}
        over_now = {a for a in touched if last[a] == at and a in memory.room} - {*whole} - taken
        free += [memory.room[array] for array in sorted(over_now)]
    return memory


def _in_place(unit: Unit, array: str, place: Spot) -> bool:
    """Is each entry of an array read just before its successor is written in its place?"""
    if isinstance(unit, Multiply):
        if not unit.then or array in (unit.left.array, unit.right.array):
            return False
    elif not isinstance(unit, Nest) or unit.summed:
        return False
    reads = [each for each in unit.reads if each.array == array]
    return all(
        (dict(each.strides), each.offset, each.within) == (dict(place.strides), place.offset, ())
        for each in reads
    )


def _size(axes: Axes, whole: bool) -> tuple[bool, int]:
    size = row_size(axes) * (2 if whole else 1)
    return (True, size) if of_samples(axes) else (False, -(-size // _LINE) * _LINE)
