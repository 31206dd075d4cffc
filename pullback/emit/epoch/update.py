"""An optimiser's update as functions over a part of the weights, and the lines that call them.

A worker calls them for its part of each parameter as soon as the gradient is there: what the
gradient's matrix product has written is then still near the processor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import sympy as sp

from pullback.emit.epoch.loops import LOOP, Loops
from pullback.emit.epoch.schedule import Block, RowLoop, Whole, schedule
from pullback.emit.epoch.shares import MEET
from pullback.emit.expression.printer import printed
from pullback.emit.expression.quote import variable
from pullback.emit.expression.scalar import scalar
from pullback.emit.values import ElementwiseStep, Lowered, Value

_FUNCTION = '''

@njit
def {name}({arguments}):
    """{doc}"""
    {lines}
'''


@dataclass
class Sweep:
    """One function over a part of the weights: what it takes, and the sums that it gives back."""

    name: str
    arrays: list[str]
    numbers: list[str]
    sums: list[str]

    def call(self, part: str) -> str:
        """Its call for a part of all weights, from here to there."""
        result = "".join(f"{name} += " for name in self.sums)
        return f"{result}{self.name}({', '.join([part, *self.arrays, *self.numbers])})"


@dataclass
class Update:
    """The update of an optimiser, shared out among the workers."""

    program: Lowered
    slots: tuple[str, ...]
    sweeps: list[Sweep] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        blocks = schedule(self.program.steps)
        given = _places(self.program.inputs) | _places(self.program.results)
        (size,) = self.program.sizes.values()
        self.loops = Loops(self.program, blocks, given, lambda axis: size.name, prefix="B")
        self._blocks = blocks
        rows = [block for block in blocks if isinstance(block, RowLoop)]
        for at, block in enumerate(rows):
            name = "update" if len(rows) == 1 else f"update_{at}"
            self._function(name, block, size.name)

    def _function(self, name: str, block: RowLoop, size: str) -> None:
        steps = list(block.steps())
        made = {step.out.name for step in steps}
        values = [value for step in steps for value in (*step.operands, step.out)]
        arrays = dict.fromkeys(
            self.loops.array_of[value.name]
            for value in values
            if value.name in self.loops.array_of and value.axes
        )
        numbers = dict.fromkeys(v.name for v in values if not v.axes and v.name not in made)
        sums = [step.out.name for step in block.totals()]
        sweep = Sweep(name, list(arrays), list(numbers), sums)
        lines = [f"{array} = {array}[begin:stop]" for array in arrays]
        lines += [f"{size} = stop - begin", *self.loops.rows(block)]
        lines += [f"return {', '.join(sums)}"] if sums else []
        words = {
            "name": name,
            "arguments": ", ".join(["begin", "stop", *arrays, *numbers]),
            "doc": "Sum over a part of the weights." if sums else "Change a part of the weights.",
            "lines": "\n    ".join(lines),
        }
        self.sweeps.append(sweep)
        self.functions.append(_FUNCTION.format(**words))

    @cached_property
    def linear(self) -> tuple[str, str] | None:
        """The numbers (amount, keep) of an update keep · weight + amount · gradient, as source.

        A gradient that is a matrix product then goes into the weight without an array of its own.
        """
        steps = [step for block in self._blocks for step in block.steps()]
        arrays = [step for step in steps if step.out.axes]
        if self.slots or not all(isinstance(step, ElementwiseStep) for step in steps):
            return None
        known: dict[str, Any] = {}
        for step in arrays:
            assert isinstance(step, ElementwiseStep)
            names = {sym: known.get(v.name, sp.Symbol(v.name)) for sym, v in step.leaves}
            known[step.out.name] = step.expr.subs(names, simultaneous=True)
        inputs = self.program.inputs
        weight, gradient = (sp.Symbol(inputs[name].name) for name in ("weight", "gradient"))
        new = sp.expand(known[self.program.results["weight"].name])
        amount, keep = new.coeff(gradient), new.coeff(weight)
        rest = sp.expand(new - amount * gradient - keep * weight)
        if rest != 0 or (amount.free_symbols | keep.free_symbols) & {weight, gradient}:
            return None
        names = {
            symbol: variable(symbol.name) for symbol in amount.free_symbols | keep.free_symbols
        }
        return printed(scalar(amount, names, LOOP)), printed(scalar(keep, names, LOOP))

    @property
    def at_once(self) -> bool:
        """Can a parameter change before the gradients of all others are known?"""
        return len(self.sweeps) == 1

    def numbers(self) -> list[str]:
        """The lines of the numbers that are known before the first sweep."""
        return self._scalars(self._leading())

    def after_all(self, parts: list[str], sums: list[str]) -> list[str]:
        """The sweeps one after the other over all parts of a worker, and the numbers between."""
        lines, sweeps = list[str](), iter(self.sweeps)
        for block in self._blocks[len(self._leading()) :]:
            if isinstance(block, Whole):
                lines += self._scalars([block])
                continue
            sweep = next(sweeps)
            lines += [f"{name} = real(0.0)" for name in sweep.sums]
            lines += [sweep.call(part) for part in parts]
            for name in sweep.sums:
                lines += [f"sums[worker, {len(sums)}] = {name}", MEET]
                lines.append(f"{name} = sum_up(sums, {len(sums)})")
                sums.append(name)
        return lines

    def _leading(self) -> list[Block]:
        rows = next(at for at, block in enumerate(self._blocks) if isinstance(block, RowLoop))
        return self._blocks[:rows]

    def _scalars(self, blocks: list[Block]) -> list[str]:
        steps = [step for block in blocks for step in block.steps()]
        return [self.loops.scalar(step) for step in steps if isinstance(step, ElementwiseStep)]


def _places(values: Mapping[str, Value]) -> dict[str, str]:
    """Each result overwrites the input of its name; the weights are the vector of all weights."""
    return {v.name: "vector" if key == "weight" else key for key, v in values.items() if v.axes}
