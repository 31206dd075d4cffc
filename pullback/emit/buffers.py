"""Which array holds which value: an array is reused once nobody reads its old content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

from pullback.emit.kernels import Convolved
from pullback.emit.values import (
    ElementwiseStep,
    Lowered,
    Padded,
    Product,
    ProgramStep,
    View,
)
from pullback.ir import Axes


@dataclass
class Buffers:
    """The axes of each array, and for each value's name the number of its array."""

    axes: list[Axes] = field(default_factory=list)
    of: dict[str, int] = field(default_factory=dict)
    first_write: dict[str, int] = field(default_factory=dict)
    last_use: dict[str, int] = field(default_factory=dict)

    def scratch(self, axes: Axes, at: int, taken: int) -> int:
        """A spare array of these axes for use within step ``at``; ``taken`` counts those in use."""
        held = {self.of[name] for name in self._live(at)}
        spare = [i for i, each in enumerate(self.axes) if each == axes and i not in held]
        while len(spare) <= taken:
            self.axes.append(axes)
            spare.append(len(self.axes) - 1)
        return spare[taken]

    def _live(self, at: int) -> set[str]:
        return {n for n in self.of if self.first_write[n] <= at <= self.last_use[n]}


def whole_of(program: Lowered) -> dict[str, str]:
    """The array that each view is a part of."""
    found: dict[str, str] = {}
    for step in program.steps:
        if isinstance(step, View):
            found[step.out.name] = found.get(step.arg.name, step.arg.name)
    return found


def assign(program: Lowered, given: Collection[str]) -> Buffers:
    """Arrays for every value that a step writes, but for scalars, views and those ``given``."""
    buffers, whole = Buffers(), whole_of(program)
    reads = [
        dict.fromkeys(whole.get(operand.name, operand.name) for operand in step.operands)
        for step in program.steps
    ]
    for at, step in enumerate(program.steps):
        for name in (*(out.name for out in step.outs), *reads[at]):
            buffers.last_use[name] = at
        for out in step.outs:
            buffers.first_write.setdefault(out.name, at)
    free: list[int] = []
    for at, step in enumerate(program.steps):
        made = [out.name for out in step.outs]
        for out in step.outs:
            held = out.name in given or out.name in buffers.of or out.source != "work"
            if out.is_array and not held:
                buffers.of[out.name] = _choose(buffers, free, step, out.axes, at)
        arrays = {buffers.of.get(name) for name in made}
        for name in dict.fromkeys([*reads[at], *made]):
            done = name in buffers.of and buffers.last_use[name] == at
            handed_on = name not in made and buffers.of.get(name) in arrays
            if done and not handed_on:
                free.append(buffers.of[name])
    return buffers


def with_inherited_names(program: Lowered) -> Lowered:
    """What one sum alone goes on with is written where that sum will stand.

    That is one product, or all that is put among zeros: each part is added to the parts before it.
    A convolution adds its bias itself.
    """
    steps: list[ProgramStep | None] = list(program.steps)
    readers = Counter(value.name for step in program.steps for value in step.operands)
    readers.update(value.name for value in program.results.values())
    writer = {step.out: at for at, step in enumerate(program.steps)}
    for at, step in enumerate(program.steps):
        if not isinstance(step, ElementwiseStep):
            continue
        alone = [
            (sym, writer[value])
            for sym, value in step.leaves
            if readers[value.name] == 1
            and value.axes == step.out.axes != ()
            and value in writer
            and value.name in program.temporaries
        ]
        padded = [(sym, w) for sym, w in alone if isinstance(steps[w], Padded)]
        padded = [pair for pair in padded if step.expr.is_Add and pair[0] in step.expr.args]
        biased = [(w, _biased(program.steps[w], step, sym)) for sym, w in alone]
        if len(biased) == 1 and (convolved := biased[0][1]) is not None:
            steps[biased[0][0]], steps[at] = None, convolved  # where the bias is known
            continue
        products = [(sym, w) for sym, w in alone if isinstance(steps[w], Product)]
        taken = sorted(padded, key=lambda pair: pair[1]) if len(padded) > 1 else products[:1]
        for place, (_, w) in enumerate(taken):
            made = program.steps[w]
            if isinstance(made, Padded):
                made = replace(made, adds=place > 0)
            steps[w] = replace(made, out=step.out)
        if taken:
            first, *others = (sym for sym, _ in taken)
            expr = step.expr - sum(others)
            kept = ((s, step.out if s == first else v) for s, v in step.leaves if s not in others)
            # a sum of nothing but parts is there already
            done = expr == first and len(padded) > 1
            steps[at] = None if done else replace(step, expr=expr, leaves=tuple(kept))
    return replace(program, steps=[step for step in steps if step is not None])


def _biased(made: ProgramStep, step: ElementwiseStep, result: Any) -> Convolved | None:
    """The convolution whose result and a bias are all that a step adds up, if it is one."""
    if not isinstance(made, Convolved) or made.form.to != "positions" or not step.expr.is_Add:
        return None
    others = [value for sym, value in step.leaves if sym != result]
    if {*step.expr.args} != {sym for sym, _ in step.leaves} or len(others) != 1:
        return None
    (bias,) = others
    if bias.axes != (made.form.y[1],) or made.form.y[0] is not None:
        return None
    return replace(made, out=step.out, bias=bias)


def _choose(buffers: Buffers, free: list[int], step: ProgramStep, axes: Axes, at: int) -> int:
    if isinstance(step, ElementwiseStep):
        for operand in step.operands:  # in place, where an operand is read for the last time
            if (
                buffers.last_use.get(operand.name) == at
                and operand.name in buffers.of
                and buffers.axes[buffers.of[operand.name]] == axes == operand.axes
            ):
                return buffers.of[operand.name]
    for index in free:
        if buffers.axes[index] == axes:
            free.remove(index)
            return index
    buffers.axes.append(axes)
    return len(buffers.axes) - 1
