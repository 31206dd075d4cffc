"""Lowering: from nodes to steps, each node once, products bracketed two at a time.

What is elementwise stays an expression until somebody needs it as an array, so that chains are
fused; what a name stands for, or what is used more than once, is computed once and kept.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from functools import singledispatchmethod
from types import MappingProxyType
from typing import Any

import sympy as sp

from pullback.emit.correlation import present
from pullback.emit.expression.scalar import is_arithmetic
from pullback.emit.kernels import MaxPoolBackStep, MaxPoolStep
from pullback.emit.lookups import Hit
from pullback.emit.names import Names, identifier
from pullback.emit.of_matrix import OfMatrixStep
from pullback.emit.pools import MaxPool, MaxPoolBack, with_pools
from pullback.emit.products import Kind, ProductSteps
from pullback.emit.record import Lazy, Record
from pullback.emit.values import (
    Detached,
    ElementwiseStep,
    LoopStep,
    Lowered,
    Places,
    Source,
    Value,
)
from pullback.ir import (
    Add,
    ArgMax,
    Axes,
    Axis,
    Constant,
    Contract,
    Detach,
    Determinant,
    Input,
    Inverse,
    LogDet,
    LogSumExp,
    Map,
    Max,
    Named,
    Node,
    OneHot,
    Parameter,
    Pattern,
    Rename,
    Scan,
    Slice,
    Stack,
    symbol,
    uses,
    walk,
)
from pullback.ir.build import without
from pullback.ir.language.text import as_text
from pullback.ir.normal.regions import number
from pullback.ir.unmask import unmasked


def lower(
    roots: Mapping[str, Node],
    reserved: Container[str] = frozenset(),
    leaves: Sequence[Input | Parameter] = (),
    direct: bool = False,
    measures: Sequence[Node] = (),
) -> Lowered:
    """The steps that compute the roots; ``results`` holds them under the keys given.

    ``leaves`` are there in this order whether the roots read them or not: they may set sizes.
    Where it is ``direct``, convolutions are steps, for a target that has kernels for them.
    ``measures`` are constants that say how long axes are.
    """
    nodes = unmasked(with_pools(roots.values()) if direct else roots.values())
    record = Record(Lowered(), Names(reserved), direct)
    found = dict(zip(roots, nodes, strict=True))
    return _Lowering(record, found, leaves, measures=measures).program


class _Lowering:
    """The steps of some roots; ``given`` are values that leaves have already, as in a loop."""

    def __init__(
        self,
        record: Record,
        roots: Mapping[str, Node],
        leaves: Sequence[Input | Parameter],
        given: Mapping[Input, Value] = MappingProxyType({}),
        measures: Sequence[Node] = (),
    ) -> None:
        self.record = record
        self.program, self.names = record.program, record.names
        self.products = ProductSteps(self.record)
        self._lazy: dict[Node, Lazy] = {}
        self._identifiers: dict[Named, str] = {}
        self._equations: dict[Any, Any] = {}  # of functions: the array that holds their values
        self._stacks: dict[Scan, Value] = {}  # what the loops so far have computed
        count = uses(roots.values())
        order = list(walk(roots.values()))
        self._scans = [node for node in order if isinstance(node, Scan)]
        self.program.inputs.update({leaf.name: value for leaf, value in given.items()})
        every = dict.fromkeys((*leaves, *measures, *order))
        self._declare([node for node in every if node not in given])
        for node in order:
            if _pattern(node) or _one_hot(node) or _stack(node):
                continue  # a factor of products
            lazy = self.lower(node)
            if count[node] > 1 and self._worth_keeping(node, lazy):
                lazy = self.record.of(self.record.array(lazy, self.record.order(lazy)))
            self._lazy[node] = lazy
        for key, node in roots.items():
            self.program.results[key] = self._result(self.of(node), node.axes, key)

    def of(self, node: Node) -> Lazy:
        """What a node was lowered to."""
        if (pattern := _pattern(node)) is not None:
            return self.products((), (pattern,), node.axes)
        if (one_hot := _one_hot(node)) is not None:
            return self.products.lookups.indicator(self._hit(*one_hot))
        if (stack := _stack(node)) is not None:
            return self.products((), (), node.axes, (), (stack,))
        return self._lazy[node]

    def _hit(self, one_hot: OneHot, names: Mapping[Axis, Axis]) -> Hit:
        """A one-hot under other axes as a factor."""
        index = self.record.any_order(self.of(one_hot.index))
        axes = tuple(names.get(axis, axis) for axis in index.axes)
        return Hit(replace(index, axes=axes), names.get(one_hot.axis, one_hot.axis))

    def _result(self, lazy: Lazy, axes: Axes, key: str) -> Value:
        """A root as an array of its own: a leaf, a view or another root is copied."""
        value = self.record.array(lazy, axes, stem=identifier(key))
        taken = {each.name for each in self.program.results.values()}
        if value.source == "work" and value.name not in taken:
            return value
        copy = self.record.temporary(axes, identifier(key))
        self.program.steps.append(ElementwiseStep(copy, symbol(0), ((symbol(0), value),)))
        return copy

    def _declare(self, order: Sequence[Node]) -> None:
        """Leaves and named equations take their names first; then the sizes of open axes."""
        for node in order:
            if isinstance(node, Parameter):
                value = Value(self.names.of(node.name), node.axes, "parameter")
                self.program.parameters[node.name] = value
            elif isinstance(node, Input):
                kind: Source = "whole" if node.whole else "input"
                value = Value(self.names.of(node.name), node.axes, kind)
                self.program.inputs[node.name] = value
            elif isinstance(node, Named):
                # each equation has its own, should two of one name ever meet in a program
                own = self._identifiers[node] = self.names.of(node.label)
                self.program.equations[own] = node.name
        sizes = self.program.sizes
        for node in order:
            for axis in node.axes if isinstance(node, (Input, Parameter)) else ():
                if axis.size is None and axis not in sizes:
                    name = self.names.of(f"n_{axis.name}")
                    sizes[axis] = Value(name, (), "size")
        for node in order:
            if isinstance(node, Rename):
                for old, new in node.names:
                    self._tie(old, new)
        parts = [node.slice for node in order if isinstance(node, Pattern)]
        for part in parts:
            if part is not None and part.is_whole:
                self._tie(*part.axes)
        stacks = [stack for node in order if (stack := _stack(node)) is not None]
        slices = [part for part in parts if part is not None and not part.is_whole]
        self._declare_lengths([*slices, *stacks])

    def _declare_lengths(self, found: list[Slice | Stack]) -> None:
        """The lengths of the axes that slices and stacks make, those of what these make behind."""
        while found:
            made = {_ends(each)[0].unprimed for each in found}
            first = [each for each in found if not made & self._known_by(each)] or found
            for each in first:
                if isinstance(each, Stack):
                    self.record.stack(each)
                    continue
                self.program.makers.append(each)
                if each.row.size is None and each.row not in self.program.lengths:
                    length = Value(self.names.fresh("length"), (), "size")
                    self.program.lengths[each.row] = length
            found = [each for each in found if each not in first]

    def _known_by(self, made: Slice | Stack) -> set[Axis]:
        """The axes whose lengths say how long that of a slice or a stack is."""
        found, waiting = set[Axis](), [*_ends(made)[1]]
        while waiting:
            axis = waiting.pop()
            if axis not in found and axis not in self.program.sizes:
                found |= {axis, axis.unprimed}
                waiting += [a for a in (self.program.as_long_as.get(axis),) if a is not None]
        return found

    def _tie(self, old: Axis, new: Axis) -> None:
        """Two axes are of one length; it is known by that of whichever is a leaf's."""
        sizes = self.program.sizes
        known, other = (new, old) if new in sizes and old not in sizes else (old, new)
        self.program.as_long_as.setdefault(other, known)
        self.program.ties.append((old, new))

    def _worth_keeping(self, node: Node, lazy: Lazy) -> bool:
        trivial = lazy.expr.is_Symbol or (not lazy.axes and is_arithmetic(lazy.expr))
        return not (trivial or lazy.expr.is_number or isinstance(node, Named))

    @singledispatchmethod
    def lower(self, node: Node) -> Lazy:
        raise TypeError(f"no lowering for {type(node).__name__}")

    @lower.register(Parameter)
    @lower.register(Input)
    def _(self, node: Parameter | Input) -> Lazy:
        table = self.program.parameters if isinstance(node, Parameter) else self.program.inputs
        return self.record.of(table[node.name])

    @lower.register
    def _(self, node: Constant) -> Lazy:
        return Lazy(number(node.value), node.over)

    @lower.register
    def _(self, node: Map) -> Lazy:
        parts = {symbol(i): self.of(arg).expr for i, arg in enumerate(node.args)}
        expr = node.function.expr.xreplace(parts)
        return Lazy(expr.xreplace(self._equations), node.axes)

    @lower.register
    def _(self, node: Add) -> Lazy:
        return Lazy(sp.Add(*(self.of(term).expr for term in node.terms)), node.axes)

    @lower.register
    def _(self, node: Rename) -> Lazy:
        """A view of the same array under other axes, each as long as the one it stands for."""
        value, names = self.record.any_order(self.of(node.arg)), dict(node.names)
        axes = tuple(names.get(axis, axis) for axis in value.axes)
        return self.record.of(replace(value, axes=axes))

    @lower.register(LogSumExp)
    @lower.register(Max)
    def _(self, node: LogSumExp | Max) -> Lazy:
        kind: Kind = "logsumexp" if isinstance(node, LogSumExp) else "max"
        return self.products.reduced(kind, self.of(node.arg), node.axes)

    @lower.register
    def _(self, node: MaxPool) -> Lazy:
        arg = self.record.ending(self.of(node.arg), present(node.form.places))
        out, operands = present(node.form.positions), {"arg": arg}
        return self.record.of(self.record.step(MaxPoolStep, out, operands, form=node.form))

    @lower.register
    def _(self, node: MaxPoolBack) -> Lazy:
        arg = self.record.ending(self.of(node.arg), present(node.form.places))
        delta = self.record.ending(self.of(node.delta), present(node.form.positions))
        operands = {"arg": arg, "delta": delta}
        step = self.record.step(MaxPoolBackStep, arg.axes, operands, form=node.form)
        return self.record.of(step)

    @lower.register
    def _(self, node: Scan) -> Lazy:
        if node not in self._stacks:
            self._loop(node, [each for each in self._scans if each.family == node.family])
        return self.record.of(self._stacks[node])

    def _loop(self, node: Scan, family: Sequence[Scan]) -> None:
        """The step of one loop, which computes whatever is read of any of its turns."""
        body, over = node.body, node.over
        before = [
            (state, Value(self.names.fresh(f"before_{_stem(after)}"), state.axes, "input"))
            for state, after in zip(body.states, body.nexts, strict=True)
        ]
        reads, beside = [], []
        for read, arg in zip(body.reads, node.reads, strict=True):
            whole = self.record.any_order(self.of(arg))
            kind: Source = "whole" if read.whole else "input"
            if over in arg.axes:
                name, axes = self.names.fresh(f"{whole.name}_now"), without(whole.axes, (over,))
                reads.append((read, Value(name, axes, kind), whole))
            else:
                beside.append((read, replace(whole, source=kind)))
        given = dict([*before, *((read, now) for read, now, _ in reads), *beside])
        wanted = list(dict.fromkeys((*body.nexts, *(each.of for each in family))))
        roots = {f"turn.{at}": each for at, each in enumerate(unmasked(wanted))}
        inner = replace(self.program, parameters={}, inputs={}, steps=[], results={},
                        temporaries=set())  # fmt: skip
        turn = _Lowering(Record(inner, self.names, self.record.direct), roots, (), given).program
        result = dict(zip(wanted, turn.results.values(), strict=True))
        outs = tuple(self._stack(each) for each in family)
        self._stacks |= dict(zip(family, outs, strict=True))
        starts = [
            self.record.array(self.of(start), state.axes)
            for state, start in zip(body.states, node.starts, strict=True)
        ]
        self.program.steps.append(
            LoopStep(
                outs[0],
                outs[1:],
                turn,
                self.names.fresh("turn"),
                over,
                node.backward,
                tuple(
                    (value, start, result[after])
                    for (_, value), start, after in zip(before, starts, body.nexts, strict=True)
                ),
                tuple((now, whole) for _, now, whole in reads),
                tuple(value for _, value in beside),
                tuple(result[each.of] for each in family),
            )
        )

    def _stack(self, node: Scan) -> Value:
        """The array of a loop's values, under the name of the equation that they are, if any."""
        named = [each for each in self._identifiers if each.arg is node]
        name = self._identifiers[named[0]] if named else self.names.fresh(f"all_{_stem(node.of)}")
        return Value(name, (node.over, *node.of.axes))

    @lower.register
    def _(self, node: ArgMax) -> Lazy:
        value = self.record.any_order(self.of(node.arg))
        kept = tuple(axis for axis in value.axes if axis in node.axes)
        return self.record.of(self.record.step(Places, kept, {"arg": value}))

    @lower.register(Inverse)
    @lower.register(Determinant)
    @lower.register(LogDet)
    def _(self, node: Inverse | Determinant | LogDet) -> Lazy:
        value = self.record.any_order(self.of(node.arg))
        if set(value.axes) != set(node.arg.axes):  # the same along an axis
            value = self.record.array(self.of(node.arg), node.arg.axes)
        out = value.axes if isinstance(node, Inverse) else ()
        more = dict(kind=type(node).__name__.lower(), called=as_text(node.arg))
        return self.record.of(self.record.step(OfMatrixStep, out, {"arg": value}, **more))

    @lower.register
    def _(self, node: Detach) -> Lazy:
        value = self.record.any_order(self.of(node.arg))
        return self.record.of(self.record.step(Detached, value.axes, {"arg": value}))

    @lower.register
    def _(self, node: Named) -> Lazy:
        lazy, name = self.of(node.arg), self._identifiers[node]
        if lazy.expr.is_Symbol and self.record.value(lazy.expr).name == name:
            return lazy  # a loop has made it
        named = self.record.give_name(lazy, name)
        if named is not None:
            return named
        held = self.record.of(self.record.array(lazy, self.record.order(lazy), name=name))
        carried = {axis for _, value in self.record.values(lazy) for axis in value.axes}
        if lazy.expr.atoms(sp.Function) and carried == set(node.axes):
            self._equations[lazy.expr] = held.expr
        return held

    @lower.register
    def _(self, node: Contract) -> Lazy:
        patterns = [pattern for f in node.factors if (pattern := _pattern(f)) is not None]
        hits = [self._hit(*hit) for hit in map(_one_hot, node.factors) if hit is not None]
        stacks = [stack for f in node.factors if (stack := _stack(f)) is not None]
        constant = (_pattern, _one_hot, _stack)
        arrays = [self.of(f) for f in node.factors if not any(kind(f) for kind in constant)]
        return self.products(arrays, patterns, node.over, hits, stacks)


def _one_hot(node: Node) -> tuple[OneHot, dict[Axis, Axis]] | None:
    """The one-hot that a node is, and what its axes are called there."""
    if isinstance(node, Rename) and (held := _one_hot(node.arg)) is not None:
        names = dict(node.names)
        return held[0], {old: names.get(new, new) for old, new in held[1].items()}
    return (node, {axis: axis for axis in node.axes}) if isinstance(node, OneHot) else None


def _stack(node: Node) -> Stack | None:
    """The stack that a node is, under whatever axes."""
    if isinstance(node, Rename) and (stack := _stack(node.arg)) is not None:
        return stack.renamed(dict(node.names))
    return node if isinstance(node, Stack) else None


def _ends(made: Slice | Stack) -> tuple[Axis, Axes]:
    """The axis that a slice or a stack makes, and those that it is made of."""
    if isinstance(made, Stack):
        return made.whole, made.parts
    return made.row, (made.column,)


def _stem(node: Node) -> str:
    """What reminds of a node of a loop's body."""
    return identifier(node.label) if isinstance(node, Named) else "state"


def _pattern(node: Node) -> Pattern | None:
    """The pattern that a node is, under whatever axes."""
    if isinstance(node, Rename) and (pattern := _pattern(node.arg)) is not None:
        return pattern.renamed(dict(node.names))
    return node if isinstance(node, Pattern) else None
