"""A lowered program as a computation: its steps put together to jobs, sized and weighed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property

from pullback.emit.buffers import with_inherited_names
from pullback.emit.recompute.arena import padded
from pullback.emit.recompute.computation import Computation, Job
from pullback.emit.recompute.weigh import StepCosts
from pullback.emit.target.inplace import NumpyWriter
from pullback.emit.values import ElementwiseStep, Lowered, ProgramStep, Value, View
from pullback.ir import Axes


@dataclass(frozen=True)
class StepGroup:
    """The steps that write one value, or the values of one loop; views are none of them.

    ``spare`` are the axes of the arrays that they need besides, while they run, and ``inner`` of
    those that a loop's turns write.
    """

    steps: tuple[ProgramStep, ...]
    spare: tuple[Axes, ...]
    inner: tuple[Axes, ...]

    @property
    def outs(self) -> tuple[Value, ...]:
        """What they write."""
        return self.steps[-1].outs

    @property
    def operands(self) -> tuple[Value, ...]:
        """What they read, themselves aside."""
        own = {value.name for value in self.outs}
        read = (value for step in self.steps for value in step.operands)
        return tuple(value for value in dict.fromkeys(read) if value.name not in own)


class ProgramWork:
    """The groups of a program's steps, and the computation that they are for axes of some lengths.

    What no other root than those ``backward`` needs is run once.
    """

    def __init__(self, program: Lowered, costs: StepCosts, backward: Collection[str]) -> None:
        self.program, self.costs = with_inherited_names(program), costs
        self.views = {s.out.name: s for s in self.program.steps if isinstance(s, View)}
        results = self.program.results
        self.results = {value.name: key for key, value in results.items()}
        written: dict[str, list[ProgramStep]] = {}
        for step in reversed(self.program.steps):  # each group stands where its last step does
            if not isinstance(step, View):
                written.setdefault(step.out.name, []).insert(0, step)
        self.groups = [self._group(tuple(steps)) for steps in reversed(written.values())]
        self.numbers: dict[str, int] = {}  # of each value by name
        for group in self.groups:
            for out in group.outs:
                self.numbers[out.name] = len(self.numbers)
        self._ends = [value.name for key, value in results.items() if key not in backward]

    def _group(self, steps: tuple[ProgramStep, ...]) -> StepGroup:
        writer = self._writer(steps)
        inner = tuple(axes for _, axes in writer.inner)
        return StepGroup(steps, tuple(writer.spares), inner)

    def _writer(self, steps: tuple[ProgramStep, ...]) -> NumpyWriter:
        """What writes these steps alone."""
        made = {out.name for step in steps for out in step.outs}
        results = {k: v for k, v in self.program.results.items() if v.name in made}
        writer = NumpyWriter(replace(self.program, steps=list(steps), results=results), False)
        writer.body()
        return writer

    def whole(self, name: str) -> str:
        """The array that a value is a view of, or the value itself."""
        while name in self.views:
            name = self.views[name].arg.name
        return name

    def views_for(self, step: ProgramStep) -> list[View]:
        """The views that a step reads, those of views behind what they are views of."""
        found: dict[str, View] = {}
        for value in step.operands:
            chain, name = list[View](), value.name
            while name in self.views:
                chain.append(self.views[name])
                name = chain[-1].arg.name
            found |= {view.out.name: view for view in reversed(chain)}
        return list(found.values())

    @cached_property
    def computation(self) -> Computation:
        """What may be planned."""
        outs = [out for group in self.groups for out in group.outs]
        sizes = tuple(0 if self.elsewhere(out) else padded(self.costs.bytes(out)) for out in outs)
        kept = {self.numbers[out.name] for out in outs if out.name in self.results}
        kept |= {self.numbers[out.name] for out in outs if out.source != "work"}
        read = [self._read(group) for group in self.groups]
        forward = self._needed(read)
        jobs = tuple(
            Job(
                tuple(self.numbers[out.name] for out in group.outs),
                read[at],
                sum(map(self.costs.work, group.steps)),
                sum(padded(self.costs.bytes_of(axes)) for axes in (*group.spare, *group.inner)),
                self._over(group),
                at not in forward or any(self.numbers[out.name] in kept for out in group.outs),
            )
            for at, group in enumerate(self.groups)
        )
        return Computation(jobs, sizes, frozenset(kept))

    def elsewhere(self, value: Value) -> bool:
        """Does a value lie in an array of the caller's, or in one that NumPy makes?"""
        return value.name in self.results or value.source != "work" or not value.axes

    def _read(self, group: StepGroup) -> tuple[int, ...]:
        names = dict.fromkeys(self.whole(value.name) for value in group.operands)
        return tuple(self.numbers[name] for name in names if name in self.numbers)

    def _needed(self, read: list[tuple[int, ...]]) -> set[int]:
        """The groups that what is not backward needs."""
        maker = {self.numbers[o.name]: at for at, g in enumerate(self.groups) for o in g.outs}
        wanted = [maker[self.numbers[name]] for name in self._ends]
        found = set(wanted)
        while wanted:
            new = {maker[value] for value in read[wanted.pop()]} - found
            found |= new
            wanted += new
        return found

    def _over(self, group: StepGroup) -> tuple[int, ...]:
        """The values in whose place an elementwise result may be written, at no other cost."""
        (step, *more), out = group.steps, group.outs[0]
        if more or not isinstance(step, ElementwiseStep) or self.elsewhere(out):
            return ()
        found = []
        for name in dict.fromkeys(value.name for value in step.operands):
            alike = [v for v in step.operands if self.whole(v.name) == name]
            if name not in self.numbers or any(v.axes != out.axes for v in alike):
                continue
            if self.elsewhere(alike[0]) or any(v.name != name for v in alike):
                continue
            if len(self._in_place_of(step, name).spares) <= len(group.spare):
                found.append(self.numbers[name])
        return tuple(found)

    def _in_place_of(self, step: ElementwiseStep, name: str) -> NumpyWriter:
        writer = NumpyWriter(replace(self.program, steps=[step], results={}), False)
        writer.place[name] = writer.place[step.out.name]
        writer.body()
        return writer

    @cached_property
    def fixed(self) -> int:
        """The bytes besides the arena: a batch, the results, and what NumPy takes for itself."""
        program, costs = self.program, self.costs
        ends = sum(map(costs.bytes, (*program.inputs.values(), *program.results.values())))
        outs = (out for group in self.groups for out in group.outs)
        places = sum(costs.bytes(out) for out in outs if out.source != "work" and out.axes)
        steps = [step for group in self.groups for step in group.steps]
        tables = sum(map(costs.tables, steps))
        return ends + places + tables + max(map(costs.unseen, steps), default=0)
