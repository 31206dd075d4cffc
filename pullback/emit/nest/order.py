"""In which order units run, and which of them share their loops.

What treats samples one by one goes first, as far as that goes: workers that share the samples need
not meet. Sums over the samples come when somebody waits for them, and those of the gradients last.
"""

from __future__ import annotations

from collections.abc import Sequence

from pullback.emit.nest.language import Nest, Unit, batch_of, sums_samples


def in_order(units: Sequence[Unit], first: str) -> list[Unit]:
    """The units with sums over samples as late as may be; of these what ``first`` needs first."""
    left, done = list(units), list[Unit]()

    def take(unit: Unit) -> None:
        left.remove(unit)
        done.append(unit)

    def free(unit: Unit) -> bool:
        """Is all there that it reads, and what it adds to?"""
        behind = {name for other in left[: left.index(unit)] for name in other.makes}
        return not behind & {*unit.makes, *(place.array for place in unit.reads)}

    while left:
        while ready := [u for u in left if not sums_samples(u) and free(u)]:
            take(min(ready, key=lambda unit: bool(unit.loops)))  # a number may be waited for
        waiting = [unit for unit in left if not sums_samples(unit)]
        wanted = _needed(left, [u for u in waiting if batch_of(u.axes)])
        wanted = wanted or _needed(left, [u for u in left if first in u.makes])
        sums = [unit for unit in left if free(unit)]
        for unit in [unit for unit in sums if unit.makes & wanted] or sums:
            take(unit)
    return done


def _needed(units: Sequence[Unit], targets: Sequence[Unit]) -> set[str]:
    """The values that some units need, directly or not, with what they make."""
    needed = {name for unit in targets for name in unit.makes}
    for unit in reversed(units):
        for target in targets:
            needed |= {place.array for place in target.reads}
        if unit.makes & needed:
            needed |= {place.array for place in unit.reads}
    return needed


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
