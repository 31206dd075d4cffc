"""In which order units run, and which of them share their loops.

What treats samples one by one goes first, as far as that goes: workers that share the samples need
not meet. Sums over the samples come when somebody waits for them, and those of the gradients last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pullback.emit.nest.language import Multiply, Nest, Unit, batch_of, sums_samples
from pullback.emit.nest.refusal import refusal


def in_order(units: Sequence[Unit], first: str) -> list[Unit]:
    """The units with sums over samples as late as may be; of these what ``first`` needs first."""
    makes = [unit.makes for unit in units]
    reads = [{place.array for place in unit.reads} for unit in units]
    sums = [sums_samples(unit) for unit in units]
    writers: dict[str, list[int]] = {}
    before: list[set[int]] = []  # the units whose results each reads, or adds to
    for at, made in enumerate(makes):
        before.append({each for name in made | reads[at] for each in writers.get(name, ())})
        for name in made:
            writers.setdefault(name, []).append(at)
    left, done = list(range(len(units))), list[Unit]()

    def take(at: int) -> None:
        left.remove(at)
        done.append(units[at])

    def free(at: int) -> bool:
        return before[at].isdisjoint(left)

    def needed(targets: Sequence[int]) -> set[str]:
        """The values that some units need, directly or not, with what they make."""
        names = {name for at in targets for name in makes[at] | reads[at]}
        for at in reversed(left):
            if makes[at] & names:
                names |= reads[at]
        return names

    while left:
        while ready := [at for at in left if not sums[at] and free(at)]:
            # a number may be waited for; what is of no sample is shared out otherwise than samples
            take(
                min(ready, key=lambda at: (bool(units[at].loops), bool(batch_of(units[at].loops))))
            )
        wanted = needed([at for at in left if not sums[at] and batch_of(units[at].axes)])
        wanted = wanted or needed([at for at in left if first in makes[at]])
        ready = [at for at in left if free(at)]
        for at in [at for at in ready if makes[at] & wanted] or ready:
            take(at)
    return done


def fused(units: Sequence[Unit]) -> list[Unit]:
    """The units with statements over the same loops in one nest.

    A statement joins the earliest nest behind all that it reads; there it finds at hand what the
    statements before it have made.
    """
    found: list[Unit] = []
    writer: dict[str, int] = {}
    for unit in units:
        behind = max((writer.get(place.array, -1) for place in unit.reads), default=-1)
        at = next((n for n in range(max(behind, 0), len(found)) if fits(unit, found[n])), None)
        if at is None:
            at = len(found)
            found.append(Nest(unit.axes, unit.summed) if isinstance(unit, Nest) else unit)
        nest = found[at]
        if isinstance(unit, Nest) and isinstance(nest, Nest):
            if unit.summed:
                nest.axes, nest.summed = unit.axes, unit.summed
            nest.statements += unit.statements
        writer |= dict.fromkeys(unit.makes, at)
    return found


def finished(units: Sequence[Unit]) -> list[Unit]:
    """The units with what is done to each entry of a product of blocks done where it is made."""
    found: list[Unit] = []
    for unit in units:
        last = found[-1] if found else None
        if isinstance(unit, Nest) and isinstance(last, Multiply) and _finishes(unit, last):
            found[-1] = replace(last, then=(*last.then, *unit.statements))
        else:
            found.append(unit)
    return found


@dataclass(frozen=True)
class Phases:
    """Units by what they do with samples.

    What has none comes ``before``; some go ``through`` samples one by one; ``sums`` are over all of
    them, and the rest comes ``after``. Nothing reads what is made in a later phase.
    """

    before: tuple[Unit, ...]
    through: tuple[Unit, ...]
    sums: tuple[Unit, ...]
    after: tuple[Unit, ...]

    @classmethod
    def of(cls, units: Sequence[Unit], kernels: bool = False) -> Phases:
        """The phases of units, among which may be ``kernels`` over windows and recurrences.

        Raises NotApplicableError where samples wait for one another.
        """
        known: dict[str, int] = {}
        found: list[list[Unit]] = [[], [], [], []]
        for unit in units:
            seen = max((known.get(place.array, 0) for place in unit.reads), default=0)
            samples = batch_of(unit.axes) is not None
            phase = 1 if samples else 2 if sums_samples(unit) else 3 if seen else 0
            apart = (phase == 1 and kernels) or _one_by_one(unit, phase == 2)
            if phase in (1, 2) and (seen > 1 or not apart):
                raise refusal(f"{min(unit.makes)} is not made sample by sample")
            found[phase].append(unit)
            for name in (*unit.makes, *(place.array for place in unit.writes)):
                known[name] = max(phase, known.get(name, 0))
        return cls(*map(tuple, found))

    @property
    def units(self) -> list[Unit]:
        """All of them, in order."""
        return [*self.before, *self.through, *self.sums, *self.after]


def _one_by_one(unit: Unit, sums: bool) -> bool:
    """Does a unit go through samples one by one, or only sum over them?"""
    if isinstance(unit, Nest):
        return not sums or all(each.kind == "sum" for each in unit.statements)
    return isinstance(unit, Multiply)


def _finishes(nest: Nest, product: Multiply) -> bool:
    """Does a nest read the entries of a product, each as it is made, and all else in blocks?"""
    batch, made = batch_of(product.axes), {each.name: each.into for each in product.then}
    made[product.name] = product.out
    reads, places = [*nest.reads], [*nest.reads, *nest.writes]
    return (
        batch is not None
        and not nest.summed
        and set(nest.axes) == set(product.axes)
        and all(each.kind == "each" for each in nest.statements)
        and product.out in reads
        and all(made.get(place.array, place) == place for place in reads)
        and all(each.array and not each.within and not each.looked for each in places)
        and all(place.each or not place.stride(batch) for place in (product.out, *places))
    )


def fits(unit: Unit, nest: Unit) -> bool:
    """May the statements of a unit stand in a nest?"""
    if not isinstance(unit, Nest) or not isinstance(nest, Nest):
        return False
    if set(unit.loops) != set(nest.loops) or sums_samples(unit) != sums_samples(nest):
        return False
    if unit.summed and nest.summed and unit.axes != nest.axes:
        return False
    if any(each.kind == "add" for each in (*unit.statements, *nest.statements)):
        return False
    made = {statement.name: statement for statement in nest.statements}
    for place in unit.reads:
        statement = made.get(place.array)
        if statement is not None and (statement.kind != "each" or statement.into != place):
            return False
    return True
