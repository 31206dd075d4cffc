"""Loops of a program: Python's, which list what each turn makes, or a function that is repeated."""

from __future__ import annotations

from collections.abc import Iterable

from pullback.emit.expression.quote import indented
from pullback.emit.values import LoopStep


def looped(step: LoopStep, module: str, length: str, inside: Iterable[str]) -> list[str]:
    """A loop around the lines of one turn; what it lists is stacked at the end."""
    turns = f"range({length})"
    made = list(zip(step.outs, step.made, strict=True))
    back = "[::-1]" if step.backward else ""
    return [
        *[f"{out.name} = []" for out, _ in made],
        *[f"{before.name} = {start.name}" for before, start, _ in step.states],
        f"for {step.index} in {f'reversed({turns})' if step.backward else turns}:",
        *indented(f"{now.name} = {entry}" for now, entry in step.entries()),
        *indented(inside),
        *indented(f"{out.name}.append({each.name})" for out, each in made),
        *indented(f"{before.name} = {after.name}" for before, _, after in step.states),
        *[f"{out.name} = {module}.stack({out.name}{back})" for out, _ in made],
    ]


def scanned(
    step: LoopStep, function: str, wholes: Iterable[str], inside: Iterable[str]
) -> list[str]:
    """A function of one turn, and the call that repeats it along the first axis of ``wholes``."""
    before, start, after = (
        _listed(value.name for value in column) for column in zip(*step.states, strict=True)
    )
    now = _listed(now.name for now, _ in step.reads)
    backward = ", reverse=True" if step.backward else ""
    return [
        f"def {step.index}(states, reads):",
        *indented([f"{before} = states", f"{now} = reads", *inside]),
        f"    return {after}, {_listed(value.name for value in step.made)}",
        f"_, {_listed(value.name for value in step.outs)} = {function}("
        f"{step.index}, {start}, {_listed(wholes)}{backward})",
    ]


def _listed(texts: Iterable[str]) -> str:
    """A tuple, which may have one entry."""
    names = list(texts)
    return f"({', '.join(names)}{',' if len(names) == 1 else ''})"
