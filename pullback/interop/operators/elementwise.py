"""Functions of each entry by itself: activations, arithmetic, comparisons."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import sympy as sp

from pullback.errors import ConversionError
from pullback.interop import formula
from pullback.interop.builder import Builder
from pullback.interop.rows import Batch, Held
from pullback.interop.values import Compared, Dims, PlacedNode, ShiftedPlaces
from pullback.ir import Constant, Input, Map, Named, Node, Scalar, symbol
from pullback.ir.axis import union
from pullback.ir.build import add, multiply, scale
from pullback.ir.lookup import is_whole
from pullback.ir.normal.regions import Region
from pullback.ir.scalar.cases import Piecewise
from pullback.nn import Activation, Elementwise

LONGEST = 64  # parts of a formula that is one equation

# what Python does with whole numbers, such as the parts of a shape
_WHOLE: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "floordiv": operator.floordiv,
    "floor_divide": operator.floordiv, "div": operator.truediv, "pow": operator.pow,
    "mod": operator.mod,
}  # fmt: skip


def applied(b: Builder, input: Any, block: Elementwise) -> PlacedNode:
    """An activation of one value."""
    return mapped(b, block.expression(), (b.tensor(input),), not isinstance(block, Activation))


def joined(b: Builder, input: Any, other: Any, alpha: Any = 1, *, name: str) -> Any:
    """Two values, or numbers in place of them; ``alpha`` multiplies the second."""
    if not any(isinstance(each, (PlacedNode, Held)) for each in (input, other)):
        return _of_numbers(name, input, other)
    if name == "div" and isinstance(other, Batch):
        return b.over_batch(b.named(b.tensor(input)), other)
    for one, other_ in ((input, other), (other, input)):
        if name == "add" and isinstance(other_, Held) and is_places(one) and other_.constant:
            return ShiftedPlaces(one, other_)
    if name not in formula.BINARY:
        raise ConversionError(f"{name} has no counterpart in pullback")
    if name == "add" and alpha == 1:
        for one, bias in ((input, other), (other, input)):
            if isinstance(one, PlacedNode) and one.role == "z" and is_bias(b, one, bias):
                return with_bias(b, one, bias)
    expr = formula.BINARY[name]
    if alpha != 1:
        at = 0 if name == "rsub" else 1
        expr = expr.xreplace({symbol(at): formula.number(alpha) * symbol(at)})
    return mapped(b, expr, (input, other))


def is_places(value: Any) -> bool:
    """Are these the whole numbers of an input?"""
    return isinstance(value, PlacedNode) and is_whole(value.node)


def is_bias(b: Builder, product: PlacedNode, bias: Any) -> bool:
    """Is it a vector over the last axis of a product that has no name yet?"""
    last = product.dims[-1] if product.dims else None
    return (
        product.row is not None
        and isinstance(bias, Held)
        and bias.number is None
        and last is not None
        and bias.shape == (b.size(last),)
    )


def with_bias(b: Builder, product: PlacedNode, bias: Held) -> PlacedNode:
    """A product with a bias over its last axis."""
    product, last = b.along(product, -1)
    return replace(product, node=add(product.node, b.parameter(bias, (last,))))


def _of_numbers(name: str, x: Any, y: Any) -> Any:
    for one, other in ((x, y), (y, x)):
        if name == "mul" and isinstance(one, Batch) and isinstance(other, int):
            return Batch(one.times * other)
    divides = name in ("floordiv", "floor_divide") and isinstance(y, int)
    if divides and isinstance(x, Batch) and x.times % y == 0:
        return Batch(x.times // y)
    if isinstance(x, Batch) or isinstance(y, Batch):
        raise ConversionError("it computes with the batch's size")
    if name not in _WHOLE or not all(isinstance(each, (int, float)) for each in (x, y)):
        raise ConversionError("it does not join values and numbers")
    return _WHOLE[name](x, y)


def compared(b: Builder, input: Any, other: Any, *, name: str) -> Compared:
    """What a choice is made by."""
    return Compared(name, input, other)


def chosen(b: Builder, condition: Any, input: Any = 1, other: Any = 0) -> PlacedNode:
    """One value where a comparison holds, else the other."""
    if not isinstance(condition, Compared):
        raise ConversionError("it chooses by something else than a comparison of two values")
    sides = condition.left, condition.right
    found = mapped(b, formula.where(condition.relation), (*sides, input, other))
    return replace(found, truth=True) if (input, other) == (1, 0) else found


def prelu(b: Builder, input: Any, weight: Any) -> PlacedNode:
    """x above 0, weight · x elsewhere; the weights belong to axis 1."""
    x = b.tensor(input)
    expr = Piecewise((symbol(0), symbol(0) > 0), (symbol(0) * symbol(1), True))
    if isinstance(weight, Held) and weight.shape != (1,):
        x, axis = b.along(x, 1)
        weight = PlacedNode(b.fitted(weight, (axis,)), (axis, *(None,) * (len(x.dims) - 2)))
    return mapped(b, expr, (x, weight))


def outer(b: Builder, input: Any, vec2: Any) -> PlacedNode:
    """Every product of an entry of one vector and one of another."""
    one, other = b.tensor(input), b.tensor(vec2)
    one, other = one.seen((*one.dims, None)), other.seen((None, *other.dims))
    return mapped(b, symbol(0) * symbol(1), (one, other))


def interpolated(b: Builder, input: Any, end: Any, weight: Any) -> PlacedNode:
    """input + weight · (end − input)."""
    return mapped(b, symbol(0) + symbol(2) * (symbol(1) - symbol(0)), (input, end, weight))


def with_product(
    b: Builder, input: Any, one: Any, two: Any, value: Any = 1, *, divides: bool = False
) -> PlacedNode:
    """input + value · one · two, or value · one / two."""
    x, y, z, c = (symbol(at) for at in range(4))
    return mapped(b, x + c * (y / z if divides else y * z), (input, one, two, value))


def mapped(b: Builder, expr: Any, args: tuple[Any, ...], plain: bool = False) -> PlacedNode:
    """An expression in x0, x1, … of values and numbers, entry by entry.

    It waits for a name, so that a formula which is written in steps becomes one equation; ``plain``
    says that it is one function that has a name of its own.
    """
    tensors: list[Any] = []
    filled: dict[Any, Any] = {}
    for at, arg in enumerate(args):
        known = arg.number if isinstance(arg, Held) else None
        if isinstance(arg, (PlacedNode, Held)) and known is None:
            if not any(arg is each for each in tensors):
                tensors.append(arg)
            filled[symbol(at)] = symbol(next(i for i, e in enumerate(tensors) if e is arg))
        else:
            filled[symbol(at)] = formula.number(arg if known is None else known)
    expr = expr.xreplace(filled)
    if not expr.free_symbols:  # terms that cancel: the same number at every place
        nodes, dims = aligned(b, tensors)
        return PlacedNode(Constant(float(expr), union(node.axes for node in nodes)), dims)
    of = frozenset[Any]().union(
        *(each.sources if isinstance(each, PlacedNode) else {each} for each in tensors)
    )
    tensors = _apart(b, tensors, expr, plain, len(of) > 1)
    nodes, dims = aligned(b, tensors)
    inner = [each for each in tensors if isinstance(each, PlacedNode) and each.row is not None]
    made = PlacedNode(
        _node(expr, nodes),
        dims,
        b.row,
        plain=plain,
        cases=bool(expr.has(sp.Piecewise)) or any(each.cases for each in inner),
        parts=_length(expr) + sum(each.parts for each in inner),
        of=frozenset[Node]().union(*(e.sources for e in tensors if isinstance(e, PlacedNode))),
    )
    if len(inner) == len(tensors) == 1 and inner[0].plain and expr.coeff(symbol(0)).is_number:
        factor = expr.coeff(symbol(0))
        if expr == factor * symbol(0):
            return replace(made, core=(float(factor), inner[0]))
    return _known(made) if inner and len(made.of) == 1 else made


def _apart(b: Builder, tensors: list[Any], expr: Any, plain: bool, meet: bool) -> list[Any]:
    """The arguments, those as equations of their own that the formula does not take in.

    It takes in no sum of products, and none that would make it long. An activation that has a name
    stays one beside another, and where branches ``meet``, as in x + 0.5 · tanh(x).
    """
    waiting = [each for each in tensors if isinstance(each, PlacedNode) and each.row is not None]
    too_long = _length(expr) + sum(each.parts for each in waiting) > LONGEST
    skips = len(tensors) == 2 and len(waiting) == 1 and _slopes(expr, 2) is not None
    own, cases = plain or meet or skips, bool(expr.has(sp.Piecewise))
    found: list[Any] = []
    for each in tensors:
        if not isinstance(each, PlacedNode):
            found.append(each)
        elif own and each.core is not None:
            factor, core = each.core
            core = b.named(core)
            node = scale(factor, core.node)
            found.append(replace(each, node=node, of=core.sources, core=None, parts=3))
        elif (
            too_long
            or each.role == "z"
            or (own and each.plain)
            or (plain and len(each.sources) > 1)
            or (cases and each.cases)
        ):
            found.append(b.named(each))
        else:
            found.append(each)
    return found


def _known(value: PlacedNode) -> PlacedNode:
    """A formula of one value as the activation that it is, if it is one that has a name."""
    region = Region(value.node, stop=lambda node: isinstance(node, (Named, Input)))
    block = formula.known_block(region.expr) if len(region.leaves) == 1 else None
    if block is None:
        return value
    (leaf,) = region.leaves
    return replace(value, node=Map(block.function, (leaf,)), plain=True, cases=False)


def _length(expr: Any) -> int:
    return sum(1 for _ in sp.preorder_traversal(expr))


def _slopes(expr: Any, arity: int) -> list[Any] | None:
    """The numbers c of Σ c·x, where it is such a sum of all its arguments."""
    slopes = [expr.coeff(symbol(at)) for at in range(arity)]
    if not all(s.is_number and s != 0 for s in slopes):
        return None
    rest = sp.expand(expr - sum(s * symbol(at) for at, s in enumerate(slopes)))
    return slopes if rest == 0 else None


def _node(expr: Any, nodes: list[Node]) -> Node:
    """Sums and products as such, anything else as one function of its arguments."""
    if len(nodes) == 2 and nodes[0] is nodes[1]:
        expr, nodes = expr.xreplace({symbol(1): symbol(0)}), nodes[:1]
    slopes = _slopes(expr, len(nodes))
    if slopes is not None:
        pairs = zip(slopes, nodes, strict=True)
        return add(*(node if c == 1 else scale(float(c), node) for c, node in pairs))
    if len(nodes) == 2 and expr == symbol(0) * symbol(1):
        return multiply(*nodes)
    return Map(Scalar.of(expr, len(nodes)), tuple(nodes))


def aligned(b: Builder, tensors: list[Any]) -> tuple[list[Node], Dims]:
    """The nodes of some tensors with axes that meet by their place, as torch and NumPy have it.

    Raises ConversionError for lengths that do not meet.
    """
    rank = max(len(each.dims if isinstance(each, PlacedNode) else each.shape) for each in tensors)
    targets: list[Any] = [None] * rank
    for each in sorted(tensors, key=lambda each: isinstance(each, Held)):
        if isinstance(each, Held):
            own: Dims = tuple(a if a.size != 1 else None for a in b.own_axes(each))
        else:
            own = each.dims
        offset = rank - len(own)
        for at, axis in enumerate(own, offset):
            known = targets[at]
            if axis is None:
                continue
            if known is not None and (b.size(known) != 1 or b.size(axis) == 1):
                continue
            if any(other == axis for i, other in enumerate(targets) if i != at):
                axis = b.fresh("again", b.known(axis))
            targets[at] = axis
    nodes = []
    for each in tensors:
        if isinstance(each, Held):
            nodes.append(b.fitted(each, tuple(targets[rank - len(each.shape) :])))
        else:
            nodes.append(b.brought(each, tuple(targets[rank - len(each.dims) :])))
    return nodes, tuple(targets)
