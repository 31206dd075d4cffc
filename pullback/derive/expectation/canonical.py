"""A key of a product of entries that does not depend on the names of its bound indices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pullback.ir import Axes, Axis

Part = tuple[str, Axes]  # what a factor is, and the indices at its places
Key = tuple[Any, ...]


def canonical_key(parts: Sequence[Part], bound: Axes) -> tuple[Key, Axes]:
    """The key, and the bound indices in its order.

    What shares no bound index is brought into order by itself, as each of several traces.
    """
    found = []
    for members, inside in _apart(parts, bound):
        axes = {axis for _, at in members for axis in at} | set(inside)
        start = {
            axis: ("", axis.unprimed.name) if axis in inside else (axis.name, "") for axis in axes
        }
        found.append(_least(_ranked(start), start, members, inside))
    found.sort(key=_key)
    return tuple(key for key, _ in found), tuple(a for _, order in found for a in order)


def _ranked(signatures: Mapping[Axis, Any]) -> dict[Axis, int]:
    places = {each: at for at, each in enumerate(sorted(set(signatures.values())))}
    return {axis: places[each] for axis, each in signatures.items()}


def _apart(parts: Sequence[Part], bound: Axes) -> list[tuple[list[Part], Axes]]:
    """The factors in groups that share no bound index, and the bound indices of each."""
    held: list[tuple[list[Part], set[Axis]]] = []
    for part in parts:
        members, inside, rest = [part], set(part[1]) & set(bound), []
        for group in held:
            if group[1] & inside:
                members, inside = group[0] + members, inside | group[1]
            else:
                rest.append(group)
        held = [*rest, (members, inside)]
    have = set().union(*(inside for _, inside in held))
    held += [([], {axis}) for axis in bound if axis not in have]
    return [(members, tuple(a for a in bound if a in inside)) for members, inside in held]


def _least(
    colours: dict[Axis, int],
    start: Mapping[Axis, Any],
    parts: Sequence[Part],
    bound: Axes,
) -> tuple[Key, Axes]:
    """The least key over all orders of indices that nothing tells apart."""
    colours = _refined(colours, parts)
    classes: dict[int, list[Axis]] = {}
    for axis in bound:
        classes.setdefault(colours[axis], []).append(axis)
    tied = next((c for _, c in sorted(classes.items()) if len(c) > 1), None)
    if tied is None:
        order = tuple(sorted(bound, key=lambda axis: colours[axis]))
        key = sorted((kind, tuple(colours[axis] for axis in at)) for kind, at in parts)
        names = sorted((colours[axis], start[axis]) for axis in colours)
        return (tuple(key), tuple(names)), order
    tries = []
    for axis in tied:
        apart = {a: (colour, a != axis) for a, colour in colours.items()}
        tries.append(_least(_ranked(apart), start, parts, bound))
    return min(tries, key=_key)


def _refined(colours: dict[Axis, int], parts: Sequence[Part]) -> dict[Axis, int]:
    """Indices told apart by where they stand, until that tells no more apart."""
    while True:
        stands: dict[Axis, list[Any]] = {axis: [] for axis in colours}
        for kind, at in parts:
            around = tuple(colours[axis] for axis in at)
            for place, axis in enumerate(at):
                stands[axis].append((kind, place, around))
        finer = _ranked({a: (colours[a], tuple(sorted(s))) for a, s in stands.items()})
        if len(set(finer.values())) == len(set(colours.values())):
            return finer
        colours = finer


def _key(found: tuple[Key, Axes]) -> Key:
    return found[0]
