"""How the units of a product meet those that it reads: which places feed which, and how many.

Written from the axes of its factors alone, so a convolution with any stride, groups and padding, a
pool, a slice, a concatenation and a reshaped head are all the same thing.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from pullback.calculus.quadrature import Array
from pullback.errors import NotApplicableError
from pullback.ir import Axes, Axis, Constant, Index, Node, Pattern
from pullback.ir.linear import LinearTerm
from pullback.moments.law.digits import Digits
from pullback.net.program import compile_program


@dataclass(frozen=True)
class Wiring:
    """The places of a term: ``into`` are the kept digits that it reads, ``out`` its result's.

    ``given`` are 0/1 patterns and other numbers along ``into``, ``out`` and ``taps``; each tap has
    a weight of its own. ``fan_in`` wide units go into each of the result, each goes into
    ``fan_out``. ``mixes``: are they summed with weights of their own? ``together``: is a place made
    of several with one weight or none, forward and backward? Along ``copied`` all is the same.
    """

    split: tuple[Axes, ...]  # of each kept digit that is read, those of ``into``
    out: Axes
    parts: Mapping[Axis, Axes]
    taps: frozenset[Axis]
    copied: frozenset[Axis]
    given: tuple[tuple[Array, Axes], ...]
    scale: float
    fan_in: float
    fan_out: float
    mixes: bool
    together: tuple[bool, bool]

    @property
    def into(self) -> Axes:
        """The kept digits that are read."""
        return tuple(atom for atoms in self.split for atom in atoms)

    def forward(self, values: Array, power: int) -> Array:
        """Σ over what feeds each place of the result, of values (cases, *into)."""
        return self._sum(values, self.into, self.out, power)

    def backward(self, values: Array, power: int) -> Array:
        """Σ over what each place feeds, of values (cases, *out)."""
        return self._sum(values, self.out, self.into, power)

    def forward_pairs(self, values: Array) -> Array:
        """The same of values at pairs of places (relations, cases, *into, *into)."""
        return self._pairs(values, self.into, self.out)

    def backward_pairs(self, values: Array) -> Array:
        """The same of values at pairs of places (relations, cases, *out, *out)."""
        return self._pairs(values, self.out, self.into)

    def across(self, values: Array, other: Wiring) -> Array:
        """Of pairs (relations, cases, *into, *into) those of this result with that of another."""
        names = {axis: ("′", axis) for axis in (*other.into, *other.out)}

        def there(axes: Iterable[Axis]) -> list[Any]:
            return [names.get(axis, axis) for axis in axes]

        operands: list[Any] = [values, ["relation", "case", *self.into, *there(other.into)]]
        for array, axes in self.given:
            operands += [array, axes]
        for array, axes in other.given:
            operands += [array, there(axes)]
        wanted = ["relation", "case", *self.out, *there(other.out)]
        return _einsum(operands, wanted, (*self.out, *other.out))

    def _sum(self, values: Array, old: Axes, new: Axes, power: int) -> Array:
        operands: list[Any] = [values, ["case", *old]]
        for array, axes in self.given:
            operands += [array**power, axes]
        return _einsum(operands, ["case", *new], new)

    def _pairs(self, values: Array, old: Axes, new: Axes) -> Array:
        def other(axes: Iterable[Axis]) -> list[Any]:
            return [axis if axis in self.taps else ("′", axis) for axis in axes]

        operands: list[Any] = [values, ["relation", "case", *old, *other(old)]]
        for array, axes in self.given:
            operands += [array, axes, array, other(axes)]
        for axis in new:
            if axis in self.taps:  # each has a weight of its own, so two have nothing in common
                operands += [np.eye(axis.size or 1), [axis, ("′", axis)]]
        wanted = ["relation", "case", *new, *(("′", axis) for axis in new)]
        return _einsum(operands, wanted, (*new, *new))


def _einsum(operands: list[Any], wanted: list[Any], new: Axes) -> Array:
    """``np.einsum`` over labels of any kind; along what only the result has all is the same."""
    labels: dict[Any, int] = {}
    for each in operands[1::2]:
        for label in each:
            labels.setdefault(label, len(labels))
    numbered = [[labels[one] for one in each] for each in operands[1::2]]
    mixed = [part for pair in zip(operands[::2], numbered, strict=True) for part in pair]
    have = [labels[one] for one in wanted if one in labels]
    found = np.einsum(*mixed, have, optimize="greedy" if len(operands) > 4 else False)
    lengths = [axis.size or 1 for axis in new]
    lead = len(wanted) - len(new)
    missing = tuple(at for at, one in enumerate(wanted) if one not in labels)
    whole = (*found.shape[:lead], *lengths)
    return np.asarray(np.broadcast_to(np.expand_dims(found, missing), whole))


def wired(
    term: LinearTerm,
    read: Node | None,
    digits: Mapping[Axis, Axes],
    kept: Axes,
    batch: Axis | None,
    weights: Sequence[Node],
    places: Container[Axis] = (),
) -> Wiring:
    """The wiring of a term whose factor ``read`` has these digits in each of its axes.

    Along ``places`` the result has places by what else is added to it.
    Raises NotApplicableError where places and features are mixed in a way that has no law.
    """
    over = [axis for axis in term.over if axis != batch]
    known = Digits(read, digits, kept, batch)
    left = [p for p in term.given if isinstance(p, Pattern) and not known.renames(p)]
    rest = [known.substituted(pattern) for pattern in left]
    weighed = {a for w in weights for a in w.axes}
    return _wiring(term, over, known, rest, weighed, batch, places)


def _wiring(
    term: LinearTerm,
    over: list[Axis],
    known: Digits,
    rest: list[Pattern],
    weighed: set[Axis],
    batch: Axis | None,
    places: Container[Axis],
) -> Wiring:
    atoms = known.atoms
    bound = {axis: known.of(axis) for axis in (*over, *weighed) if known.has(axis)}
    passed = {a for axis in over for a in bound.get(axis, ())}
    taps = {a for axis in weighed for a in bound.get(axis, ())} - passed
    parts: dict[Axis, Axes] = {axis: bound[axis] for axis in over if axis in bound}
    mixes = bool(taps)
    given: list[tuple[Array, Axes]] = []
    linked: set[Axis] = set()
    kept_out: list[Axis] = [a for axis in over for a in bound.get(axis, ()) if known.kept(a)]
    links, wide_out, scale = 1.0, 1.0, 1.0
    together = [False, False]
    for group in _joined(rest):
        axes = list(dict.fromkeys(axis for p in group for axis in p.axes))
        ours, out = [a for a in axes if a in atoms], [a for a in axes if a in over]
        linked.update(axes)
        inside = [a for a in axes if a in weighed and a not in out]
        mixes |= bool(inside and ours)
        parts |= {a: (a,) for a in out}
        put = not ours and not inside and any(a in places for a in out)
        if not any(map(known.kept, ours)) and not put:
            links *= _count(group)
            wide_out *= prod(a.size or 1 for a in out)
            continue
        if not all(map(known.kept, ours)):
            raise NotApplicableError("places and features are mixed in a way of its own")
        array = _dense(group, [*ours, *out, *inside])
        taps.update(inside)
        kept_out += out
        given.append((array, (*ours, *out, *inside)))
        for at, side in enumerate((ours, out)):
            other = tuple(n for n, a in enumerate((*ours, *out, *inside)) if a in side)
            together[at] |= bool(((array != 0).sum(axis=other) > 1).any() or (array > 1).any())
    for node in term.given:
        if isinstance(node, Pattern):
            continue
        axes, array = [a for a in node.axes if a != batch], _numbers(node)
        if not np.ptp(array):
            scale *= float(array.flat[0])
            continue
        flat = [a for axis in axes for a in (bound.get(axis) or (axis,))]
        if len(flat) != len(axes) or any(a in atoms and not known.kept(a) for a in flat):
            raise NotApplicableError("it has a number for each feature")
        given.append((array, tuple(flat)))
    copied = []
    for axis in over:
        if axis in parts:
            continue
        parts[axis] = (axis,)
        if axis in weighed:
            links, wide_out = links * (axis.size or 1), wide_out * (axis.size or 1)
        else:
            kept_out.append(axis)
            copied.append(axis)
            together[1] |= (axis.size or 1) > 1
    for axis in weighed - linked - {*over, *bound}:
        links *= axis.size or 1
    for atom in atoms:
        if atom in linked:
            continue
        if not known.kept(atom):
            links *= atom.size or 1
            wide_out *= (atom.size or 1) if atom in passed else 1
        elif atom not in passed and atom not in taps:
            together[0] |= (atom.size or 1) > 1
            given.append((np.ones(atom.size or 1), (atom,)))
    order = [a for axis in over for a in parts[axis] if a in kept_out]
    return Wiring(
        split=known.split,
        out=tuple(order),
        parts=parts,
        taps=frozenset(taps),
        copied=frozenset(copied),
        given=tuple(given),
        scale=scale,
        fan_in=links / wide_out,
        fan_out=links / prod(a.size or 1 for a in atoms if not known.kept(a)),
        mixes=mixes,
        together=(together[0], together[1]),
    )


def _joined(patterns: Iterable[Pattern]) -> list[list[Pattern]]:
    """The patterns in groups that have no axis in common."""
    groups: list[list[Pattern]] = []
    for pattern in patterns:
        near = [g for g in groups if any({*p.axes} & {*pattern.axes} for p in g)]
        groups = [g for g in groups if g not in near]
        groups.append([pattern, *(p for g in near for p in g)])
    return groups


def _dense(group: Sequence[Pattern], axes: Sequence[Axis]) -> Array:
    """Their product, summed over all other axes."""
    names = {axis: n for n, axis in enumerate(dict.fromkeys(a for p in group for a in p.axes))}
    operands: list[Any] = []
    for pattern in group:
        operands += [_indicator(pattern), [names[a] for a in pattern.axes]]
    found: Array = np.einsum(*operands, [names[a] for a in axes], optimize="greedy")
    return found


def _count(group: Sequence[Pattern]) -> float:
    """At how many places all of them are 1."""
    pattern = group[0]
    if len(group) == 1 and not pattern.ranges:
        for axis in pattern.axes:
            index = pattern.solved(axis)
            least, largest = index.bounds() if index is not None else (-1, 0)
            if least >= 0 and largest < (axis.size or 1):  # one place here for all on the others
                return float(prod(a.size or 1 for a in pattern.axes if a != axis))
    return float(_dense(group, ()))


def _indicator(pattern: Pattern) -> Array:
    """The 0/1 array of a pattern."""
    places = dict(zip(pattern.axes, np.indices([a.size or 1 for a in pattern.axes]), strict=True))
    found = np.ones([a.size or 1 for a in pattern.axes])

    def value(index: Index) -> Any:
        at = index.offset + sum(c * (axis.size or 1) for axis, c in index.lengths)
        return at + sum(c * places[axis] for axis, c in index.terms)

    for equation in pattern.equations:
        found = found * (value(equation) == 0)
    for each in pattern.ranges:
        least = -np.inf if each.low is None else each.low
        largest = np.inf if each.high is None else each.high
        found = found * ((least <= value(each.index)) & (value(each.index) <= largest))
    return found


def _numbers(node: Node) -> Array:
    """The array of what nothing changes; one number where it is the same at every place."""
    if isinstance(node, Constant):
        return np.array(node.value)
    if isinstance(node, Pattern):
        return _indicator(node)
    return np.asarray(compile_program({"value": node}, "Numbers that are given.")({}, {})["value"])
