"""The units of a training step, in order, with the arrays that they need."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from pullback.emit.early import slopes_early
from pullback.emit.epoch.sharing import shared_axis
from pullback.emit.epoch.update import Update
from pullback.emit.lower import lower
from pullback.emit.nest.language import Multiply, Nest, Statement, Unit
from pullback.emit.nest.layout import ArrayLayout
from pullback.emit.nest.memory import Memory, allocated, local
from pullback.emit.nest.order import Phases, finished, fused, in_order
from pullback.emit.nest.refusal import check_axes
from pullback.emit.nest.steps import in_blocks, units_of
from pullback.emit.nest.turns import in_turns
from pullback.emit.values import Lowered, Value
from pullback.ir import Axis, Input, Node, Parameter, symbol


@dataclass
class TrainingStep:
    """A network's training: the program of its forward and backward pass, and the update.

    ``offsets`` says where each parameter that is trained begins in the vector of all weights, and
    ``states`` what a program calls the next value of each state.
    """

    program: Lowered
    update: Update
    offsets: Mapping[str, int]
    weights: int
    states: Mapping[str, str]
    layout: ArrayLayout = field(default_factory=ArrayLayout)
    strips: bool = False

    @classmethod
    def of(
        cls,
        roots: Mapping[str, Node],
        update: Mapping[str, Node],
        leaves: Sequence[Input | Parameter],
        states: Mapping[str, str],
        lanes: int = 1,
        strips: bool = False,
    ) -> TrainingStep:
        """That of roots, which are the loss, the output, gradients and the next states.

        ``leaves`` has the inputs, and the parameters in the order in which those that have a
        gradient lie in the vector of all weights; a vector register has ``lanes`` numbers. Where it
        goes in ``strips``, all samples lie in blocks. Raises NotApplicableError for what cannot be
        compiled.
        """
        program = lower(roots, (), leaves, direct=True)
        check_axes(program)
        offsets, total = dict[str, int](), 0
        for leaf in leaves:
            if isinstance(leaf, Parameter) and leaf.name in program.results:
                offsets[leaf.name] = total
                total += math.prod(axis.size or 0 for axis in leaf.axes)
        layout = ArrayLayout(lanes)
        return cls(program, Update(lower(update)), offsets, total, states, layout, strips)

    @property
    def batch(self) -> Axis:
        """The axis of the samples."""
        (axis,) = self.program.sizes
        return axis

    @property
    def loss(self) -> str:
        """What the loss is called."""
        return self.program.results["loss"].name

    @cached_property
    def units(self) -> list[Unit]:
        """What is done in a step, in order, until every gradient is there."""
        program, layout = self.program, self.layout
        values = [*program.parameters.values(), *program.inputs.values()]
        layout.declare([*values, *program.sizes.values()])
        steps = slopes_early(program.steps, [value.name for value in values])
        turned = [v for v in program.inputs.values() if self.strips and v.name not in layout.whole]
        made: list[Unit] = [in_blocks(value, layout) for value in turned]
        made += units_of(steps, layout, self.strips)
        ordered = in_turns(in_order(made, self.loss), layout, self._results)
        units = [*fused(ordered), *(self._next(key) for key in self.states)]
        return finished(Phases.of(units).units) if self.strips else units

    @property
    def phases(self) -> Phases:
        """The units by what they do with samples, where it goes in strips."""
        return Phases.of(self.units)

    def _next(self, key: str) -> Nest:
        """A state takes its next value."""
        state, value = self.program.parameters[key], self.program.results[self.states[key]]
        read = ((symbol(0), self.layout.of(value)),)
        made = Statement(f"{state.name} next", self.layout.of(state), symbol(0), read)
        return Nest(state.axes, (), [made])

    @property
    def held(self) -> tuple[str, ...]:
        """The parameters that are no weights: frozen ones and states."""
        return tuple(key for key in self.program.parameters if key not in self.offsets)

    @property
    def indices(self) -> dict[str, int]:
        """How many places there are for each input of whole numbers that is looked up."""
        found = self.program.indices
        inputs = self.program.inputs.items()
        return {key: found[v.name].size or 0 for key, v in inputs if v.name in found}

    @cached_property
    def gradients(self) -> dict[str, str]:
        """The parameter of each gradient, by the gradient's name in the program."""
        return {self.program.results[key].name: key for key in self.offsets}

    @cached_property
    def local(self) -> set[str]:
        """The values that never go to memory."""
        return local(self.units, self._results)

    @property
    def _results(self) -> set[str]:
        return {value.name for value in self.program.results.values()}

    @cached_property
    def numbers(self) -> list[str]:
        """The values that are one number."""
        given = {value.name for value in self.program.parameters.values()} | {*self.gradients}
        arrays = self.layout.arrays
        return [name for name, axes in arrays.items() if not axes and name not in given]

    @cached_property
    def memory(self) -> Memory:
        """Where arrays lie that are neither weights nor gradients."""
        inputs = [value.name for value in self.program.inputs.values()]
        elsewhere = {*self.local, *self.numbers, *self.gradients}
        elsewhere |= {value.name for value in self.program.parameters.values()}
        arrays = {n: axes for n, axes in self.layout.arrays.items() if n not in elsewhere}
        kept = [self.program.results["output"].name]
        return allocated(self.units, arrays, inputs, kept, self.layout.whole)

    @cached_property
    def read_later(self) -> list[frozenset[str]]:
        """The arrays that units after each one read."""
        found = [frozenset[str]()]
        for unit in reversed(self.units[1:]):
            found.append(found[-1] | {place.array for place in unit.reads})
        return found[::-1]

    def straight(self, unit: Unit, at: int) -> str | None:
        """The parameter that a product may go to at once: nobody else wants its gradient."""
        if not isinstance(unit, Multiply) or self.update.linear is None:
            return None
        key = self.gradients.get(unit.name)
        if key is None or shared_axis(unit) != unit.axes[0]:
            return None
        parameter = self.program.parameters[key]
        return None if {unit.name, parameter.name} & self.read_later[at] else key

    def parameter(self, key: str) -> Value:
        """A parameter as a value."""
        return self.program.parameters[key]
