"""Sums of products, entry by entry: the form in which expectations are taken term by term.

A ``Monomial`` is a number times entries of tensors such as A[j,k], Kronecker deltas, and random
factors, summed over its bound indices. Two that differ in the names of these have one ``key``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import isfinite
from typing import Any

from pullback.derive.expectation.canonical import Key, Part, canonical_key
from pullback.errors import NonFiniteError
from pullback.ir import (
    Add,
    Axes,
    Axis,
    Constant,
    Contract,
    Inverse,
    Map,
    Node,
    Scalar,
    identity,
    simplify,
    symbol,
)
from pullback.ir.build import spread, with_axes
from pullback.ir.normal.contraction import renaming

Names = Mapping[Axis, Axis]
Delta = tuple[Axis, Axis]


@dataclass(frozen=True)
class TensorEntry:
    """The entry of a tensor at some indices, one for each of its axes."""

    node: Node
    at: Axes
    symmetric: bool = False  # a matrix whose two indices may change places

    def moved(self, names: Names) -> TensorEntry:
        return replace(self, at=tuple(names.get(axis, axis) for axis in self.at))

    @property
    def kind(self) -> str:
        return self.node.digest

    @property
    def stands(self) -> tuple[Part, ...]:
        """What it is and at which indices, in either order where it is symmetric."""
        either = (self.at, self.at[::-1]) if self.symmetric else (self.at,)
        return tuple((self.kind, at) for at in either)

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
    def stands(self) -> tuple[Part, ...]:
        """What it is and at which indices."""
        return ((self.kind, self.at),)

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
        """The same without what says nothing: Σ_j δ_ij v_j is v_i, Σ_j A⁻¹_ij A_jk is δ_ik, and a
        length over itself is 1.

        Where both indices of a delta are free, random factors have the first in place of the
        second.
        """
        found = self
        while True:
            step = found._without_delta() or found._without_inverse() or found._without_length()
            if step is None:
                break
            found = step
        found = replace(found, deltas=tuple(dict.fromkeys((min(d), max(d)) for d in found.deltas)))
        for a, b in found.deltas:
            random = tuple(each.moved({b: a}) for each in found.random)
            found = replace(found, random=random)
        return found

    def _without_delta(self) -> Monomial | None:
        for a, b in self.deltas:
            rest = replace(self, deltas=_without(self.deltas, (a, b)))
            if a == b:
                return rest
            old, new = (a, b) if a in self.bound else (b, a)
            if old in self.bound:
                return replace(rest, bound=_without(rest.bound, old)).moved({old: new})
        return None

    def _without_inverse(self) -> Monomial | None:
        """A⁻¹ beside A, over an index that nothing else has."""
        for one in self.entries:
            if not isinstance(one.node, Inverse):
                continue
            for other in self.entries:
                if other.node is not one.node.arg:
                    continue
                turns = [(one.at, other.at), (one.at[::-1], other.at[::-1])]
                if other.symmetric:
                    turns += [(one.at, other.at[::-1]), (one.at[::-1], other.at)]
                for (first, inner), (same, last) in turns:
                    if inner == same and inner in self.bound and self._count(inner) == 2:
                        left = _without(_without(self.entries, one), other)
                        bound = _without(self.bound, inner)
                        deltas = (*self.deltas, (first, last))
                        return replace(self, entries=left, bound=bound, deltas=deltas)
        return None

    def _without_length(self) -> Monomial | None:
        """1/n beside a sum over n of what does not depend on its index."""
        for entry in self.entries:
            bound = self.bound
            for length in _lengths_under(entry.node):
                alike = (axis for axis in bound if axis.unprimed == length)
                index = next((axis for axis in alike if not self._count(axis)), None)
                if index is None:
                    break
                bound = _without(bound, index)
            else:
                if bound != self.bound:
                    left = _without(self.entries, entry)
                    return replace(self, entries=left, bound=bound)
        return None

    def _count(self, axis: Axis) -> int:
        """At how many places an index stands."""
        factors = sum(factor.at.count(axis) for factor in self.factors)
        return factors + sum(delta.count(axis) for delta in self.deltas)

    @cached_property
    def canonical(self) -> tuple[Key, Axes]:
        """A key that does not depend on the names of bound indices, and these in its order."""
        parts = [part for each in self.factors for part in each.stands]
        parts += [("δ", pair) for delta in self.deltas for pair in (delta, delta[::-1])]
        return canonical_key(parts, self.bound)

    @property
    def key(self) -> Key:
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
    """Like terms added up; what has cancelled, but for its rounding, is gone.

    Raises NonFiniteError where a number is beyond what a float holds.
    """
    found: dict[Key, tuple[Monomial, float]] = {}
    for each in monomials:
        known, largest = found.get(each.key, (None, 0.0))
        number = each.number + (0.0 if known is None else known.number)
        largest = max(largest, abs(each.number))
        if not isfinite(number):
            raise NonFiniteError(
                "a number in front of a term is beyond 1e308: the numbers of the expression or of "
                "its laws are too large, divide by a unit first"
            )
        found[each.key] = replace(known or each, number=number), largest
    return [e for e, largest in found.values() if abs(e.number) > 1e-14 * largest]


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


def _lengths_under(node: Node) -> Axes:
    """The axes of which a node is 1 over their lengths."""
    if not isinstance(node, Map) or node.function.expr != 1 / symbol(0):
        return ()
    (arg,) = node.args
    if not isinstance(arg, Contract) or arg.over:
        return ()
    ones = all(isinstance(each, Constant) and each.value == 1 for each in arg.factors)
    return tuple(axis.unprimed for axis in arg.summed) if ones else ()


def _without(items: tuple[Any, ...], gone: Any) -> tuple[Any, ...]:
    at = items.index(gone)
    return items[:at] + items[at + 1 :]
