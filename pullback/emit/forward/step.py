"""The units of a forward pass, in order, with the arrays that they need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from pullback.emit.lower import lower
from pullback.emit.nest.language import Unit, batch_of, sums_samples
from pullback.emit.nest.layout import ArrayLayout, row_size
from pullback.emit.nest.memory import Memory, allocated, local
from pullback.emit.nest.order import fused, in_order
from pullback.emit.nest.refusal import check_axes, refusal
from pullback.emit.nest.steps import units_of
from pullback.emit.values import Lowered, Value
from pullback.ir import Axis, Input, Node, Parameter

# numbers that a block of samples works on, which should stay in the second cache, and how many
# samples it may have: each block brings the weights anew into the order in which they are read
_ROOM = 2**18
_LEAST, _MOST = 16, 512
_LARGEST = 2**28  # numbers in all, some GiB


@dataclass
class ForwardStep:
    """A network's forward pass: what is done once a call, and what for each block of samples."""

    program: Lowered
    layout: ArrayLayout = field(default_factory=ArrayLayout)

    @classmethod
    def of(cls, output: Node, leaves: Sequence[Input | Parameter], lanes: int = 1) -> ForwardStep:
        """That of an output, of which a vector register has ``lanes`` numbers.

        Raises NotApplicableError for what cannot be compiled.
        """
        program = lower({"output": output}, (), leaves, direct=True)
        check_axes(program)
        found = cls(program, ArrayLayout(lanes))
        out = found.output
        if not out.axes or out.axes[0].size is not None or batch_of(out.axes[1:]):
            raise refusal("its output is not one of each sample")
        if any(sums_samples(unit) for unit in found.units):
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
        """What comes of it."""
        return self.program.results["output"]

    @cached_property
    def units(self) -> list[Unit]:
        """All that is done, in order."""
        program, layout = self.program, self.layout
        values = [*program.parameters.values(), *program.inputs.values()]
        layout.declare([*values, *program.sizes.values()])
        return fused(in_order(units_of(program.steps, layout), self.output.name))

    @property
    def once(self) -> list[Unit]:
        """What is the same for all samples, as weights in another order."""
        return [unit for unit in self.units if batch_of(unit.loops) is None]

    @property
    def repeated(self) -> list[Unit]:
        """What is done for each block of samples."""
        return [unit for unit in self.units if batch_of(unit.loops) is not None]

    @cached_property
    def local(self) -> set[str]:
        """The values that never go to memory."""
        return local(self.units, {self.output.name})

    @cached_property
    def numbers(self) -> list[str]:
        """The values that are one number."""
        given = {value.name for value in self.program.parameters.values()}
        arrays = self.layout.arrays
        return [name for name, axes in arrays.items() if not axes and name not in given]

    @cached_property
    def memory(self) -> Memory:
        """Where arrays lie that nobody gives."""
        program = self.program
        given = (*program.parameters.values(), *program.inputs.values(), self.output)
        elsewhere = {*self.local, *self.numbers, *(value.name for value in given)}
        arrays = {n: axes for n, axes in self.layout.arrays.items() if n not in elsewhere}
        kept = {place.array for unit in self.once for place in unit.writes}
        ordered = [*self.once, *self.repeated]
        return allocated(ordered, arrays, (), kept, self.layout.whole)

    @property
    def block(self) -> int:
        """How many samples go through the whole network at once."""
        each, _ = self.memory.totals
        each += sum(row_size(v.axes) for v in (*self.program.inputs.values(), self.output))
        return min(max(_ROOM // max(each, 1) // 16 * 16, _LEAST), _MOST)

    @property
    def room(self) -> int:
        """How many numbers a worker works in."""
        each, besides = self.memory.totals
        return each * self.block + besides
