"""A program as a plan runs it: steps again where they are run again, arrays in one arena."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from pullback.emit.buffers import Buffers
from pullback.emit.recompute.arena import Stay, placed
from pullback.emit.recompute.computation import Life, RunOrder
from pullback.emit.recompute.program import ProgramWork
from pullback.emit.values import Lowered, ProgramStep
from pullback.ir import Axes


@dataclass
class PlacedBuffers(Buffers):
    """Arrays that lie in one arena of ``total`` bytes, each for as long as its value lives.

    A name stands for another array wherever its value is made again. ``begins`` are in bytes;
    ``inner`` are the arrays of loops' turns, in their order, each with where it begins.
    """

    total: int = 0
    begins: list[int] = field(default_factory=list)
    made: list[dict[str, int]] = field(default_factory=list)  # by each step
    spares: list[list[int]] = field(default_factory=list)  # of each step
    inner: list[tuple[Axes, int]] = field(default_factory=list)

    def scratch(self, axes: Axes, at: int, taken: int) -> int:
        return [number for number in self.spares[at] if self.axes[number] == axes][taken]


def arranged(work: ProgramWork, order: RunOrder) -> tuple[Lowered, PlacedBuffers]:
    """The program of some runs, and where its arrays lie."""
    buffers, stays, steps = PlacedBuffers(), list[Stay](), list[ProgramStep]()
    sizes, outs = work.computation.sizes, [out for group in work.groups for out in group.outs]
    number = dict[Life, int]()
    made: dict[int, dict[str, int]] = {}
    for life in order.lives:
        out = outs[life.value]
        if work.elsewhere(out):
            continue
        if (before := order.taken_over.get(life)) is not None:
            own = number[life] = number[before]
            stays[own] = replace(stays[own], end=life.end)
        else:
            own = number[life] = len(stays)
            stays.append(Stay(sizes[life.value], life.begin, life.end))
            buffers.axes.append(out.axes)
        made.setdefault(life.begin, {})[out.name] = own
    inside = list[Stay]()
    for run, at in enumerate(order.runs):
        group, spares = work.groups[at], list[int]()
        for axes in group.spare:
            spares.append(len(stays))
            stays.append(Stay(work.costs.bytes_of(axes), run, run))
            buffers.axes.append(axes)
        inside += [Stay(work.costs.bytes_of(axes), run, run) for axes in group.inner]
        for step in group.steps:
            for each in (*work.views_for(step), step):
                steps.append(each)
                buffers.made.append(made.get(run, {}))
                buffers.spares.append(spares)
    places, buffers.total = placed([*stays, *inside])
    buffers.begins = places[: len(stays)]
    inner = (axes for at in order.runs for axes in work.groups[at].inner)
    buffers.inner = list(zip(inner, places[len(stays) :], strict=True))
    return replace(work.program, steps=steps), _shared(buffers)


def _shared(buffers: PlacedBuffers) -> PlacedBuffers:
    """The same with one array for all that have the same axes and begin at one place."""
    known: dict[tuple[Axes, int], int] = {}
    pairs = list(zip(buffers.axes, buffers.begins, strict=True))
    new = [known.setdefault(pair, len(known)) for pair in pairs]

    def each(numbers: Iterable[int]) -> list[int]:
        return [new[number] for number in numbers]

    made = [dict(zip(names, each(names.values()), strict=True)) for names in buffers.made]
    spares = [each(numbers) for numbers in buffers.spares]
    axes, begins = [axes for axes, _ in known], [begin for _, begin in known]
    return replace(buffers, axes=axes, begins=begins, made=made, spares=spares)
