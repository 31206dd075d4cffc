"""Repeated layers folded: lines that differ in the layer's number only are written once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import groupby
from typing import Any

from pullback.derive.formula.algebra import peel, scaled, total
from pullback.derive.formula.tree import Formula, IndexSum, Number, Quotient, Sum, Symbol, walk
from pullback.derive.steps.listing import Line

SHORTEST = 3  # layers in a row that are worth folding


@dataclass(frozen=True)
class Layered:
    """A line and the layer that it belongs to, if it is one's."""

    line: Line
    layer: int | None = None


def fold(lines: Sequence[Layered]) -> tuple[Line, ...]:
    """The lines with every run of layers that look alike as one layer l."""
    groups = [(layer, [each.line for each in g]) for layer, g in groupby(lines, lambda e: e.layer)]
    folded: list[Line] = []
    at = 0
    while at < len(groups):
        run = _run(groups[at:])
        if run < SHORTEST:
            folded += groups[at][1]
            at += 1
            continue
        members = groups[at : at + run]
        first, last = members[0][0], members[-1][0]
        for place, line in enumerate(members[0][1]):
            alike = [lines[place] for _, lines in members]
            notes = [each.note.split(", ") for each in alike]
            common = (part for part in notes[0] if all(part in each for each in notes))
            folded.append(
                replace(
                    _general(line, first),
                    where=f"l = {first}, …, {last}",
                    covers=tuple(name for each in alike for name in each.names),
                    note=", ".join(common),
                )
            )
        at += run
    return tuple(folded)


def _run(groups: Sequence[tuple[int | None, list[Line]]]) -> int:
    """How many groups from the first on are the same but for a layer's number that counts on."""
    first, lines = groups[0]
    if first is None:
        return 1
    pattern = _pattern(lines, first)
    length, step = 1, 0
    for layer, more in groups[1:]:
        if layer is None:
            break
        step = step or layer - first
        if abs(step) != 1 or layer != first + step * length:
            break
        if len(more) != len(lines) or _pattern(more, layer) != pattern:
            break
        length += 1
    return length


def fold_sum(formula: Formula) -> Formula:
    """A sum with one term for each layer from the first to the last as one Σ over l."""
    if not isinstance(formula, Sum):
        return formula
    alike: dict[Formula, list[int]] = {}
    for term in formula.terms:
        numbers = _layers(term)
        if len(numbers) == 1:
            (layer,) = numbers
            alike.setdefault(_relative(term, layer), []).append(layer)
    folded = {
        term: layers
        for term, layers in alike.items()
        if len(layers) >= SHORTEST and sorted(layers) == list(range(1, len(layers) + 1))
    }
    if not folded:
        return formula
    kept = []
    for term in formula.terms:
        numbers = _layers(term)
        if len(numbers) != 1 or _relative(term, *numbers) not in folded:
            kept.append(term)
    return total([*kept, *(_over_layers(term) for term in folded)])


def _over_layers(term: Formula) -> Formula:
    scalars, body = peel(term)
    parts = [*scalars, *([body] if body is not None else [])]
    front = [part for part in parts if isinstance(part, (Number, Quotient))]
    rest = [part for part in parts if part not in front]
    return scaled(front, IndexSum(("l",), scaled(rest, None)))


def _layers(formula: Formula) -> set[int]:
    """The layer numbers that a formula speaks of."""
    indices = [part.index for part in walk(formula) if isinstance(part, Symbol)]
    return {int(each) for each in indices if isinstance(each, str) and each.isdigit()}


def _pattern(lines: Sequence[Line], layer: int) -> list[tuple[Formula, Formula]]:
    general = [_general(line, layer) for line in lines]
    return [(line.left, line.right) for line in general]


def _general(line: Line, layer: int | None) -> Line:
    assert layer is not None
    return replace(line, left=_relative(line.left, layer), right=_relative(line.right, layer))


def _relative(formula: Formula, layer: int) -> Formula:
    """The formula with layer numbers counted from l; nothing of it points to one quantity."""
    if isinstance(formula, Symbol):
        index = formula.index
        if isinstance(index, Symbol):
            moved: str | Symbol = _relative(index, layer)  # type: ignore[assignment]
        else:
            moved = _name(int(index) - layer) if index.isdigit() else index
        return replace(formula, index=moved, key=f"{formula.letter}.l", place=0)
    changes: dict[str, Any] = {}
    for field in fields(formula):
        value = getattr(formula, field.name)
        if isinstance(value, Formula):
            changes[field.name] = _relative(value, layer)
        elif isinstance(value, tuple):
            changes[field.name] = tuple(_part(each, layer) for each in value)
    if "key" in {field.name for field in fields(formula)}:
        changes["key"] = ""
    return replace(formula, **changes)


def _part(value: Any, layer: int) -> Any:
    if isinstance(value, Formula):
        return _relative(value, layer)
    return tuple(_part(each, layer) for each in value) if isinstance(value, tuple) else value


def _name(distance: int) -> str:
    return "l" if distance == 0 else f"l{distance:+d}"
