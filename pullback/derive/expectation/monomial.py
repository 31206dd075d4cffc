"""Sums of products, entry by entry: the form in which expectations are taken term by term.

A ``Monomial`` is a number times entries of tensors such as A[j,k], Kronecker deltas, and random
factors, summed over its bound indices. Two that differ in the names of these have one ``key``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from pullback.ir import Add, Axes, Axis, Constant, Contract, Node, Scalar, identity, simplify
from pullback.ir.build import spread, with_axes
from pullback.ir.normal.contraction import renaming

Names = Mapping[Axis, Axis]
Delta = tuple[Axis, Axis]


@dataclass(frozen=True)
class TensorEntry:
    """The entry of a tensor at some indices, one for each of its axes."""

    node: Node
    at: Axes

    def moved(self, names: Names) -> TensorEntry:
        return replace(self, at=tuple(names.get(axis, axis) for axis in self.at))

    @property
    def kind(self) -> str:
        return self.node.digest

    @property
    def nodes(self) -> tuple[Node, ...]:
        return (self.node,)


@dataclass(frozen=True)
class FunctionEntry:
    """A scalar function of entries, each one affine in the random tensors, or not random."""

    function: Scalar
    args: tuple[TensorEntry, ...]

    def moved(self, names: Names) -> FunctionEntry:
        return replace(self, args=tuple(arg.moved(names) for arg in self.args))

    @property
    def at(self) -> Axes:
        return tuple(axis for arg in self.args for axis in arg.at)

    @cached_property
    def kind(self) -> str:
        return repr((self.function.expr, *(arg.kind for arg in self.args)))

    @property
    def nodes(self) -> tuple[Node, ...]:
        return tuple(arg.node for arg in self.args)


RandomFactor = TensorEntry | FunctionEntry


@dataclass(frozen=True)
class Monomial:
    """number · Π entries · Π δ · Π random, summed over the ``bound`` indices."""

    number: float = 1.0
    entries: tuple[TensorEntry, ...] = ()
    deltas: tuple[Delta, ...] = ()
    random: tuple[RandomFactor, ...] = ()
    bound: Axes = ()

    def times(self, other: Monomial) -> Monomial:
        """The product; the bound indices of the two are different ones."""
        return Monomial(
            self.number * other.number,
            self.entries + other.entries,
            self.deltas + other.deltas,
            self.random + other.random,
            self.bound + other.bound,
        )

    def moved(self, names: Names) -> Monomial:
        """The same under other names of some indices."""
        return Monomial(
            self.number,
            tuple(each.moved(names) for each in self.entries),
            tuple((names.get(a, a), names.get(b, b)) for a, b in self.deltas),
            tuple(each.moved(names) for each in self.random),
            tuple(names.get(axis, axis) for axis in self.bound),
        )

    @property
    def factors(self) -> tuple[RandomFactor, ...]:
        return (*self.entries, *self.random)

    def settled(self) -> Monomial:
        """The same without the deltas that have a bound index: Σ_j δ_ij v_j is v_i.

        Where both indices of one are free, random factors have the first in place of the second.
        """
        found = self
        while True:
            for a, b in found.deltas:
                rest = replace(found, deltas=_without(found.deltas, (a, b)))
                if a == b:
                    found = rest
                    break
                old, new = (a, b) if a in found.bound else (b, a)
                if old in found.bound:
                    bound = _without(rest.bound, old)
                    found = replace(rest, bound=bound).moved({old: new})
                    break
            else:
                break
        found = replace(found, deltas=tuple(dict.fromkeys((min(d), max(d)) for d in found.deltas)))
        for a, b in found.deltas:
            random = tuple(each.moved({b: a}) for each in found.random)
            found = replace(found, random=random)
        return found

    @cached_property
    def canonical(self) -> tuple[tuple[Any, ...], Axes]:
        """A key that does not depend on the names of bound indices, and these in its order.

        What shares no bound index is brought into order by itself, as each of several traces.
        """
        parts: list[tuple[str, Axes]] = [(each.kind, each.at) for each in self.factors]
        parts += [("δ", pair) for delta in self.deltas for pair in (delta, delta[::-1])]
        found = []
        for members, bound in _apart(parts, self.bound):
            axes = {axis for _, at in members for axis in at} | set(bound)
            start = {
                axis: ("", axis.unprimed.name) if axis in bound else (axis.name, "")
                for axis in axes
            }
            found.append(_least(_ranked(start), start, members, bound))
        found.sort(key=_key)
        return tuple(key for key, _ in found), tuple(a for _, order in found for a in order)

    @property
    def key(self) -> tuple[Any, ...]:
        return self.canonical[0]

    def renumbered(self, taken: Iterable[Axis]) -> Monomial:
        """The same with bound indices named in canonical order: n, then n′, then n″."""
        used, names = set(taken), dict[Axis, Axis]()
        for axis in self.canonical[1]:
            new = axis.unprimed
            while new in used:
                new = new.primed
            used.add(new)
            names[axis] = new
        moved = self.moved(names)
        return replace(moved, bound=tuple(names[axis] for axis in self.canonical[1]))

    def node(self, over: Axes) -> Node:
        """The product as a node with these axes, ones along those that nothing carries."""
        monomial = self.renumbered(over)
        taken = {*over, *monomial.bound}
        nodes: list[Node] = []
        for entry in monomial.entries:
            names: dict[Axis, Axis] = {}
            for axis, label in zip(entry.node.axes, entry.at, strict=True):
                new = label
                while new in names.values() or (new != label and new in taken):
                    new = new.primed
                if new != label:  # one index twice: the diagonal
                    nodes.append(identity(label, new))
                    taken.add(new)
                names[axis] = new
            nodes.append(renaming(entry.node, tuple(names.items())))
        nodes += [identity(a, b) for a, b in monomial.deltas]
        have = {axis for node in nodes for axis in node.axes}
        nodes += [Constant(1.0, (axis,)) for axis in (*over, *monomial.bound) if axis not in have]
        if monomial.number != 1 or not nodes:
            nodes.append(Constant(monomial.number))
        return spread(Contract(tuple(nodes), over), over)


def collected(monomials: Iterable[Monomial]) -> list[Monomial]:
    """Like terms added up; what has cancelled is gone."""
    found: dict[tuple[Any, ...], Monomial] = {}
    for each in monomials:
        known = found.get(each.key)
        found[each.key] = (
            each if known is None else replace(known, number=known.number + each.number)
        )
    largest = max((abs(each.number) for each in found.values()), default=0.0)
    return [each for each in found.values() if abs(each.number) > 1e-14 * largest]


def node_of(monomials: Sequence[Monomial], over: Axes) -> Node:
    """The sum as a node with these axes, simplified; nothing in it may be random any more."""
    terms = [each.node(over) for each in monomials]
    if not terms:
        return Constant(0.0, over)
    return with_axes(simplify(terms[0] if len(terms) == 1 else Add(tuple(terms)))[0], over)


def carried(monomials: Iterable[Monomial]) -> set[Axis]:
    """The free indices on which a sum depends."""
    found: set[Axis] = set()
    for each in monomials:
        axes = {axis for factor in each.factors for axis in factor.at}
        found |= (axes | {axis for delta in each.deltas for axis in delta}) - {*each.bound}
    return found


def _without(items: tuple[Any, ...], gone: Any) -> tuple[Any, ...]:
    at = items.index(gone)
    return items[:at] + items[at + 1 :]


def _ranked(signatures: Mapping[Axis, Any]) -> dict[Axis, int]:
    places = {each: at for at, each in enumerate(sorted(set(signatures.values())))}
    return {axis: places[each] for axis, each in signatures.items()}


def _apart(
    parts: Sequence[tuple[str, Axes]], bound: Axes
) -> list[tuple[list[tuple[str, Axes]], Axes]]:
    """The factors in groups that share no bound index, and the bound indices of each."""
    held: list[tuple[list[tuple[str, Axes]], set[Axis]]] = []
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
    parts: Sequence[tuple[str, Axes]],
    bound: Axes,
) -> tuple[tuple[Any, ...], Axes]:
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


def _refined(colours: dict[Axis, int], parts: Sequence[tuple[str, Axes]]) -> dict[Axis, int]:
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


def _key(found: tuple[tuple[Any, ...], Axes]) -> tuple[Any, ...]:
    return found[0]
