"""Slopes that are taken early: beside the function that they share an exponential with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import sympy as sp

from pullback.emit.values import ElementwiseStep, ProgramStep, Value
from pullback.ir import symbol
from pullback.ir.scalar.primitives import fn

# a slope, and the function beside which it costs next to nothing
_BESIDE = {fn("sech2"): sp.tanh, fn("sigmoid_slope"): fn("sigmoid")}


def slopes_early(steps: Iterable[ProgramStep], taken: Iterable[str]) -> list[ProgramStep]:
    """The steps with each such slope as a step of its own, right behind its function.

    tanh'(z) is needed when the error comes back; by then exp(2z) would have to be taken again.
    ``taken`` are the names that no new value may have.
    """
    done = list(steps)
    names = {*taken, *(step.out.name for step in done)}
    for step in list(done):
        for slope, value in _slopes(step):
            place = _taken_at(done, _BESIDE[slope], value)
            if place is None or place >= _first_read(done, slope, value):
                continue
            out = Value(_fresh(f"slope_{value.name}", names), value.axes)
            early = ElementwiseStep(out, slope(symbol(0)), ((symbol(0), value),))
            done = [_reading(each, slope, value, out) for each in done]
            done.insert(place + 1, early)
    return done


def _slopes(step: ProgramStep) -> list[tuple[Any, Value]]:
    """The slopes of plain values in a step."""
    if not isinstance(step, ElementwiseStep):
        return []
    values = dict(step.leaves)
    return [
        (kind, values[call.args[0]])
        for kind in _BESIDE
        for call in sorted(step.expr.atoms(kind), key=str)
        if call.args[0] in values
    ]


def _taken_at(steps: list[ProgramStep], function: Any, value: Value) -> int | None:
    """Which step takes the function of a value."""
    for at, step in enumerate(steps):
        if isinstance(step, ElementwiseStep):
            of = [sym for sym, each in step.leaves if each == value]
            if any(step.expr.has(function(sym)) for sym in of):
                return at
    return None


def _first_read(steps: list[ProgramStep], slope: Any, value: Value) -> int:
    """The first step with a slope of a value."""
    return next(at for at, step in enumerate(steps) if (slope, value) in _slopes(step))


def _reading(step: ProgramStep, slope: Any, value: Value, out: Value) -> ProgramStep:
    """A step that reads the slope and does not take it."""
    if not isinstance(step, ElementwiseStep):
        return step
    of = [sym for sym, each in step.leaves if each == value and step.expr.has(slope(sym))]
    if not of:
        return step
    new = symbol(1 + max(int(sym.name[1:]) for sym, _ in step.leaves))
    expr = step.expr.xreplace({slope(sym): new for sym in of})
    leaves = [*step.leaves, (new, out)]
    used = tuple((sym, each) for sym, each in leaves if sym in expr.free_symbols)
    return replace(step, expr=expr, leaves=used)


def _fresh(stem: str, names: set[str]) -> str:
    name = stem
    while name in names:
        name += "_more"
    names.add(name)
    return name
