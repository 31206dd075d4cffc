"""``evaluate``: a slow, obvious NumPy interpreter of nodes, the oracle for everything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import singledispatchmethod
from typing import Any

import numpy as np

from pullback.ir.axis import Axes, union
from pullback.ir.inverse import Determinant, Inverse, LogDet
from pullback.ir.kinds import (
    Add,
    Constant,
    Contract,
    Input,
    Map,
    Named,
    Parameter,
    Rename,
)
from pullback.ir.language.text import as_text
from pullback.ir.lookup import Detach, OneHot
from pullback.ir.node import Node, walk
from pullback.ir.pattern import Index, Pattern
from pullback.ir.reduction import AlongAxis, ArgMax, LogSumExp, Max
from pullback.ir.scalar.function import divided, divisor, symbol
from pullback.ir.scalar.primitives import Array
from pullback.ir.scan import Scan
from pullback.ir.sizes import Sizes, axis_sizes
from pullback.ir.stack import Stack, concrete
from pullback.machine.matrix import inverse, log_determinant

_TOGETHER = 32  # factors that NumPy multiplies at once: its older versions take no more


def evaluate(node: Node, values: Mapping[str, Any]) -> Array:
    """The value of a node, its axes in the node's order; real or complex.

    ``values`` holds an array for each Input and Parameter by name.
    Raises UnknownNameError for a missing one and ShapeError for one that does not fit.

    >>> from pullback.ir import Axis, Input, Contract
    >>> i = Axis("i")
    >>> x = Input("x", (i,))
    >>> float(evaluate(Contract((x, x), ()), {"x": [3.0, 4.0]}))
    25.0
    """
    return evaluate_all((node,), values)[node]


def evaluate_all(roots: tuple[Node, ...], values: Mapping[str, Any]) -> dict[Node, Array]:
    """The value of every node at or below the roots."""
    nodes = list(walk(roots))
    shapes = {name: np.shape(value) for name, value in values.items()}
    interpreter = _Interpreter(values, axis_sizes(nodes, shapes))
    for node in nodes:
        interpreter.done[node] = interpreter.value(node)
    return {node: interpreter.whole(node) for node in interpreter.done}


class _Interpreter:
    """Values may lack an axis along which they are constant; ``whole`` fills it in."""

    def __init__(self, values: Mapping[str, Any], sizes: Sizes) -> None:
        self.values, self.sizes = values, sizes
        self.done: dict[Node, Array] = {}

    def whole(self, node: Node) -> Array:
        shape = tuple(self.sizes.of(axis) for axis in node.axes)
        return np.array(np.broadcast_to(self.done[node], shape))

    def laid(self, node: Node, axes: Axes) -> Array:
        """The whole value with its axes in this order."""
        return _along(self.whole(node), node.axes, axes)

    def aligned(self, node: Node, axes: Axes) -> Array:
        """The node's value laid along ``axes``, with length 1 where it has no such axis."""
        return _along(self.done[node], node.axes, axes)

    def factors(self, node: Contract) -> list[tuple[Array, Axes]]:
        """The factors of a product with their axes; 1/b divides others, for b may be tiny."""
        below = [(f, d) for f in node.factors if isinstance(f, Map) and (d := _divisor(f))]
        divisors = {factor for factor, _ in below}
        found = [(self.whole(f), f.axes) for f in node.factors if f not in divisors]
        for factor, (by, times) in below:
            axes = set(factor.axes)
            over = [each for each in found if set(each[1]) == axes]
            if not over and found:  # the one that shares most axes, and has few others
                over = [max(found, key=lambda e: (len(axes & set(e[1])), -len(e[1])))]
            every = union([*(each[1] for each in over), factor.axes])
            total: Any = 1.0
            for value, have in over:
                total = total * _along(value, have, every)
            found = [each for each in found if all(each is not other for other in over)]
            found.append((divided(total, self.aligned(by, every), times), every))
        return found

    @singledispatchmethod
    def value(self, node: Node) -> Array:
        raise TypeError(f"no rule for {type(node).__name__}")

    @value.register(Input)
    @value.register(Parameter)
    def _(self, node: Input | Parameter) -> Array:
        return np.asarray(self.values[node.name])

    @value.register
    def _(self, node: Constant) -> Array:
        return np.asarray(node.value)

    @value.register
    def _(self, node: Pattern) -> Array:
        lengths = {axis: self.sizes.of(axis) for axis in node.axes}
        grid = dict(zip(node.axes, np.indices(tuple(lengths.values())), strict=True))

        def number(index: Index) -> Any:
            fixed = index.offset + sum(c * lengths[axis] for axis, c in index.lengths)
            return fixed + sum(c * grid[axis] for axis, c in index.terms)

        holds: Any = np.ones(tuple(lengths.values()), bool)
        for equation in node.equations:
            holds &= number(equation) == 0
        for each in node.ranges:
            at = number(each.index)
            holds &= at >= (at if each.low is None else each.low)
            holds &= at <= (at if each.high is None else each.high)
        return np.asarray(holds, float)

    @value.register
    def _(self, node: Stack) -> Array:
        (sized,) = concrete((node,), {axis: self.sizes.of(axis) for axis in node.axes})
        return evaluate(sized, {})

    @value.register
    def _(self, node: Contract) -> Array:
        factors = list(self.factors(node))
        while len(factors) > _TOGETHER:
            few, factors = factors[:_TOGETHER], factors[_TOGETHER:]
            wanted = {*node.over, *(axis for _, axes in factors for axis in axes)}
            kept = tuple(dict.fromkeys(a for _, axes in few for a in axes if a in wanted))
            factors.append((_product(few, kept), kept))
        return _product(factors, node.over)

    @value.register
    def _(self, node: Map) -> Array:
        return node.function(*(self.aligned(arg, node.axes) for arg in node.args))

    @value.register
    def _(self, node: Add) -> Array:
        return np.asarray(sum(self.aligned(term, node.axes) for term in node.terms))

    @value.register(Rename)
    @value.register(Named)
    def _(self, node: Rename | Named) -> Array:
        return self.done[node.arg]

    @value.register
    def _(self, node: LogSumExp) -> Array:
        value, counts, at = self.line(node)
        some = counts.any(axis=at, keepdims=True)
        top = np.max(np.real(value), axis=at, keepdims=True, where=counts, initial=-np.inf)
        top = np.where(some, top, 0.0)
        powers = np.where(counts, np.exp(np.where(counts, value, top) - top), 0.0)
        total = np.sum(powers, axis=at, keepdims=True)
        return np.squeeze(np.where(some, np.log(np.where(some, total, 1.0)) + top, 0.0), axis=at)

    @value.register
    def _(self, node: Max) -> Array:
        value, counts, at = self.line(node)
        place = np.expand_dims(_first_largest(value, counts, at), at)
        found = np.take_along_axis(value, place, axis=at)
        return np.squeeze(np.where(counts.any(axis=at, keepdims=True), found, 0.0), axis=at)

    @value.register
    def _(self, node: ArgMax) -> Array:
        return _first_largest(*self.line(node))

    @value.register
    def _(self, node: OneHot) -> Array:
        index, size = self.whole(node.index), self.sizes.of(node.axis)
        return np.equal(index[..., None], np.arange(size)).astype(float)

    @value.register
    def _(self, node: Inverse) -> Array:
        return inverse(self.whole(node.arg), as_text(node.arg))

    @value.register
    def _(self, node: LogDet) -> Array:
        return np.asarray(log_determinant(self.whole(node.arg), as_text(node.arg)))

    @value.register
    def _(self, node: Determinant) -> Array:
        return np.asarray(np.linalg.det(self.whole(node.arg)))

    @value.register
    def _(self, node: Detach) -> Array:
        return np.real(self.done[node.arg])  # a complex step passes no more than a tangent

    def line(self, node: AlongAxis) -> tuple[Array, Array, int]:
        """What is reduced, which entries of it count, and along which dimension."""
        shape = tuple(self.sizes.of(axis) for axis in node.over)
        value = np.broadcast_to(self.aligned(node.arg, node.over), shape)
        counts = np.ones(shape, bool)
        if node.where is not None:
            counts &= np.real(self.aligned(node.where, node.over)) > 0
        return value, counts, node.over.index(node.axis)

    @value.register
    def _(self, node: Scan) -> Array:
        """Turn by turn, each with the states that the one before has left."""
        over, body = node.over, node.body
        states = zip(body.states, node.starts, strict=True)
        held = {p.name: self.laid(start, p.axes) for p, start in states}
        given = {
            p.name: self.laid(arg, (over, *p.axes) if over in arg.axes else p.axes)
            for p, arg in zip(body.reads, node.reads, strict=True)
        }
        moving = [p.name for p, arg in zip(body.reads, node.reads, strict=True) if over in arg.axes]
        nodes, found = list(walk((*body.nexts, node.of))), list[Array]()
        shapes = {
            p.name: np.shape({**held, **given}[p.name])[p.name in moving :]
            for p in body.placeholders
        }
        sizes = axis_sizes(nodes, shapes)
        for turn in range(self.sizes.of(over))[:: -1 if node.backward else 1]:
            now = {**held, **given, **{name: given[name][turn] for name in moving}}
            inner = _Interpreter(now, sizes)
            for each in nodes:
                inner.done[each] = inner.value(each)
            for state, after in zip(body.states, body.nexts, strict=True):
                held[state.name] = inner.laid(after, state.axes)
            found.append(inner.whole(node.of))
        self.sizes.update(zip(node.of.axes, found[0].shape, strict=True))
        return np.stack(found[::-1] if node.backward else found, axis=node.axes.index(over))


def _first_largest(value: Array, counts: Array, at: int) -> Array:
    return np.asarray(np.argmax(np.where(counts, np.real(value), -np.inf), axis=at))


def _product(factors: Sequence[tuple[Array, Axes]], over: Axes) -> Array:
    """Some arrays with their axes multiplied, and summed over the axes that are not in ``over``."""
    letters = {axis: at for at, axis in enumerate(union([*(axes for _, axes in factors), over]))}
    operands: list[Any] = []
    for value, axes in factors:
        operands += [value, [letters[axis] for axis in axes]]
    wanted = [letters[axis] for axis in over]
    return np.asarray(np.einsum(*operands, wanted, optimize=len(letters) > 3))


def _along(value: Array, have: Axes, axes: Axes) -> Array:
    if value.ndim == 0:
        return value
    value = value.transpose([have.index(axis) for axis in axes if axis in have])
    return np.expand_dims(value, [i for i, axis in enumerate(axes) if axis not in have])


def _divisor(node: Map) -> tuple[Node, int] | None:
    """b and n of a factor b⁻ⁿ."""
    under = divisor(node.function.expr)
    return (node.args[0], under[1]) if under and under[0] == symbol(0) else None
