"""Arrays at places that other arrays hold, in the languages of arrays."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from pullback.emit.expression.printer import Tree, printed
from pullback.emit.expression.quote import indexed, quote, tuple_of, variable, whole
from pullback.emit.target.arrays import Arrays
from pullback.emit.values import AtPlaces, Detached, Gather, Hits, Places, Scatter
from pullback.ir import Axes, Axis


def at_places(step: AtPlaces | Places | Detached, inside: Arrays) -> Tree:
    """What a step computes; a sum over places begins with zeros."""
    if isinstance(step, Detached):
        return quote(inside.language.held, a=variable(step.arg.name))
    if isinstance(step, Places):
        return _places(step, inside)
    if isinstance(step, Gather):
        return _gathered(step, inside)
    if isinstance(step, Hits):
        return _hits(step, inside)
    return inside.of_module("zeros", inside.shape(step.out.axes), dtype=inside.dtype)


def added(step: Scatter, inside: Arrays) -> str:
    """The line that adds each entry at its place to the zeros."""
    name, index, language = step.out.name, step.index.axes, inside.language
    kept = tuple(axis for axis in index if axis in step.out.axes)
    rest = tuple(axis for axis in step.out.axes if axis not in (*kept, step.axis))
    at = _beside(step, kept, inside)
    holes = {
        "z": variable(name),
        "i": at[0] if len(at) == 1 else tuple_of(at),
        "q": tuple_of(at),
        "a": inside.turned(variable(step.arg.name), step.arg.axes, (*index, *rest)),
    }
    line = printed(quote(language.put_at or language.add_at, **holes))
    return line if language.adds_in_place else f"{name} = {line}"


def outside(name: str, axis: Axis, inside: Arrays) -> tuple[str, str]:
    """When an input holds a number that is no place on an axis, and what is then said."""
    a, n = variable(name), inside.length(axis)
    low, high = quote("a.min() < 0", a=a), quote("a.max() >= n", a=a, n=n)
    wrong = f"{printed(low)} or {printed(high)}"
    if inside.language.traced:
        wrong = f"not {printed(quote(inside.language.traced, a=a))} and ({wrong})"
    last = f"the length of {axis.name}" if axis.size is None else str(axis.size - 1)
    return wrong, f"{name} holds a number that is not from 0 to {last}"


def _places(step: Places, inside: Arrays) -> Tree:
    axes = step.arg.axes
    kept = tuple(axis for axis in axes if axis != step.axis)
    arg, over = variable(step.arg.name), whole(axes.index(step.axis))
    return inside.turned(quote(inside.language.argmax, a=arg, o=over), kept, step.out.axes)


def _gathered(step: Gather, inside: Arrays) -> Tree:
    index, axes, arg = step.index.axes, step.arg.axes, variable(step.arg.name)
    shared = tuple(axis for axis in index if axis in axes)
    if not shared:
        at = axes.index(step.axis)
        return _entries(arg, [*[None] * at, _index(step, 0, inside)], inside)
    front = (*shared, step.axis)
    arg = inside.turned(arg, axes, (*front, *(axis for axis in axes if axis not in front)))
    return _entries(arg, _beside(step, shared, inside), inside)


def _hits(step: Hits, inside: Arrays) -> Tree:
    every = inside.of_module("arange", inside.length(step.axis))
    hits = quote("a == b", a=_index(step, 1, inside), b=every)
    turned = inside.turned(hits, (*step.index.axes, step.axis), step.out.axes)
    return quote(inside.language.cast, a=turned, d=inside.dtype)


def _beside(step: AtPlaces, shared: Axes, inside: Arrays) -> list[Tree]:
    """Where to index: each shared axis at its own place, then the axis of the places."""
    axes = step.index.axes
    own = [
        _column(inside.of_module("arange", inside.length(axis)), len(axes) - 1 - axes.index(axis))
        for axis in shared
    ]
    return [*own, _index(step, 0, inside)]


def _index(step: AtPlaces, after: int, inside: Arrays) -> Tree:
    """The places with some axes of length 1 behind; whole numbers again if calculated with."""
    tree: Tree = variable(step.index.name)
    if step.index.name in inside.program.numbers:
        tree = quote(inside.language.cast, a=tree, d=quote(inside.language.whole))
    return _column(tree, after)


def _column(tree: Tree, after: int) -> Tree:
    return indexed(tree, [quote("..."), *[quote("None")] * after]) if after else tree


def _entries(arg: Tree, places: Sequence[Tree | None], inside: Arrays) -> Tree:
    index = indexed(arg, places)
    assert isinstance(index, ast.Subscript)
    return quote(inside.language.at, a=arg, p=index.slice)
