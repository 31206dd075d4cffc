"""In which order units run, and which of them share their loops.

What treats samples one by one goes first, as far as that goes: workers that share the samples need
not meet. Sums over the samples come when somebody waits for them, and those of the gradients last.
"""

from __future__ import annotations

from collections.abc import Sequence

from pullback.emit.nest.language import Nest, Unit, batch_of, sums_samples


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
            take(min(ready, key=lambda at: bool(units[at].loops)))  # a number may be waited for
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
        at = next((n for n in range(max(behind, 0), len(found)) if _fits(unit, found[n])), None)
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


def _fits(unit: Unit, nest: Unit) -> bool:
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
