"""Lowering: from nodes to steps, each node once, products bracketed two at a time.

What is elementwise stays an expression until somebody needs it as an array, so that chains are
fused; what a name stands for, or what is used more than once, is computed once and kept.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import singledispatchmethod
from typing import Any

import sympy as sp

from pullback.emit.expression.brackets import pairs
from pullback.emit.expression.scalar import is_arithmetic
from pullback.emit.names import Names, identifier
from pullback.emit.values import Elementwise, Eye, Length, Lowered, Product, Reduction, Slice, Value
from pullback.ir import (
    Add,
    Axes,
    Axis,
    Constant,
    Contract,
    Delta,
    Input,
    LogSumExp,
    Map,
    Max,
    Named,
    Node,
    Parameter,
    Rename,
    Selection,
    symbol,
    uses,
    walk,
)
from pullback.ir.axis import union
from pullback.ir.normal.regions import number


@dataclass(frozen=True)
class Lazy:
    """An elementwise expression over values, not computed yet."""

    expr: Any
    axes: Axes


def lower(
    roots: Mapping[str, Node],
    reserved: Container[str] = frozenset(),
    leaves: Sequence[Input | Parameter] = (),
) -> Lowered:
    """The steps that compute the roots; ``results`` holds them under the keys given.

    ``leaves`` are there in this order whether the roots read them or not: they may set sizes.
    """
    return _Lowering(roots, reserved, leaves).program


class _Lowering:
    def __init__(
        self,
        roots: Mapping[str, Node],
        reserved: Container[str],
        leaves: Sequence[Input | Parameter],
    ) -> None:
        self.program = Lowered()
        self.names = Names(reserved)
        self._lazy: dict[Node, Lazy] = {}
        self._values: dict[Any, Value] = {}  # the value of each placeholder
        self._placeholders: dict[Value, Any] = {}
        count = uses(roots.values())
        order = list(walk(roots.values()))
        self._declare([*leaves, *(node for node in order if node not in leaves)])
        for node in order:
            if node in self._lazy:
                continue
            lazy = self.lower(node)
            if count[node] > 1 and self._worth_keeping(node, lazy):
                lazy = self._of(self._materialise(lazy, node.axes))
            self._lazy[node] = lazy
        for key, node in roots.items():
            self.program.results[key] = self._result(self._lazy[node], node.axes, key)

    def _result(self, lazy: Lazy, axes: Axes, key: str) -> Value:
        """A root as an array of its own: a leaf or another root is copied."""
        value = self._materialise(lazy, axes, stem=identifier(key))
        taken = {each.name for each in self.program.results.values()}
        if value.source == "work" and value.name not in taken:
            return value
        copy = self._temporary(axes, identifier(key))
        self.program.steps.append(Elementwise(copy, symbol(0), ((symbol(0), value),)))
        return copy

    def _declare(self, order: Sequence[Node]) -> None:
        """Leaves and named equations take their names first; then the sizes of open axes."""
        for node in order:
            if isinstance(node, Parameter):
                value = Value(self.names.fresh(identifier(node.name)), node.axes, "parameter")
                self.program.parameters[node.name] = value
            elif isinstance(node, Input):
                value = Value(self.names.fresh(identifier(node.name)), node.axes, "input")
                self.program.inputs[node.name] = value
            elif isinstance(node, Named):
                self.program.equations[self.names.of(node.name)] = node.name
        for node in order:
            for axis in node.axes if isinstance(node, (Input, Parameter)) else ():
                if axis.size is None and axis not in self.program.sizes:
                    name = self.names.fresh(identifier(f"n_{axis.name}"))
                    self.program.sizes[axis] = Value(name, (), "size")
        for node in order:
            if isinstance(node, Selection):
                self._lazy[node] = self.lower(node)

    def _temporary(self, axes: Axes, stem: str = "t") -> Value:
        value = Value(self.names.fresh(stem), axes)
        self.program.temporaries.add(value.name)
        return value

    def _worth_keeping(self, node: Node, lazy: Lazy) -> bool:
        trivial = lazy.expr.is_Symbol or (not lazy.axes and is_arithmetic(lazy.expr))
        return not (trivial or lazy.expr.is_number or isinstance(node, Named))

    def _of(self, value: Value) -> Lazy:
        placeholder = self._placeholders.get(value)
        if placeholder is None:
            placeholder = self._placeholders[value] = symbol(len(self._placeholders))
            self._values[placeholder] = value
        return Lazy(placeholder, value.axes)

    def _give_name(self, value: Value, name: str) -> None:
        """Call an array by another name, in every view of it."""
        for placeholder, view in list(self._values.items()):
            if view.name == value.name:
                self._values[placeholder] = replace(view, name=name)
                self._placeholders[self._values[placeholder]] = placeholder

    def _materialise(self, lazy: Lazy, axes: Axes, name: str = "", stem: str = "t") -> Value:
        """The expression as an array whose axes stand in this order, under a name or a new one."""
        if lazy.expr.is_Symbol and self._values[lazy.expr].axes == axes and not name:
            return self._values[lazy.expr]
        used = sorted(lazy.expr.free_symbols, key=lambda s: int(s.name[1:]))
        out = Value(name, axes) if name else self._temporary(axes, stem)
        leaves = tuple((sym, self._values[sym]) for sym in used)
        self.program.steps.append(Elementwise(out, lazy.expr, leaves))
        return out

    @singledispatchmethod
    def lower(self, node: Node) -> Lazy:
        raise TypeError(f"no lowering for {type(node).__name__}")

    @lower.register(Parameter)
    @lower.register(Input)
    def _(self, node: Parameter | Input) -> Lazy:
        table = self.program.parameters if isinstance(node, Parameter) else self.program.inputs
        return self._of(table[node.name])

    @lower.register
    def _(self, node: Constant) -> Lazy:
        return Lazy(number(node.value), node.over)

    @lower.register
    def _(self, node: Delta) -> Lazy:
        out = self._temporary(node.axes, "eye")
        self.program.steps.append(Eye(out))
        return self._of(out)

    @lower.register
    def _(self, node: Selection) -> Lazy:
        """Some rows of an identity; the length of a new axis is read off it."""
        out = self._temporary(node.axes, "slice")
        self.program.steps.append(Slice(out, node.start, node.stop))
        if node.row.size is None and node.row not in self.program.lengths:
            length = Value(self.names.fresh("length"), (), "size")
            self.program.steps.append(Length(length, out))
            self.program.lengths[node.row] = length
        return self._of(out)

    @lower.register
    def _(self, node: Map) -> Lazy:
        parts = {symbol(i): self._lazy[arg].expr for i, arg in enumerate(node.args)}
        return Lazy(node.function.expr.xreplace(parts), node.axes)

    @lower.register
    def _(self, node: Add) -> Lazy:
        return Lazy(sp.Add(*(self._lazy[term].expr for term in node.terms)), node.axes)

    @lower.register
    def _(self, node: Rename) -> Lazy:
        """A view of the same array under other axes, each as long as the one it stands for."""
        for old, new in node.names:
            self.program.as_long_as.setdefault(new, old)
            self.program.ties.append((old, new))
        value = self._materialise(self._lazy[node.arg], node.arg.axes)
        return self._of(replace(value, axes=node.axes))

    @lower.register(LogSumExp)
    @lower.register(Max)
    def _(self, node: LogSumExp | Max) -> Lazy:
        arg = self._materialise(self._lazy[node.arg], node.arg.axes)
        kind = "logsumexp" if isinstance(node, LogSumExp) else "max"
        return self._of(self._reduce(kind, arg, node.axes))

    @lower.register
    def _(self, node: Named) -> Lazy:
        lazy = self._lazy[node.arg]
        if lazy.expr.is_Symbol:
            value = self._values[lazy.expr]
            steps = self.program.steps
            # the last step made this array: it takes the name, unless it is to be broadcast
            whole = set(value.axes) == set(node.axes)
            if whole and value.name in self.program.temporaries and steps[-1].out == value:
                self._give_name(value, self.names.of(node.name))
                steps[-1] = replace(steps[-1], out=self._values[lazy.expr])
                return self._of(self._values[lazy.expr])
        return self._of(self._materialise(lazy, node.axes, name=self.names.of(node.name)))

    @lower.register
    def _(self, node: Contract) -> Lazy:
        factors = [self._lazy[factor] for factor in node.factors]
        carried = {axis for factor in factors if factor.expr.free_symbols for axis in factor.axes}
        ones = {a for f in factors if f.expr.is_number for a in f.axes if a not in carried}
        scalars = [f.expr for f in factors if not f.axes or f.expr.is_number]
        # Σ 1 over an axis that nothing else carries is its length
        scalars += [self._size(axis) for axis in sorted(ones) if axis not in node.over]
        arrays = [f for f in factors if f.axes and not f.expr.is_number]
        result = self._chain(arrays, node.over) if arrays else Lazy(sp.Integer(1), ())
        return Lazy(sp.Mul(result.expr, *scalars), node.over)

    def _size(self, axis: Axis) -> Any:
        if axis.size is not None:
            return sp.Integer(axis.size)
        return self._of(self.program.length(axis)).expr

    def _chain(self, factors: list[Lazy], over: Axes) -> Lazy:
        """The product of the factors, two at a time in the cheapest order."""
        alone = [self._sum_alone(f, factors, over) for f in factors]
        work: list[Lazy | None] = list(alone)
        for left, right in pairs([f.axes for f in alone], over):
            a, b = work[left], work[right]
            assert a is not None
            assert b is not None
            rest = [f for i, f in enumerate(work) if f is not None and i not in (left, right)]
            needed = set(over) | {axis for f in rest for axis in f.axes}
            work[left], work[right] = None, None
            work.append(self._pair(a, b, needed, over, last=not rest))
        (result,) = (f for f in work if f is not None)
        return result

    def _sum_alone(self, factor: Lazy, factors: list[Lazy], over: Axes) -> Lazy:
        """Sum the axes that one factor alone carries before it is multiplied."""
        others = {axis for f in factors if f is not factor for axis in f.axes}
        same = sum(f is factor for f in factors) > 1
        lonely = [a for a in factor.axes if a not in over and a not in others and not same]
        if not lonely:
            return factor
        arg = self._materialise(factor, factor.axes)
        return self._of(self._reduce("sum", arg, tuple(a for a in arg.axes if a not in lonely)))

    def _pair(self, a: Lazy, b: Lazy, needed: set[Axis], over: Axes, last: bool) -> Lazy:
        every = union([a.axes, b.axes])
        kept = tuple(axis for axis in every if axis in needed)
        if len(kept) == len(every):
            return Lazy(sp.Mul(a.expr, b.expr), over if last else every)
        left = self._materialise(a, a.axes)
        right = left if a == b else self._materialise(b, b.axes)
        axes = tuple(x for x in over if x in kept) + tuple(x for x in kept if x not in over)
        out = self._temporary(axes)
        self.program.steps.append(Product(out, left, right))
        return self._of(out)

    def _reduce(self, kind: Any, arg: Value, axes: Axes) -> Value:
        out = self._temporary(axes)
        self.program.steps.append(Reduction(out, kind, arg))
        return out
