"""Units in canonical form, which is equal for two that do the same to other arrays.

Axes that are one in the memory of every array become one, and what is left is called by number.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import permutations

from pullback.emit.nest.language import Multiply, Nest, Statement
from pullback.emit.nest.layout import Spot
from pullback.ir import Axes, Axis, symbol

Terms = tuple[tuple[Axis, int], ...]


def joined(nest: Nest, apart: Collection[Axis] = ()) -> Nest:
    """The same nest with one loop over axes that follow one another in all that it touches.

    Those that are ``apart`` stay alone, and so does that of the samples.

    >>> row, column = Axis("row", 4), Axis("column", 3)
    >>> x, y = (Spot(name, ((row, 3), (column, 1))) for name in "xy")
    >>> joined(Nest((row, column), (), [Statement("y", y, symbol(0), ((symbol(0), x),))])).axes
    (row column=12,)
    """
    touched = {*nest.reads, *nest.writes}
    for axes in (nest.axes, nest.summed):
        free = [axis for axis in axes if axis.size is not None and axis not in apart]
        for outer, inner in permutations(free, 2):
            if all(_follow(place, outer, inner) for place in touched):
                return joined(_with_one(nest, outer, inner), apart)
    return nest


def _follow(place: Spot, outer: Axis, inner: Axis) -> bool:
    """Is a step along one axis as far as all of them along another one?"""
    steps = [(place.stride(outer), place.stride(inner))]
    steps += [(each.index.of(outer), each.index.of(inner)) for each in place.within]
    return all(far == (inner.size or 0) * near for far, near in steps)


def _with_one(nest: Nest, outer: Axis, inner: Axis) -> Nest:
    """The nest with one axis in the place of two."""
    one = Axis(f"{outer.name} {inner.name}", (outer.size or 0) * (inner.size or 0))
    return _Names({outer: None, inner: one}).nest(nest)


@dataclass(frozen=True)
class Canonical:
    """A unit whose axes and arrays are called by number, and what they are called elsewhere.

    ``begins`` says how far into its array each one begins.
    """

    unit: Nest | Multiply
    axes: Mapping[Axis, Axis]
    arrays: Mapping[str, str]
    begins: Mapping[str, int]

    @classmethod
    def of(cls, unit: Nest | Multiply) -> Canonical:
        """The canonical form of a unit."""
        axes = {axis: Axis(str(at), axis.size) for at, axis in enumerate(unit.loops)}
        begins = _begins({*unit.reads, *unit.writes})
        names = _Names(axes, begins=begins)
        if isinstance(unit, Multiply):
            product = names.product(unit)
            form: Nest | Multiply = replace(product, then=tuple(map(_in_order, product.then)))
            made = [unit.name, *(each.name for each in unit.then)]
        else:
            form = names.nest(unit)
            form.statements = list(map(_in_order, form.statements))
            made = [each.name for each in unit.statements]
        touched = dict.fromkeys(place.array for place in (*form.reads, *form.writes))
        arrays = {name: str(at) for at, name in enumerate(touched) if name}
        values = {name: f"value {at}" for at, name in enumerate(made)}
        names = _Names({}, {**values, **arrays})
        form = names.nest(form) if isinstance(form, Nest) else names.product(form)
        return cls(form, axes, arrays, begins)

    @cached_property
    def key(self) -> Hashable:
        """Equal for equal units."""
        if isinstance(self.unit, Multiply):
            return self.unit
        return self.unit.axes, self.unit.summed, tuple(self.unit.statements)


def _begins(places: Iterable[Spot]) -> dict[str, int]:
    """Where what is touched of an array begins, if that is not where the array does."""
    found: dict[str, int] = {}
    for place in places:
        # outside of a range the begin of the array is looked at
        begin = 0 if place.within else place.offset
        found[place.array] = min(begin, found.get(place.array, begin))
    return {array: begin for array, begin in found.items() if array and begin > 0}


def _in_order(made: Statement) -> Statement:
    """The statement with what it reads in an order of the places, and symbols by number."""
    reads = sorted(made.reads, key=lambda read: repr(replace(read[1], array="")))
    names = {sym: symbol(at) for at, (sym, _) in enumerate(reads)}
    expr = made.expr.xreplace({old: new for old, new in names.items() if old != new})
    return replace(made, expr=expr, reads=tuple((names[sym], place) for sym, place in reads))


@dataclass(frozen=True)
class _Names:
    """Other axes, where None leaves one out, other names of arrays, and where these begin."""

    axes: Mapping[Axis, Axis | None] | Mapping[Axis, Axis]
    arrays: Mapping[str, str] = field(default_factory=dict)
    begins: Mapping[str, int] = field(default_factory=dict)

    def nest(self, nest: Nest) -> Nest:
        made = [self._statement(each) for each in nest.statements]
        return Nest(self._over(nest.axes), self._over(nest.summed), made)

    def product(self, unit: Multiply) -> Multiply:
        out, left, right = map(self._spot, (unit.out, unit.left, unit.right))
        axes, summed = map(self._over, (unit.axes, unit.summed))
        strips = None if unit.in_strips is None else self._spot(unit.in_strips)
        then = tuple(map(self._statement, unit.then))
        return Multiply(self._called(unit.name), out, left, right, axes, summed, strips, then)

    def _statement(self, made: Statement) -> Statement:
        reads = tuple((sym, self._spot(place)) for sym, place in made.reads)
        name, into = self._called(made.name), self._spot(made.into)
        return replace(made, name=name, into=into, reads=reads)

    def _spot(self, place: Spot) -> Spot:
        within = tuple(
            replace(each, index=replace(each.index, terms=self._terms(each.index.terms)))
            for each in place.within
        )
        looked = tuple((self._spot(index), step) for index, step in place.looked)
        return Spot(
            self._called(place.array),
            self._terms(place.strides),
            place.offset - self.begins.get(place.array, 0),
            within,
            looked,
            place.each,
        )

    def _terms(self, terms: Terms) -> Terms:
        named = ((self.axes.get(axis, axis), number) for axis, number in terms)
        return tuple((axis, number) for axis, number in named if axis is not None)

    def _over(self, axes: Axes) -> Axes:
        named = (self.axes.get(axis, axis) for axis in axes)
        return tuple(axis for axis in named if axis is not None)

    def _called(self, name: str) -> str:
        return self.arrays.get(name, name)
