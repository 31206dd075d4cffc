"""What steps cost and occupy for axes of known lengths: bytes, and seconds of a nominal core."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import singledispatchmethod
from math import prod

from pullback.emit.expression.ufuncs import Atom, Tape
from pullback.emit.kernels import Convolved, MaxPoolBackStep, MaxPoolStep, SumPoolStep
from pullback.emit.of_matrix import OfMatrixStep
from pullback.emit.recompute.arena import padded
from pullback.emit.values import (
    ElementwiseStep,
    Eye,
    Folded,
    Gather,
    Hits,
    LoopStep,
    Lowered,
    Mask,
    Places,
    Product,
    ProgramStep,
    Reduction,
    Scatter,
    Value,
    View,
)
from pullback.ir import Axes, Axis
from pullback.machine.window import weights as tap_weights

FMA = 3e10  # multiply-adds of a product in a second
ENTRIES = 6e8  # entries that are read, computed and written in a second
_WHOLE = 8  # bytes of a place
_MASKS = 32  # bytes for each entry of a pattern while it is made
_LANES = 64  # bytes of the widest vector
_TABLE = 2048
_WITH_KERNELS = (Convolved, MaxPoolStep, MaxPoolBackStep, SumPoolStep)
_SMALL = 256  # bytes of the record that NumPy keeps of an array
_BUFFER = 8192  # entries of each of three operands that NumPy may copy at a time


@dataclass(frozen=True)
class StepCosts:
    """Bytes and work, for a program's axes of these lengths and numbers of ``itemsize`` bytes."""

    program: Lowered
    sizes: Mapping[Axis, int]
    itemsize: int

    def count(self, axes: Iterable[Axis]) -> int:
        """How many entries some axes have together."""
        return prod(map(self.length, axes))

    def length(self, axis: Axis) -> int:
        """How long an axis is."""
        if axis.size is not None:
            return axis.size
        if axis in self.sizes:
            return self.sizes[axis]
        return self.length(self.program.as_long_as.get(axis, axis.unprimed))

    def bytes_of(self, axes: Axes) -> int:
        """How large an array of these axes is."""
        return self.itemsize * self.count(axes)

    def bytes(self, value: Value) -> int:
        """How large a value is."""
        if value.source == "size":
            return 0
        each = _WHOLE if value.source == "whole" else self.itemsize
        return each * self.count(value.axes)

    def work(self, step: ProgramStep) -> float:
        """The seconds that a step takes, nominally; what matters is how they compare."""
        if isinstance(step, View):
            return 0.0
        if isinstance(step, LoopStep):
            return self.length(step.over) * sum(map(self.work, step.turn.steps))
        moved = self.count(step.out.axes) + sum(self.count(v.axes) for v in step.operands)
        if isinstance(step, Product):
            return self.count({*step.left.axes, *step.right.axes}) / FMA + moved / ENTRIES / 4
        if isinstance(step, Convolved):
            form = (*step.form.weight, *step.form.y)
            axes = {axis for axis in form if axis is not None}
            return self.count(axes) / FMA + moved / ENTRIES / 4
        if isinstance(step, ElementwiseStep):
            passes = len(_tape(step).code) or 1
            return passes * self.count(step.out.axes) / ENTRIES
        return moved / ENTRIES

    def tables(self, step: ProgramStep) -> int:
        """The bytes that a kernel keeps of a step's windows."""
        return _TABLE if isinstance(step, _WITH_KERNELS) else 0

    @singledispatchmethod
    def unseen(self, step: ProgramStep) -> int:
        """The most bytes that NumPy, or a kernel, takes for itself within a step."""
        return self._besides(step)

    def _besides(self, step: ProgramStep) -> int:
        """What NumPy takes for each of its functions."""
        entries = max(self.count(value.axes) for value in (step.out, *step.operands))
        return _SMALL + 3 * self.itemsize * min(_BUFFER, entries)

    @unseen.register
    def _(self, step: LoopStep) -> int:
        inside = step.turn.steps
        kept = sum(map(self.unseen, inside))
        return (
            self._besides(step)
            + kept
            + sum(self.bytes(s.out) for s in inside if s.out.source == "whole")
        )

    @unseen.register
    def _(self, step: ElementwiseStep) -> int:
        """Registers that have not all axes, and what a choice between two makes."""
        tape = _tape(step)
        carried = {value.name: set(value.axes) for _, value in step.leaves}
        axes: list[set[Axis]] = []
        total = self._besides(step)
        for instruction in tape.code:
            mine = set[Axis]()
            for source in instruction.sources:
                known = carried.get(source.text, set())
                mine |= axes[source.register] if source.register is not None else known
            axes.append(mine)
            if instruction.full and "{out}" not in instruction.template:
                total += 2 * self.bytes_of(step.out.axes)
            elif not instruction.full and mine:
                total += 2 * padded(self.bytes_of(tuple(mine)))
        return total

    @unseen.register
    def _(self, step: Reduction) -> int:
        few = 4 * padded(self.bytes(step.out))
        return (
            self._besides(step) + few + (self.bytes(step.arg) if step.arg.source == "view" else 0)
        )

    @unseen.register
    def _(self, step: Product) -> int:
        """A view whose entries do not lie side by side is copied where it becomes a matrix."""
        sides = (step.left, step.right)
        copied = sum(self.bytes(each) for each in sides if each.source == "view")
        if not step.out.axes and step.left.axes != step.right.axes:
            copied += self.bytes(step.right)  # turned, as a vector
        return self._besides(step) + copied

    @unseen.register
    def _(self, step: Convolved) -> int:
        taps = [self.length(axis) for axis in step.form.weight[3:] if axis is not None]
        scratch = tap_weights.ROWS[0] * tap_weights.COLUMNS * _LANES * prod(taps)
        copied = [v for v in (step.left, step.right) if v.source == "view"]
        return self._besides(step) + scratch + sum(map(self.bytes, copied))

    @unseen.register
    def _(self, step: MaxPoolBackStep) -> int:
        alike = step.arg.axes == step.out.axes and step.arg.source == "work"
        return self._besides(step) + (0 if alike else self.bytes(step.out))

    @unseen.register
    def _(self, step: Mask) -> int:
        return self._besides(step) + _MASKS * self.count(step.out.axes)

    @unseen.register
    def _(self, step: Eye) -> int:
        return self._besides(step) + self.itemsize * self.length(step.out.axes[1]) ** 2

    @unseen.register
    def _(self, step: OfMatrixStep) -> int:
        return self._besides(step) + 5 * self.bytes(step.arg)

    @unseen.register(Gather)
    @unseen.register(Hits)
    def _(self, step: Gather | Hits) -> int:
        return self._besides(step) + self.bytes(step.out) + 2 * _WHOLE * self.count(step.index.axes)

    @unseen.register
    def _(self, step: Scatter) -> int:
        places = _WHOLE * (self.count(step.index.axes) + sum(map(self.length, step.index.axes)))
        return self._besides(step) + self.bytes(step.arg) + 2 * places

    @unseen.register
    def _(self, step: Folded) -> int:
        return self._besides(step) + self.bytes(step.arg)

    @unseen.register
    def _(self, step: Places) -> int:
        return self._besides(step) + self.bytes(step.arg) + 2 * _WHOLE * self.count(step.out.axes)


def _tape(step: ElementwiseStep) -> Tape:
    full = set(step.out.axes)
    tape = Tape({s: Atom(v.name, bool(full) and set(v.axes) == full) for s, v in step.leaves})
    tape.visit(step.expr)
    return tape
