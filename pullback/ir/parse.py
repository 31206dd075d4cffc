"""From text to nodes: ``mean(log(1+exp(-y*(X@w))))`` with axes by name."""

from __future__ import annotations

import ast
import keyword
from collections.abc import Mapping

import sympy as sp

from pullback.errors import AxisError, NonFiniteError, nearest
from pullback.ir.axis import Axes, Axis, show
from pullback.ir.build import add, matmul, multiply, scalar_map, scale, subtract, transpose
from pullback.ir.cases import Piecewise
from pullback.ir.elementwise import is_finite_real
from pullback.ir.exact import NOT_REAL, elementwise, formula, is_number, literal, value_of
from pullback.ir.functions import ELEMENTWISE, NAMES, OVER_AXES, RENAME, WHERE, arity
from pullback.ir.node import Input, Node, Rename
from pullback.ir.pick import entry, pick
from pullback.ir.scalar import Scalar, symbol
from pullback.ir.stable import stabilise
from pullback.ir.syntax import Source

CONSTANTS = {"pi": sp.pi, "e": sp.E}
STEEPEST = 1000  # the largest exponent; an exact power of a number has to stay a number
_X, _Y = symbol(0), symbol(1)
_COMPARE = {ast.Gt: sp.Gt, ast.GtE: sp.Ge, ast.Lt: sp.Lt, ast.LtE: sp.Le}


def parse(text: str, axes: Mapping[str, Axes]) -> Node:
    """The node that a text means; each name of ``axes`` is an Input with those axes.

    ``+ - * / **`` broadcast by axis name. ``A @ b`` sums the last axis of A, which has to be the
    only or second-to-last axis of b. ``A.T`` transposes, ``rename(A, d="k")`` renames an axis,
    ``x[1:]``, ``X[:, 0]`` slice, ``where(a > b, x, y)`` chooses.
    The functions are those of ``pullback.ir.functions``; the ones over axes take ``axis="n d"``
    and by default go over all axes (softmax: the last one; dot: the shared ones).
    Raises ExpressionError, with a caret under the place, for whatever else the text holds and
    for names that are not declared, or declared and not used; AxisError for a bad declaration.

    >>> n, d = Axis("n"), Axis("d")
    >>> parse("X @ w", {"X": (n, d), "w": (d,)}).axes
    (n,)
    """
    source = Source(text)
    for name in axes:
        check_name("a variable", name)
    variables = {name: Input(name, over) for name, over in axes.items()}
    node = _Reader(source, variables).node(source.tree)
    used = source.names()
    for name in variables:
        if name not in used:
            raise source.error(f"{name!r} is declared, but {source.text!r} does not use it")
    return node


def parse_scalar(text: str) -> Scalar:
    """The function of one variable, of any name, that a text means.

    Raises ExpressionError, with a caret under the place, unless exactly one name is free.

    >>> parse_scalar("1.7159*tanh(2*x/3)")
    1.7159*tanh(2*x0/3)
    """
    source = Source(text)
    free = {name: column for name, column in source.names().items() if name not in CONSTANTS}
    if len(free) != 1:
        found = " and ".join(map(repr, free)) or "none"
        place = list(free.values())[1] if free else None
        raise source.error(f"expected a function of one variable, found {found}", place)
    (name,) = free
    node = _Reader(source, {name: Input(name, ())}).node(source.tree)
    expr = stabilise(formula(node))
    if not is_finite_real(expr):
        raise source.error(NOT_REAL, source.tree)
    return Scalar.of(expr, 1)


def parse_axes(variable: str, names: str) -> Axes:
    """The axes of a variable, as in ``"n d"``; their sizes are not known.

    Raises AxisError for what is not a name or stands twice.

    >>> parse_axes("X", "n d")
    (n, d)
    """
    if not isinstance(names, str):
        raise AxisError(f"the axes of {variable!r} are a string such as 'n d', found {names!r}")
    each = names.split()
    for axis in each:
        check_name(f"an axis of {variable}={names!r}", axis)
        if each.count(axis) > 1:
            raise AxisError(f"axis {axis!r} stands twice in {variable}={names!r}")
    return tuple(Axis(axis) for axis in each)


def check_name(kind: str, name: str) -> None:
    """Raise AxisError unless the name can stand in an expression."""
    if keyword.iskeyword(name):
        raise AxisError(f"{name!r} cannot name {kind}: Python keeps the word for itself")
    if not name.isidentifier():
        raise AxisError(f"{name!r} cannot name {kind}: names are letters, digits and _")


class _Reader:
    """One walk over the syntax tree: a whitelist, whatever it does not name is refused."""

    def __init__(self, source: Source, variables: Mapping[str, Node]) -> None:
        self.source = source
        self.variables = variables
        self.exponent = 1.0  # of all powers around the present place together

    def node(self, tree: ast.expr) -> Node:
        """The meaning of a part."""
        try:
            node = self._meaning(tree)
            if is_number(node):
                value_of(node)  # a number is to be finite wherever it stands
        except (AxisError, NonFiniteError) as fault:
            raise self.source.error(str(fault), tree) from None
        return node

    def _meaning(self, tree: ast.expr) -> Node:
        match tree:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return literal(value)
            case ast.Name(id=name):
                return self._name(name, tree)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return scale(-1.0, self.node(operand))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.node(operand)
            case ast.BinOp(left=left, op=ast.Pow(), right=right):
                return self._power(left, right)
            case ast.BinOp(left=left, op=op, right=right):
                return self._binary(self.node(left), op, self.node(right), tree)
            case ast.Subscript(value=value, slice=place):
                return self._slice(self.node(value), place)
            case ast.Attribute(value=value, attr="T"):
                return transpose(self.node(value))
            case ast.Attribute(attr=name):
                hint = f"write {name}(…)" if name in NAMES else "the only one is .T"
                raise self.source.error(f"unknown attribute .{name}: {hint}", tree)
            case ast.Call(func=ast.Name(id=name)):
                return self._call(name, tree)
            case ast.Call(func=function):
                self.node(function)
                raise self.source.error("only a function's name can be called", tree)
        raise self.source.error(
            "an expression has numbers, names, + - * / ** @ .T and functions; not this", tree
        )

    def _name(self, name: str, tree: ast.expr) -> Node:
        if name in self.variables:
            return self.variables[name]
        if name in CONSTANTS:
            return scalar_map(CONSTANTS[name])
        hint = f"write {name}(…)" if name in NAMES else nearest(name, self.variables)
        raise self.source.error(f"unknown name {name!r}: {hint}", tree)

    def _binary(self, a: Node, op: ast.operator, b: Node, tree: ast.expr) -> Node:
        match op:
            case ast.Add():
                return add(a, b)
            case ast.Sub():
                return subtract(a, b)
            case ast.Mult():
                return multiply(a, b)
            case ast.Div():
                return multiply(a, elementwise(1 / _X, b))
            case ast.MatMult():
                return matmul(a, b)
        hint = ": a power is written **" if isinstance(op, ast.BitXor) else ""
        raise self.source.error(f"unknown operator{hint}", tree)

    def _power(self, base: ast.expr, exponent: ast.expr) -> Node:
        power, around = self.node(exponent), self.exponent
        if is_number(power):
            self.exponent *= max(1.0, abs(value_of(power)))
        if self.exponent > STEEPEST:
            raise self.source.error(f"an exponent beyond {STEEPEST} is too steep", exponent)
        result = elementwise(_X**_Y, self.node(base), power)
        self.exponent = around
        return result

    def _call(self, name: str, tree: ast.Call) -> Node:
        if name in self.variables:
            raise self.source.error(f"{name!r} is a variable, not a function", tree)
        if name not in NAMES:
            raise self.source.error(f"unknown function {name!r}: {nearest(name, NAMES)}", tree)
        if name == RENAME:
            return self._rename(tree)
        if name == WHERE:
            return self._where(tree)
        args, axis = list(tree.args), self._axis_option(name, tree)
        if axis is None and name in OVER_AXES and len(args) == arity(name) + 1:
            axis = args.pop()
        tensors = self._tensors(name, args, tree)
        if name in ELEMENTWISE:
            return elementwise(ELEMENTWISE[name], *tensors)
        row = OVER_AXES[name]
        axes = row.default(tensors) if axis is None else self._axes(name, axis, tensors)
        return row.build(tensors, axes)

    def _tensors(self, name: str, args: list[ast.expr], tree: ast.Call) -> tuple[Node, ...]:
        expected = arity(name)
        if len(args) != expected:
            plural = "" if expected == 1 else "s"
            message = f"{name} takes {expected} argument{plural}, found {len(args)}"
            raise self.source.error(message, tree)
        return tuple(self.node(arg) for arg in args)

    def _axis_option(self, name: str, tree: ast.Call) -> ast.expr | None:
        for word in tree.keywords:
            if word.arg != "axis" or name not in OVER_AXES:
                allowed = "its only option is axis" if name in OVER_AXES else "it has no options"
                fault = f"{name} does not know {word.arg or '**'!r}: {allowed}"
                raise self.source.error(fault, word)
            return word.value
        return None

    def _axes(self, name: str, tree: ast.expr, tensors: tuple[Node, ...]) -> Axes:
        """The axes that a string names; all of them stand on the tensors."""
        hint = f"; of two tensors write {name}imum(…)" if f"{name}imum" in NAMES else ""
        names = self._string(tree, f"the axis of {name} is", hint).split()
        known = {axis.name: axis for tensor in tensors for axis in tensor.axes}
        for axis in names:
            if axis not in known:
                sides = " and ".join(show(tensor.axes) for tensor in tensors)
                raise self.source.error(f"there is no axis {axis!r} in {sides}", tree)
        if not names or len(set(names)) < len(names):
            raise self.source.error("name each axis once", tree)
        return tuple(known[axis] for axis in names)

    def _rename(self, tree: ast.Call) -> Node:
        (node,) = self._tensors(RENAME, tree.args, tree)
        known = {axis.name: axis for axis in node.axes}
        names = []
        for word in tree.keywords:
            if word.arg not in known:
                raise self.source.error(f"there is no axis {word.arg!r} in {show(node.axes)}", word)
            new = self._string(word.value, "the new name is")
            check_name("an axis", new)
            old = known[word.arg]
            names.append((old, Axis(new, old.size)))
        if not names:
            raise self.source.error(f'{RENAME} takes names of axes, as in d="k"', tree)
        return Rename(node, tuple(names))

    def _where(self, tree: ast.Call) -> Node:
        """where(a > b, x, y): x where the comparison holds, else y."""
        if len(tree.args) != arity(WHERE) or tree.keywords:
            found = len(tree.args) + len(tree.keywords)
            raise self.source.error(f"{WHERE} takes 3 arguments, found {found}", tree)
        condition, *values = tree.args
        match condition:
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARE:
                sides = (self.node(left), self.node(right))
            case _:
                fault = f"{WHERE} chooses by one comparison, as in where(a > b, x, y)"
                raise self.source.error(fault, condition)
        holds = _COMPARE[type(op)](_X, _Y, evaluate=False)
        chosen = Piecewise((symbol(2), holds), (symbol(3), True))
        return elementwise(chosen, *sides, *map(self.node, values))

    def _slice(self, node: Node, place: ast.expr) -> Node:
        """x[1:-1], X[:, 0]: one place an axis, in the order of the axes."""
        places = place.elts if isinstance(place, ast.Tuple) else [place]
        if len(places) > len(node.axes):
            raise self.source.error(f"{show(node.axes)} has fewer axes than that", place)
        for axis, each in zip(node.axes, places, strict=False):
            if isinstance(each, ast.Slice):
                if each.step is not None:
                    raise self.source.error("a slice has no step here", each.step)
                start, stop = (
                    self._whole(end) if end else None for end in (each.lower, each.upper)
                )
                node = pick(node, axis, start, stop)
            else:
                node = entry(node, axis, self._whole(each))
        return node

    def _whole(self, tree: ast.expr) -> int:
        """A whole number, perhaps with a minus, that stands in a slice."""
        match tree:
            case ast.Constant(value=int() as value) if not isinstance(value, bool):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as value)):
                return -value
        raise self.source.error("a place in a slice is a whole number", tree)

    def _string(self, tree: ast.expr, subject: str, hint: str = "") -> str:
        match tree:
            case ast.Constant(value=str() as text):
                return text
        raise self.source.error(f'{subject} a string such as "n"{hint}', tree)
