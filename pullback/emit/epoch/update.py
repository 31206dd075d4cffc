"""An optimiser's update: functions over a part of the weights, and the numbers between them.

A worker calls them for its part of each parameter as soon as the gradient is there: what the
gradient's matrix product has written is then still near the processor. Where the update needs a sum
over all gradients, that is taken in parts of one size, whoever takes which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy as sp
from llvmlite import ir

from pullback.emit.nest.access import Entries
from pullback.emit.nest.code import NestCode
from pullback.emit.nest.expression import Expressions
from pullback.emit.nest.language import Nest
from pullback.emit.nest.layout import ArrayLayout
from pullback.emit.nest.memory import local
from pullback.emit.nest.order import fused, in_order
from pullback.emit.nest.steps import units_of
from pullback.emit.values import ElementwiseStep, Lowered
from pullback.machine.blas.writer import WHOLE, Value, Writer
from pullback.vmath.real import Real

PER_STEP = ("rate", "step")


@dataclass
class Update:
    """The update of an optimiser, as units over all weights and over numbers."""

    program: Lowered

    def __post_init__(self) -> None:
        layout = ArrayLayout()
        layout.declare(self.program.inputs.values())
        (self.axis,) = self.program.sizes
        weight = self.program.results["weight"].name
        units = in_order(units_of(self.program.steps, layout), weight)
        self.units = [unit for unit in fused(units) if isinstance(unit, Nest)]
        results = {value.name for value in self.program.results.values()}
        self.local = local(self.units, results)
        self.numbers = [name for name, axes in layout.arrays.items() if not axes]
        # each result overwrites the input of its name
        self.arrays = {
            value.name: key
            for values in (self.program.inputs, self.program.results)
            for key, value in values.items()
            if value.axes
        }

    @property
    def slots(self) -> tuple[str, ...]:
        """What the optimiser remembers, by name."""
        known = ("weight", "gradient", *PER_STEP)
        return tuple(name for name in self.program.inputs if name not in known)

    @cached_property
    def at_once(self) -> bool:
        """Can a parameter change before the gradients of all others are known?"""
        return not any(self.axis in unit.summed for unit in self.units)

    @cached_property
    def leading(self) -> list[Nest]:
        """The numbers that are known before any gradient."""
        found = []
        for unit in self.units:
            if unit.loops:
                break
            found.append(unit)
        return found

    @cached_property
    def linear(self) -> tuple[Any, Any] | None:
        """The numbers (amount, keep) of an update keep · weight + amount · gradient.

        They are expressions over symbols called as the numbers are. A gradient that is a matrix
        product then goes into the weight without an array of its own.
        """
        steps = [step for step in self.program.steps if step.out.axes]
        if self.slots or not self.at_once:
            return None
        known: dict[str, Any] = {}
        for step in steps:
            if not isinstance(step, ElementwiseStep):
                return None
            names = {sym: known.get(v.name, sp.Symbol(v.name)) for sym, v in step.leaves}
            known[step.out.name] = step.expr.subs(names, simultaneous=True)
        inputs = self.program.inputs
        weight, gradient = (sp.Symbol(inputs[name].name) for name in ("weight", "gradient"))
        new = sp.expand(known[self.program.results["weight"].name])
        amount, keep = new.coeff(gradient), new.coeff(weight)
        rest = sp.expand(new - amount * gradient - keep * weight)
        if rest != 0 or (amount.free_symbols | keep.free_symbols) & {weight, gradient}:
            return None
        return amount, keep


@dataclass(frozen=True)
class Sweep:
    """A function over a part of the weights, and the names of what it takes and gives back."""

    function: Value
    arrays: tuple[str, ...]
    numbers: tuple[str, ...]
    sums: tuple[str, ...]

    @classmethod
    def of(
        cls, module: ir.Module, number: int, unit: Nest, update: Update, like: NestCode
    ) -> Sweep:
        """Add the function of a unit to a module: (begin, stop, arrays, numbers)."""
        w, over = like.w, update.axis
        touched = [place.array for place in (*unit.reads, *unit.writes)]
        arrays = tuple(dict.fromkeys(n for n in touched if n in update.arrays))
        made = unit.makes
        numbers = tuple(dict.fromkeys(n for n in touched if n in update.numbers and n not in made))
        sums = tuple(each.name for each in unit.statements if each.kind == "sum")
        place = w.real.as_pointer()
        kinds = [WHOLE, WHOLE, *[place] * len(arrays), *[w.real] * len(numbers)]
        result = w.real if sums else ir.VoidType()
        made_here = ir.Function(module, ir.FunctionType(result, kinds), f"sweep_{number}")
        made_here.linkage = "internal"
        made_here.attributes.add("noinline")
        begin, stop, *given = made_here.args
        inside = Writer(made_here, w.real, w.lanes)
        where = dict(zip(arrays, given, strict=False))
        entries = Entries(inside, where.__getitem__, {})
        for name, value in zip(numbers, given[len(arrays) :], strict=True):
            inside.store(value, entries.variable(name))
        for name in sums:
            entries.variable(name)
        code = NestCode(inside, entries, like.expressions, update.local)
        code.write(unit, {over: (begin, stop)})
        if sums:
            inside.ret(entries.number(sums[0]))
        else:
            inside.ret_void()
        return cls(made_here, arrays, numbers, sums)

    def call(
        self, code: NestCode, ends: tuple[Value, Value], places: Mapping[str, Value], update: Update
    ) -> Value:
        """Its call for the weights from here to there, with the arrays by their keys."""
        arrays = [places[update.arrays[name]] for name in self.arrays]
        numbers = [code.entries.number(name) for name in self.numbers]
        return code.w.call(self.function, [*ends, *arrays, *numbers])


def number(code: NestCode, expressions: Expressions, expr: Any) -> Value:
    """Code for an expression over numbers, whose symbols are called as they are."""
    w = code.w
    leaves = {sym: Real(w, code.entries.number(sym.name)) for sym in expr.free_symbols}
    like = Real(w, ir.Constant(w.real, ir.Undefined))
    return expressions.written(expr, leaves, like).value
