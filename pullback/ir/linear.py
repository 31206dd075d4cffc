"""The terms of an equation that is linear in what it reads: sums of products, multiplied out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod

from pullback.ir.axis import Axes, Axis
from pullback.ir.kinds import Add, Constant, Contract, Parameter, Rename
from pullback.ir.node import Node, walk
from pullback.ir.pattern import Pattern
from pullback.ir.source import is_source, sources


@dataclass(frozen=True)
class LinearTerm:
    """scale · Π factors, summed over every axis that is not in ``over``.

    ``read`` are the factors that are equations or inputs, ``parameters`` those that only parameters
    have a say in, ``given`` what nothing changes: patterns, and numbers along axes.
    """

    read: tuple[Node, ...]
    parameters: tuple[Node, ...]
    given: tuple[Node, ...]
    scale: float
    over: Axes

    @property
    def factors(self) -> tuple[Node, ...]:
        """All of them."""
        return (*self.read, *self.parameters, *self.given)


def terms(node: Node) -> tuple[LinearTerm, ...] | None:
    """The products whose sum a right side is; None where it is no such sum.

    >>> from pullback.ir import Axis, Input
    >>> i, o = Axis("in", 3), Axis("out", 2)
    >>> x, W, b = Input("x", (i,)), Parameter("W", (o, i)), Parameter("b", (o,))
    >>> sorted((len(t.read), len(t.parameters)) for t in terms(Add((Contract((x, W), (o,)), b))))
    [(0, 1), (1, 1)]
    """
    found = _products(node)
    if found is None:
        return None
    return tuple(_term(factors, over) for factors, over in found)


_Product = tuple[tuple[Node, ...], Axes]


def _products(node: Node) -> list[_Product] | None:
    if is_source(node) or not (isinstance(node, (Add, Rename, Contract)) or _reads(node)):
        return [((node,), node.axes)]
    if isinstance(node, Add):
        parts = [_products(term) for term in node.terms]
        if any(part is None for part in parts):
            return None
        return [each for part in parts if part is not None for each in part]
    if isinstance(node, Rename):
        return _renamed(node)
    if not isinstance(node, Contract):
        return None
    parts = [_products(factor) for factor in node.factors]
    if any(part is None for part in parts):
        return None
    return [_joined(chosen, node.over) for chosen in product(*(p for p in parts if p is not None))]


def _joined(chosen: tuple[_Product, ...], over: Axes) -> _Product:
    """The product of products, where an axis that one sums over and another has is called apart."""
    several = list(chosen)
    for at, (factors, kept) in enumerate(several):
        inner = _axes(factors) - {*kept}
        outer = set().union(*(_axes(other) for n, (other, _) in enumerate(several) if n != at))
        taken = inner | outer | {*over, *kept}
        apart: dict[Axis, Axis] = {}
        for axis in inner & (outer | {*over}):
            new = axis.primed
            while new in taken | {*apart.values()}:
                new = new.primed
            apart[axis] = new
        if apart:
            several[at] = tuple(_called(factor, apart) for factor in factors), kept
    chosen = tuple(several)
    carried = {axis for _, kept in chosen for axis in kept}
    return tuple(f for factors, _ in chosen for f in factors), tuple(
        a for a in over if a in carried
    )


def _renamed(node: Rename) -> list[_Product] | None:
    inner = _products(node.arg)
    if inner is None:
        return None
    names, found = dict(node.names), []
    for factors, over in inner:
        if {*names.values()} & (_axes(factors) - {*names}):
            return None
        changed = tuple(_called(factor, names) for factor in factors)
        found.append((changed, tuple(names.get(axis, axis) for axis in over)))
    return found


def _called(factor: Node, names: Mapping[Axis, Axis]) -> Node:
    """A factor with new names for some axes."""
    own = {old: new for old, new in names.items() if old in factor.axes}
    if not own:
        return factor
    return (
        factor.renamed(own) if isinstance(factor, Pattern) else Rename(factor, tuple(own.items()))
    )


def _term(factors: Iterable[Node], over: Axes) -> LinearTerm:
    numbers = [f for f in factors if isinstance(f, Constant) and not f.over]
    rest = [f for f in factors if f not in numbers]
    read = tuple(f for f in rest if _reads(f))
    drawn = tuple(f for f in rest if f not in read and _has_parameter(f))
    given = tuple(f for f in rest if f not in read and f not in drawn)
    return LinearTerm(read, drawn, given, prod((n.value for n in numbers), start=1.0), over)


def _axes(factors: Iterable[Node]) -> set[Axis]:
    return {axis for factor in factors for axis in factor.axes}


def _reads(node: Node) -> bool:
    return bool(sources(node))


def _has_parameter(node: Node) -> bool:
    return any(isinstance(each, Parameter) for each in walk((node,)))
