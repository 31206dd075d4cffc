"""A network's forward pass, node by node, as operations of another library.

One walk for all libraries: it knows the axes, and asks a backend for plain operations on arrays
whose dimensions have places. A backend has one method an operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatchmethod
from math import prod
from string import ascii_letters
from typing import Any, Generic, TypeVar

from sympy import Integer

from pullback.errors import ConversionError
from pullback.interop.backend import Backend
from pullback.ir import (
    Add,
    ArgMax,
    Axes,
    Axis,
    Constant,
    Contract,
    Detach,
    Input,
    LogSumExp,
    Map,
    Max,
    Named,
    Node,
    OneHot,
    Parameter,
    Pattern,
    Rename,
    Scalar,
    Slice,
    symbol,
    uses,
    walk,
)
from pullback.ir.axis import show
from pullback.ir.flow import Affine, Pointwise, form
from pullback.ir.language.text import as_text
from pullback.ir.lookup import origin
from pullback.ir.scalar.cases import Piecewise
from pullback.ir.unmask import unmasked

V = TypeVar("V")


class Export(Generic[V]):
    """The walk from the inputs to an output, for one backend.

    Raises ConversionError for what has no counterpart, naming the equation where it stands.
    """

    def __init__(self, backend: Backend[V]) -> None:
        self.backend = backend
        self.place = "model"
        self._done: dict[Node, V] = {}
        self._uses: dict[Node, int] = {}

    def __call__(self, output: Node, axes: Axes) -> V:
        """The value of a node with its axes in this order."""
        (output,) = unmasked((output,))
        self._uses = uses((output,))
        for named in walk((output,)):
            if isinstance(named, Named):
                self.place = named.label.place or "model"
                self._done[named] = self._equation(named)
        return self._ordered(self._value(output), output.axes, axes)

    def _equation(self, named: Named) -> V:
        found = form(named)
        if isinstance(found, Affine) and self._is_layer(named, found):
            x = self._value(found.arg)
            order = (*(a for a in found.arg.axes if a not in found.summed), *found.summed)
            made = self.backend.layer(named, found, self._ordered(x, found.arg.axes, order))
            if made is not None:
                out = (*order[: -len(found.summed)], *self._rows(named, found))
                return self._ordered(made, out, named.axes)
        if isinstance(found, Pointwise) and found.arg.axes == named.axes:
            return self.backend.function(self.place, found.function, [self._value(found.arg)])
        return self._value(named.arg)

    def _is_layer(self, named: Named, layer: Affine) -> bool:
        rest = {*named.axes} - {*self._rows(named, layer)}
        return (
            layer.is_matrix
            and layer.scale == 1
            and all(self._uses[p] == 1 for p in (layer.weight, layer.bias) if p is not None)
            and rest == {*layer.arg.axes} - {*layer.summed}
            and (layer.bias is None or layer.bias.axes == layer.weight.axes[:1])
        )

    def _rows(self, named: Named, layer: Affine) -> Axes:
        here = dict(layer.names)
        return tuple(here.get(axis, axis) for axis in layer.rows)

    def _value(self, node: Node) -> V:
        """The value of a node whose equations are done, its dimensions in the order of its axes."""
        waiting = [node]
        while waiting:
            each = waiting[-1]
            missing = [arg for arg in each.args if arg not in self._done]
            if each in self._done or not missing:
                waiting.pop()
                if each not in self._done:
                    self._done[each] = self._made(each)
            else:
                waiting += reversed(missing)
        return self._done[node]

    @singledispatchmethod
    def _made(self, node: Node) -> V:
        raise ConversionError(
            f"{type(node).__name__}{show(node.axes)} in {self.place!r} has no counterpart outside"
        )

    @_made.register
    def _(self, node: Input) -> V:
        return self.backend.input(node)

    @_made.register
    def _(self, node: Parameter) -> V:
        return self.backend.parameter(node)

    @_made.register
    def _(self, node: Constant) -> V:
        value = self.backend.number(self.place, node.value)
        return self._aligned(value, (), node.axes) if node.axes else value

    @_made.register
    def _(self, node: Pattern) -> V:
        if node.equations:  # it counts in a product only, by its axes
            return self.backend.number(self.place, 1.0)
        counts = [self.backend.counted(self.place, self._length(axis)) for axis in node.axes]
        places = {axis: symbol(at) for at, axis in enumerate(node.axes)}
        found: Any = Integer(1)
        for each in node.ranges:
            index = each.index.offset + sum(c * places[axis] for axis, c in each.index.terms)
            low = [] if each.low is None else [index >= each.low]
            high = [] if each.high is None else [index <= each.high]
            for condition in (*low, *high):
                found = Piecewise((found, condition), (0, True))
        args = [
            self._aligned(count, (axis,), node.axes)
            for count, axis in zip(counts, node.axes, strict=True)
        ]
        return self.backend.function(self.place, Scalar.of(found, len(args)), args)

    @_made.register
    def _(self, node: Named) -> V:
        return self._done[node.arg]

    @_made.register
    def _(self, node: Rename) -> V:
        return self._done[node.arg]

    @_made.register
    def _(self, node: Add) -> V:
        terms = [self._aligned(self._done[t], t.axes, node.axes) for t in node.terms]
        return terms[0] if len(terms) == 1 else self.backend.total(self.place, terms)

    @_made.register
    def _(self, node: Map) -> V:
        parts = {at: _number(arg) for at, arg in enumerate(node.args)}
        others = [at for at, part in parts.items() if part is None]
        rest = [node.args[at] for at in others]
        names = {symbol(at): symbol(new) for new, at in enumerate(others)}
        values = {symbol(at): part for at, part in parts.items() if part is not None}
        function = Scalar.of(node.function.expr.xreplace(names | values), len(rest))
        if not rest:
            return self._aligned(self.backend.number(self.place, float(function())), (), node.axes)
        args = [self._aligned(self._done[arg], arg.axes, node.axes) for arg in rest]
        return self.backend.function(self.place, function, args)

    @_made.register(LogSumExp)
    @_made.register(Max)
    def _(self, node: LogSumExp | Max) -> V:
        kind = "max" if isinstance(node, Max) else "logsumexp"
        arg = node.arg
        return self.backend.reduced(self.place, kind, self._done[arg], arg.axes.index(node.axis))

    @_made.register
    def _(self, node: ArgMax) -> V:
        dimension = node.arg.axes.index(node.axis)
        return self.backend.first_largest(self.place, self._done[node.arg], dimension)

    @_made.register
    def _(self, node: OneHot) -> V:
        return self.backend.hits(self.place, self._index(node), self._length(node.axis))

    @_made.register
    def _(self, node: Detach) -> V:
        return self.backend.held(self.place, self._done[node.arg])

    def _index(self, node: OneHot) -> V:
        leaf = origin(node.index)
        return self.backend.index(leaf) if isinstance(leaf, Input) else self._done[node.index]

    def _looked_up(self, node: Contract) -> tuple[V, Axes] | None:
        """A table at the places of an index, where that is all that the two meet in."""
        hits = [factor for factor in node.factors if isinstance(factor, OneHot)]
        tables = [f for f in node.factors if f not in hits]
        if len(hits) != 1 or len(tables) != 1 or hits[0].axis in node.over:
            return None
        axes, index = tables[0].axes, hits[0].index.axes
        if hits[0].axis not in axes or {*axes} & {*index} or isinstance(tables[0], Pattern):
            return None
        at = axes.index(hits[0].axis)
        place, table = self.place, self._done[tables[0]]
        found = self.backend.gathered(place, table, self._index(hits[0]), at)
        return found, (*axes[:at], *index, *axes[at + 1 :])

    @_made.register
    def _(self, node: Contract) -> V:
        if (found := self._looked_up(node)) is not None and {*found[1]} == {*node.over}:
            return self._ordered(*found, node.over)
        scale, factors = 1.0, list[tuple[V, Axes]]()
        for factor in node.factors:
            if (number := _number(factor)) is not None:
                scale *= number
            elif isinstance(factor, Constant):
                scale *= factor.value
            elif not (isinstance(factor, Pattern) and factor.equations):
                factors.append((self._done[factor], factor.axes))
        for pattern in (f for f in node.factors if isinstance(f, Pattern) and f.equations):
            if (by := pattern.slice) is None:
                factors = self._split(pattern, factors, node.over)
            else:
                factors = self._picked(by, factors, node.over)
        carried = {axis for _, axes in factors for axis in axes}
        held = {a for f in node.factors if not isinstance(f, Constant) for a in f.axes}
        for axis in {a for f in node.factors for a in f.axes} - {*node.over} - held:  # Σ 1
            scale *= self._length(axis)
        if not factors:
            return self._aligned(self.backend.number(self.place, scale), (), node.axes)
        have = tuple(axis for axis in node.over if axis in carried)
        made = self._multiplied(factors, have)
        if scale != 1:
            made = self.backend.scaled(self.place, made, scale)
        return self._aligned(made, have, node.over)

    def _multiplied(self, factors: Sequence[tuple[V, Axes]], over: Axes) -> V:
        if len(factors) == 1 and set(factors[0][1]) == set(over):
            return self._ordered(*factors[0], over)
        letters = dict(
            zip(dict.fromkeys(a for _, f in factors for a in f), ascii_letters, strict=False)
        )
        sides = ("".join(letters[axis] for axis in axes) for _, axes in factors)
        pattern = f"{','.join(sides)}->{''.join(letters[axis] for axis in over)}"
        return self.backend.product(self.place, pattern, [value for value, _ in factors])

    def _picked(self, by: Slice, factors: list[tuple[V, Axes]], over: Axes) -> list[tuple[V, Axes]]:
        """A slice, zeros around it, or another name, for a product with rows of an identity."""
        if not any(axis in axes for axis in by.axes for _, axes in factors):
            ones = self.backend.ones(self.place, self._length(by.row))
            factors = [*factors, (ones, (by.row,))]
        ends = ((by.column, by.row), (by.row, by.column))
        for old, new in ends:
            holders = [f for f in factors if old in f[1]]
            if old in over or len(holders) != 1 or new in holders[0][1]:
                continue
            value, axes = holders[0]
            at = axes.index(old)
            if not by.is_whole:
                taken = by.picked(self._length(by.column))
                if old == by.column:
                    value = self.backend.stretch(self.place, value, at, taken.start, taken.stop)
                else:
                    after = self._length(by.column) - taken.stop
                    value = self.backend.padded(
                        self.place, value, at - len(axes), taken.start, after
                    )
            renamed = tuple(new if axis == old else axis for axis in axes)
            return [(value, renamed) if f is holders[0] else f for f in factors]
        raise ConversionError(
            f"{self.place!r} puts entries along {show(by.axes)} at other places; that has no "
            "counterpart outside"
        )

    def _split(
        self, pattern: Pattern, factors: list[tuple[V, Axes]], over: Axes
    ) -> list[tuple[V, Axes]]:
        """One axis as several, for a product with the pattern that says so."""
        for axis in pattern.axes:
            index, holders = pattern.solved(axis), [f for f in factors if axis in f[1]]
            if axis in over or index is None or pattern.ranges or len(holders) != 1:
                continue
            value, axes = holders[0]
            into = tuple(sorted(index.axes, key=lambda each: -index.of(each)))
            sizes = [self._length(each) for each in into]
            strides = [prod(sizes[at + 1 :]) for at in range(len(sizes))]
            start, stop = index.offset, index.offset + prod(sizes)
            fits = start >= 0 and stop <= self._length(axis)
            if not fits or strides != [index.of(each) for each in into] or {*into} & {*axes}:
                continue
            at = axes.index(axis)
            if (start, stop) != (0, axis.size):
                value = self.backend.stretch(self.place, value, at, start, stop)
            after = [each.size for each in axes[at + 1 :]]
            value = self.backend.split(self.place, value, at, sizes, after)
            parts = (*axes[:at], *into, *axes[at + 1 :])
            return [(value, parts) if f is holders[0] else f for f in factors]
        raise ConversionError(
            f"{self.place!r} moves entries by {as_text(pattern)}; that has no counterpart outside "
            "yet"
        )

    def _length(self, axis: Axis) -> int:
        if axis.size is None:
            raise ConversionError(
                f"{self.place!r} depends on the length of the axis {axis.name!r}, which only the "
                "data tell; it has no counterpart outside"
            )
        return axis.size

    def _ordered(self, value: V, axes: Axes, order: Axes) -> V:
        places = [axes.index(axis) for axis in order]
        unchanged = places == sorted(places)
        return value if unchanged else self.backend.turned(self.place, value, places)

    def _aligned(self, value: V, axes: Axes, over: Axes) -> V:
        """The value with a dimension for each axis of ``over``, of length 1 where it has none."""
        value = self._ordered(value, axes, tuple(axis for axis in over if axis in axes))
        new = [at for at, axis in enumerate(over) if axis not in axes]
        return self.backend.widened(self.place, value, new) if new else value


def _number(node: Node) -> float | None:
    """The value of a node that is one number whatever goes in, else None."""
    if isinstance(node, Constant):
        return node.value if not node.over else None
    if not isinstance(node, Map):
        return None
    parts = [_number(arg) for arg in node.args]
    known = [part for part in parts if part is not None]
    return float(node.function(*known)) if len(known) == len(parts) else None
