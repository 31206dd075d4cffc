"""The units of a forward pass, in order, with the arrays that they need."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from pullback.emit.lower import lower
from pullback.emit.nest.language import Multiply, Repeat, Unit, batch_of, sums_samples
from pullback.emit.nest.layout import ArrayLayout, row_size
from pullback.emit.nest.memory import Memory, allocated, local
from pullback.emit.nest.order import Phases, fused, in_order
from pullback.emit.nest.refusal import check_axes, refusal
from pullback.emit.nest.steps import units_of
from pullback.emit.nest.turns import in_turns
from pullback.emit.values import Lowered, Value
from pullback.ir import Axis, Input, Node, Parameter

# numbers that a block of samples works on, which should stay in the second cache, and how many
# samples it may have
_ROOM = 2**18
_LEAST, _MOST = 16, 512
# Each block brings the weights anew into the order in which they are read, which takes as long as
# some 20 multiplications with each of them: a twelfth of those that so many samples take.
_WORTH = 256
_LARGEST = 2**28  # numbers in all, some GiB


@dataclass
class ForwardStep:
    """A network's forward pass: what is done once a call, and what for each block of samples.

    Where the loss is computed too, blocks sum up what it is made of, and the rest comes after all.
    """

    program: Lowered
    layout: ArrayLayout = field(default_factory=ArrayLayout)

    @classmethod
    def of(
        cls, roots: Mapping[str, Node], leaves: Sequence[Input | Parameter], lanes: int = 1
    ) -> ForwardStep:
        """That of an "output", maybe with a "loss"; a vector register has ``lanes`` numbers.

        Raises NotApplicableError for what cannot be compiled.
        """
        program = lower(roots, (), leaves, direct=True)
        check_axes(program)
        found = cls(program, ArrayLayout(lanes))
        out = found.output
        if not out.axes or out.axes[0].size is not None or batch_of(out.axes[1:]):
            raise refusal("its output is not one of each sample")
        if found.loss is None and any(sums_samples(unit) for unit in found.units):
            raise refusal("a sample's output depends on other samples")
        if found.room > _LARGEST:
            raise refusal(f"a few samples take {found.room:,} numbers")
        return found

    @property
    def batch(self) -> Axis:
        """The axis of the samples."""
        (axis,) = self.program.sizes
        return axis

    @property
    def output(self) -> Value:
        """What comes of each sample."""
        return self.program.results["output"]

    @property
    def loss(self) -> Value | None:
        """What comes of all samples, if that is wanted."""
        return self.program.results.get("loss")

    @cached_property
    def units(self) -> list[Unit]:
        """All that is done, in order."""
        program, layout = self.program, self.layout
        values = [*program.parameters.values(), *program.inputs.values()]
        layout.declare([*values, *program.sizes.values()])
        first = self.output if self.loss is None else self.loss
        ordered = in_order(units_of(program.steps, layout), first.name)
        return fused(in_turns(ordered, layout, (self.output.name,)))

    @cached_property
    def phases(self) -> Phases:
        """The units by what they do with samples."""
        return Phases.of(self.units, kernels=True)

    @cached_property
    def sums(self) -> dict[str, int]:
        """What each block of samples sums up, and how many numbers each has."""
        names = [name for unit in self.phases.sums for name in sorted(unit.makes)]
        return {name: row_size(self.layout.arrays[name]) for name in names}

    @property
    def blocks_of(self) -> tuple[Value, ...]:
        """The arrays of samples that lie elsewhere: the inputs, and maybe the output."""
        inputs = tuple(self.program.inputs.values())
        return inputs if self.loss is not None else (self.output, *inputs)

    @property
    def given(self) -> tuple[Value, ...]:
        """All arrays that lie elsewhere."""
        return (*self.blocks_of, *self.program.parameters.values())

    @cached_property
    def local(self) -> set[str]:
        """The values that never go to memory."""
        return local(self.units, {value.name for value in self.program.results.values()})

    @cached_property
    def numbers(self) -> list[str]:
        """The values that are one number."""
        given = {value.name for value in self.program.parameters.values()}
        arrays = self.layout.arrays
        return [name for name, axes in arrays.items() if not axes and name not in given]

    @cached_property
    def memory(self) -> Memory:
        """Where arrays lie that nobody gives."""
        elsewhere = {*self.local, *self.numbers, *(value.name for value in self.given)}
        arrays = {n: axes for n, axes in self.layout.arrays.items() if n not in elsewhere}
        kept = {place.array for unit in self.phases.before for place in unit.writes}
        kept.add(self.output.name)
        return allocated(self.phases.units, arrays, (), kept, self.layout.whole)

    @property
    def block(self) -> int:
        """How many samples go through the whole network at once."""
        each, _ = self.memory.totals
        each += sum(row_size(value.axes) for value in self.blocks_of)
        near = _ROOM // max(each, 1) // 16 * 16
        worth = -(-_WORTH * sum(map(_copied, self.phases.through)) // max(self.work, 1) // 16) * 16
        return min(max(near, worth, _LEAST), _MOST)

    @property
    def room(self) -> int:
        """How many numbers a worker works in."""
        each, besides = self.memory.totals
        return each * self.block + besides

    @property
    def work(self) -> int:
        """About how many multiplications a sample takes."""
        return sum(map(_work, self.phases.through))


def _work(unit: Unit) -> int:
    if isinstance(unit, Repeat):
        return (unit.along.size or 1) * sum(map(_work, unit.units))
    return math.prod(axis.size or 1 for axis in unit.loops)


def _copied(unit: Unit) -> int:
    """How many weights a product has."""
    if not isinstance(unit, Multiply):
        return 0
    batch = batch_of(unit.loops)
    weights = [place for place in unit.reads if batch is None or not place.stride(batch)]
    return sum(math.prod(a.size or 1 for a in unit.loops if w.stride(a)) for w in weights)
