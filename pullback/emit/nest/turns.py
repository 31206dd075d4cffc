"""What stands around a loop and is of single turns of it is done in these turns.

A loop along an axis leaves arrays along it. What treats them entry by entry need not wait until the
loop has ended: in the turn that makes an entry it is at hand. So with what a loop reads of an array
along its axis: the turn that reads an entry makes it. What only one turn wants is not kept for the
next ones, or not at all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from pullback.emit.nest.code import vector_axis
from pullback.emit.nest.language import Multiply, Nest, Repeat, Unit, moved
from pullback.emit.nest.layout import ArrayLayout, Spot, strides_of
from pullback.emit.nest.order import fits
from pullback.ir import Axis


def in_turns(units: Sequence[Unit], layout: ArrayLayout, results: Collection[str]) -> list[Unit]:
    """The units, each with one statement at most, in their order; some have gone into loops.

    ``results`` are arrays that are wanted when all is done.
    """
    loops = {at: unit for at, unit in enumerate(units) if isinstance(unit, Repeat)}
    return _Moves(units, loops, layout).done({*results}) if loops else [*units]


def renewing(turn: Sequence[Unit], states: Sequence[Nest]) -> list[Unit]:
    """The units of a turn, and behind them its new states.

    Each is copied with what reads the old one last, if that reads it entry by entry.
    """
    found = [*turn]
    for nest in states:
        (statement,) = nest.statements
        new = {place.array for place in nest.reads}
        touched = [
            at for at, unit in enumerate(found)
            if any(place.array in new for place in unit.writes)
            or any(place.array == statement.into.array for place in unit.reads)
        ]  # fmt: skip
        at = max(touched, default=len(found))
        unit = found[at] if at < len(found) else None
        old = [] if unit is None else [p for p in unit.reads if p.array == statement.into.array]
        if isinstance(unit, Nest) and fits(nest, unit) and {*old} <= {statement.into}:
            found[at] = replace(unit, statements=[*unit.statements, statement])
        else:
            found.append(nest)
    return found


class _Moves:
    """Moves nests into ``loops``, which stand among the units at these places."""

    def __init__(
        self, units: Sequence[Unit], loops: Mapping[int, Repeat], layout: ArrayLayout
    ) -> None:
        self.units, self.loops, self.layout = dict(enumerate(units)), loops, layout
        self.turns = {at: [*loop.units] for at, loop in loops.items()}
        self.writers: dict[str, set[int]] = {}
        self.readers: dict[str, set[int]] = {}
        for at, unit in self.units.items():
            for places, known in ((unit.writes, self.writers), (unit.reads, self.readers)):
                for place in places:
                    known.setdefault(place.array, set()).add(at)

    def done(self, results: Collection[str]) -> list[Unit]:
        """The units after all moves: a nest joins the loop that reads it, or that it reads.

        Where it could do either it joins the earlier one if that saves an array there.
        """
        follows = {at: loop for at in self.units if (loop := self._followed(at)) is not None}
        for at in sorted(self.units, reverse=True):
            loop = self._led(at)
            if loop is not None and not (at in follows and self._saves(at, follows)):
                self._move(at, loop)
        for at in sorted(self.units):
            loop = self._followed(at)
            if loop is not None:
                self._move(at, loop)
        for at, repeat in self.loops.items():
            self.units[at] = replace(repeat, units=tuple(self._forgetting(at, results)))
        return [unit for _, unit in sorted(self.units.items())]

    def _followed(self, at: int) -> int | None:
        """The loop of which a nest reads what each turn leaves, and nothing that is made later."""
        nest = self.units[at]
        behind = [max(self.writers.get(place.array, {-1})) for place in nest.reads]
        last = max(behind, default=-1)
        loop = self.loops.get(last)
        if loop is None or not self._stands_in(nest, loop):
            return None
        reads = [place for place, made in zip(nest.reads, behind, strict=True) if made == last]
        alone = all(self.writers[place.array] == {last} for place in reads)
        return last if alone and all(self._of_turn(place, loop) for place in reads) else None

    def _led(self, at: int) -> int | None:
        """The loop of which each turn reads what a nest makes for it, before all other readers."""
        nest = self.units[at]
        (into, *others) = nest.writes
        first = min(self.readers.get(into.array, {-1}))
        loop = self.loops.get(first)
        if loop is None or others or not self._stands_in(nest, loop):
            return None
        made = [each for place in nest.reads for each in self.writers.get(place.array, ())]
        here = [p for unit in self.turns[first] for p in unit.reads if p.array == into.array]
        free = all(each < at or each > first for each in made)
        return first if free and all(self._of_turn(place, loop) for place in here) else None

    def _stands_in(self, nest: Unit, loop: Repeat) -> bool:
        """Is a nest entry by entry over the turns of a loop, and better in vectors within one?"""
        if not isinstance(nest, Nest) or not {loop.batch, loop.along} <= {*nest.axes}:
            return False
        (statement,) = nest.statements
        return (
            statement.kind == "each"
            and not nest.summed
            and len(self.writers[statement.into.array]) == 1
            and not nest.blocked
            and self._of_turn(statement.into, loop)
            and vector_axis(nest, self.layout.lanes) not in (loop.along, loop.batch)
        )

    def _of_turn(self, place: Spot, loop: Repeat) -> bool:
        """Is what is read or written in a turn, of a sample, what is that turn's and sample's?"""
        axes, along, batch = self.layout.arrays[place.array], loop.along, loop.batch
        steps = dict(zip(axes, strides_of(axes), strict=True))
        block = steps.get(along, 0)
        if not block or place.each or place.looked:
            return False
        if steps.get(batch) != block * (along.size or 0):
            return False
        if (place.stride(along), place.stride(batch)) != (block, steps[batch]):
            return False
        low, high = _reach(place, (along, batch))
        return low >= 0 and high < block

    def _saves(self, at: int, follows: Mapping[int, int]) -> bool:
        """Is there an array that nobody else would read, had it gone into the loop before it?"""
        loop = follows[at]
        read = [p.array for p in self.units[at].reads if self.writers.get(p.array) == {loop}]
        return any(self.readers[array] <= {loop, *follows} for array in read)

    def _move(self, at: int, loop: int) -> None:
        nest = self.units.pop(at)
        assert isinstance(nest, Nest)
        inside = Nest(
            tuple(axis for axis in nest.axes if axis != self.loops[loop].along), (), nest.statements
        )
        (_behind if loop < at else _ahead)(self.turns[loop], inside)
        for places, known in ((nest.writes, self.writers), (nest.reads, self.readers)):
            for place in places:
                known[place.array] = known[place.array] - {at} | {loop}

    def _forgetting(self, at: int, results: Collection[str]) -> Iterator[Nest | Multiply]:
        """The units of a turn, where arrays that only this turn wants lie without its axis."""
        loop, arrays = self.loops[at], self.layout.arrays
        places: dict[str, list[Spot]] = {}
        for unit in self.turns[at]:
            for place in (*unit.reads, *unit.writes):
                places.setdefault(place.array, []).append(place)
        short = {
            array
            for array, found in places.items()
            if array not in results
            and self.writers.get(array) == self.readers.get(array) == {at}
            and all(self._of_turn(place, loop) for place in found)
        }
        for array in short:
            arrays[array] = tuple(axis for axis in arrays[array] if axis != loop.along)

        def without(place: Spot) -> Spot:
            if place.array not in short:
                return place
            block = place.stride(loop.along)
            kept = [(axis, block if axis == loop.batch else step)
                    for axis, step in place.strides if axis != loop.along]  # fmt: skip
            return replace(place, strides=tuple(kept))

        return (moved(unit, without) for unit in self.turns[at])


def _reach(place: Spot, besides: Sequence[Axis]) -> tuple[int, int]:
    """The least and the largest offset of what is there, with index 0 on some axes."""
    low = high = place.offset
    for axis, stride in place.strides:
        if axis in besides:
            continue
        first, last = 0, (axis.size or 1) - 1
        for each in place.within:
            if each.index.terms == ((axis, 1),):
                shift = each.index.offset
                first = first if each.low is None else max(first, each.low - shift)
                last = last if each.high is None else min(last, each.high - shift)
        low += min(stride * first, stride * last)
        high += max(stride * first, stride * last)
    return low, high


def _ahead(turn: list[Nest | Multiply], nest: Nest) -> None:
    """Put a nest before the first unit of a turn that reads it, into the same loops if it can."""
    (statement,) = nest.statements
    reading = [[p for p in unit.reads if p.array == statement.into.array] for unit in turn]
    at = next(number for number, places in enumerate(reading) if places)
    unit = turn[at]
    same = all(place == statement.into for place in reading[at])
    if isinstance(unit, Nest) and same and {*unit.loops} == {*nest.axes}:
        turn[at] = replace(unit, statements=[statement, *unit.statements])
    else:
        turn.insert(at, nest)


def _behind(turn: list[Nest | Multiply], nest: Nest) -> None:
    """Put a nest behind all that it reads, into the same loops as early as it can."""
    reads = {place.array for place in nest.reads}
    made = [at for at, unit in enumerate(turn) if reads & {p.array for p in unit.writes}]
    for at in range(max(made), len(turn)):
        unit = turn[at]
        if isinstance(unit, Nest) and fits(nest, unit):
            turn[at] = replace(unit, statements=[*unit.statements, *nest.statements])
            return
    turn.append(nest)
