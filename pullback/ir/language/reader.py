"""What a syntax tree means: one walk over a whitelist, and nodes with named axes."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import sympy as sp

from pullback.errors import AxisError, ExpressionError, MisfitError, NonFiniteError, nearest, shown
from pullback.ir.axis import Axes, Axis, show, union
from pullback.ir.build import (
    add,
    multiply,
    scalar_map,
    scale,
    subtract,
    transpose,
    with_axes,
)
from pullback.ir.kinds import Constant, Contract, Rename
from pullback.ir.language.functions import (
    BROADCAST,
    ELEMENTWISE,
    NAMES,
    OUTER,
    OVER_AXES,
    RENAME,
    WHERE,
    arity,
    elsewhere,
    hint,
)
from pullback.ir.language.matrices import OF_MATRICES
from pullback.ir.language.meet import apart, unmet
from pullback.ir.language.special import SPECIAL, by_order
from pullback.ir.language.square import (
    ambiguous,
    beside,
    entrywise_power,
    entrywise_quotient,
    in_order,
    product,
)
from pullback.ir.language.syntax import (
    UNLIKE,
    SourceText,
    chain,
    check_name,
    library_of,
    whole_number,
)
from pullback.ir.node import Node
from pullback.ir.normal.simplify import simplify
from pullback.ir.pick import Meetings, Slices, entry
from pullback.ir.scalar.cases import Piecewise
from pullback.ir.scalar.exact import elementwise, finite_power, is_number, literal, value_of
from pullback.ir.scalar.function import symbol

CONSTANTS = {"pi": sp.pi, "e": sp.E}
STEEPEST = 1000  # the largest exponent; an exact power of a number has to stay a number
HIGHEST = 8  # exponents in one another: algebra takes twice as long for each
MOST_AXES = 16  # of one tensor
EXTREMES, MOST_EXTREMES = ("maximum", "minimum"), 12  # SymPy compares each with every other
_X, _Y = symbol(0), symbol(1)
_COMPARE = {ast.Gt: sp.Gt, ast.GtE: sp.Ge, ast.Lt: sp.Lt, ast.LtE: sp.Le}
_RANKS: tuple[tuple[type[ast.operator], ...], ...] = ((ast.Add, ast.Sub), (ast.Mult, ast.Div))
_SIGNS: dict[type[ast.operator], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**",
}  # fmt: skip


class Reader:
    """One walk over the syntax tree: a whitelist, whatever it does not name is refused."""

    def __init__(
        self, source: SourceText, variables: Mapping[str, Node], told: Meetings | None = None
    ) -> None:
        self.source = source
        self.variables = variables
        self.slices = Slices(told)
        self.notes: list[str] = []  # what was understood in one of two ways
        self.height = 0  # how many exponents the present place stands in
        self.exponent = 1.0  # of all powers around the present place together

    def node(self, tree: ast.expr) -> Node:
        """The meaning of a part."""
        with self._at(tree):
            return self._sound(self._meaning(tree))

    @contextmanager
    def _at(self, tree: ast.AST) -> Iterator[None]:
        """What is wrong with nodes is said with the place in the text."""
        try:
            yield
        except ExpressionError:
            raise
        except AxisError as fault:
            raise self.source.error(str(fault), tree, MisfitError) from None
        except NonFiniteError as fault:
            raise self.source.error(str(fault), tree) from None

    def _sound(self, node: Node) -> Node:
        if is_number(node):
            value_of(node)  # a number is to be finite wherever it stands
        if len(node.axes) > MOST_AXES:
            raise AxisError(f"this has {len(node.axes)} axes; at most {MOST_AXES} are read")
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
                return self._power(left, right, tree)
            case ast.BinOp(op=ast.MatMult()):
                return self._matmul(tree)
            case ast.BinOp(op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div()):
                return self._chain(tree)
            case ast.BinOp(op=op):
                caret = ": a power is written **" if isinstance(op, ast.BitXor) else ""
                raise self.source.error(f"unknown operator{caret}", tree)
            case ast.Subscript(value=value, slice=place):
                return self._slice(self.node(value), place, self.source.part(tree))
            case ast.Attribute(value=value, attr="T"):
                return in_order(transpose(self.node(value)))
            case ast.Attribute(attr=name):
                fix = f"write {name}(…)" if name in NAMES else elsewhere(name)
                fix = fix or "the only one is .T"
                raise self.source.error(f"unknown attribute .{name}: {fix}", tree)
            case ast.Call(func=ast.Name(id=name)):
                return self._call(name, tree)
            case ast.Call(func=ast.Attribute(attr=name) as function) if library_of(function):
                if name in UNLIKE:
                    fault = f"{name} is another function here: write {UNLIKE[name]}"
                    raise self.source.error(fault, function)
                return self._call(name, tree)  # np.linalg.inv(X)
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
        fix = f"write {name}(…)" if name in NAMES else nearest(name, self.variables)
        fix = "the identity is eye(n), of an axis n" if name == "I" else fix
        raise self.source.error(f"unknown name {shown(name)}: {fix}", tree)

    def _chain(self, tree: ast.BinOp) -> Node:
        """a − b + c or a · b / c: the operands broadcast together, so y*b*X may stand for y*X*b."""
        rank = next(rank for rank in _RANKS if isinstance(tree.op, rank))
        links, first = chain(tree, rank)
        trees = [first, *(link.right for link in links)]
        nodes = self._beside(trees, [tree, *links], _SIGNS[type(tree.op)])
        total = nodes[0]
        for link, right in zip(links, nodes[1:], strict=True):
            with self._at(link):
                total = self._sound(_joined(total, link.op, right))
            if isinstance(link.op, ast.Div):
                self.notes += entrywise_quotient(right, self.source.part(link.right))
        return with_axes(total, union(node.axes for node in nodes))

    def _beside(
        self, trees: Sequence[ast.expr], places: Sequence[ast.AST], sign: str
    ) -> tuple[Node, ...]:
        """The operands of an operation that goes entry by entry, slices under one name.

        Raises ExpressionError where they do not meet, at the place of the later of the two.
        """
        nodes: tuple[Node, ...] = ()
        for tree, place in zip(trees, places, strict=True):
            node = self.node(tree)
            with self._at(place):
                nodes = self.slices.aligned(*nodes, node)
        if (either_way := ambiguous(nodes)) is not None:
            raise self.source.error(either_way, places[-1], MisfitError)
        found = apart(nodes)
        if found is not None:
            i, j = found
            texts = self.source.part(trees[i]), self.source.part(trees[j])
            message = unmet(texts, nodes[i], sign, nodes[j], self.slices)
            raise self.source.error(message, places[j], MisfitError)
        return nodes

    def _matmul(self, tree: ast.BinOp) -> Node:
        """A @ B @ C …, from the left."""
        links, first = chain(tree, (ast.MatMult,))
        found = self.node(first)
        for link in links:
            right = self.node(link.right)
            with self._at(link):
                if found.axes and right.axes:
                    right = self.slices.under(right, right.axes[-2:][0], found.axes[-1])
                found = self._sound(product(found, right))
        return found

    def _power(self, base: ast.expr, exponent: ast.expr, tree: ast.expr) -> Node:
        self.height += 1
        if self.height > HIGHEST:
            raise self.source.error(f"a tower of more than {HIGHEST} powers: split it up", exponent)
        around, power = self.exponent, self.node(exponent)
        self.height -= 1
        if not is_number(power):  # it may come out as one: x/x*9
            (form,) = simplify(power)
            power = form if is_number(form) else power
        if is_number(power):
            self.exponent *= max(1.0, abs(value_of(power)))
        if self.exponent > STEEPEST:
            raise self.source.error(f"an exponent beyond {STEEPEST} is too steep", exponent)
        left, right = self._beside([base, exponent], [base, tree], "**")
        self.notes += entrywise_power(left, self.source.part(base), whole_number(exponent))
        if is_number(left) and is_number(power):
            finite_power(value_of(left), value_of(power))
        result = elementwise(_X**_Y, left, power if is_number(power) else right)
        self.exponent = around
        return result

    def _call(self, name: str, tree: ast.Call) -> Node:
        if name in self.variables:
            raise self.source.error(f"{name!r} is a variable, not a function", tree)
        if name not in NAMES:
            raise self.source.error(f"unknown function {shown(name)}: {hint(name)}", tree)
        own = {RENAME: self._rename, WHERE: self._where, BROADCAST: self._broadcast}
        if name in own:
            return own[name](tree)
        if name in SPECIAL:
            return in_order(SPECIAL[name](self, tree))
        name, tree = by_order(self, name, tree)
        args, axis = list(tree.args), self._axis_option(name, tree)
        if axis is None and name in OVER_AXES and len(args) == arity(name) + 1:
            axis = args.pop()
            if f"{name}imum" in NAMES:  # a number is more likely a second tensor
                fix = f"; of two tensors write {name}imum(…)"
                self.string(axis, f"the axis of {name} is", fix)
        self.count(name, args, tree)
        if name in ELEMENTWISE:
            if self.source.calls(tree, EXTREMES) > MOST_EXTREMES:
                fault = f"more than {MOST_EXTREMES} of {' and '.join(EXTREMES)} inside one another"
                raise self.source.error(f"{fault}: split it up", tree)
            tensors = self._beside(args, args, name)
            return elementwise(ELEMENTWISE[name], *tensors)
        tensors = tuple(map(self.node, args))
        if name == OUTER:
            return self._outer(*tensors)
        if name in OF_MATRICES:
            return in_order(OF_MATRICES[name].of(name, tensors))
        if len(tensors) > 1 and not set.intersection(*(set(each.axes) for each in tensors)):
            tensors = self.slices.aligned(*tensors)
        if (either_way := ambiguous(tensors)) is not None:
            raise self.source.error(either_way, tree, MisfitError)
        if name in ("tr", "trace", "diag"):
            self.slices.check_square(name, tensors[0].axes)
        row = OVER_AXES[name]
        axes = row.default(tensors) if axis is None else self._axes(name, axis, tensors)
        return in_order(row.build(tensors, axes))

    def count(self, name: str, args: Sequence[ast.expr], tree: ast.Call) -> None:
        expected = arity(name)
        if len(args) != expected:
            plural = "" if expected == 1 else "s"
            message = f"{name} takes {expected} argument{plural}, found {len(args)}"
            raise self.source.error(message, tree)

    def _axis_option(self, name: str, tree: ast.Call) -> ast.expr | None:
        for word in tree.keywords:
            if word.arg != "axis" or name not in OVER_AXES:
                allowed = "its only option is axis" if name in OVER_AXES else "it has no options"
                fault = f"{name} does not know {word.arg or '**'!r}: {allowed}"
                raise self.source.error(fault, word)
            return word.value
        return None

    def _axes(self, name: str, tree: ast.expr, tensors: tuple[Node, ...]) -> Axes:
        """The axes that a string names, or that are told by place; all stand on the tensors."""
        carried = tuple(dict.fromkeys(axis for tensor in tensors for axis in tensor.axes))
        if (place := whole_number(tree)) is not None:
            if not -len(carried) <= place < len(carried):
                raise self.source.error(f"there is no axis {place} in {show(carried)}", tree)
            return (carried[place],)
        names = self.string(tree, f"the axis of {name} is").split()
        found: list[Axis] = []
        for each in names:
            axis = self.slices.named(each, carried)
            if axis is None:
                sides = " and ".join(show(tensor.axes) for tensor in tensors)
                raise self.source.error(f"there is no axis {shown(each)} in {sides}", tree)
            self._refuse_double(axis, carried, tree)
            found.append(axis)
        if not found or len(set(found)) < len(found):
            raise self.source.error("name each axis once", tree)
        return tuple(found)

    def _rename(self, tree: ast.Call) -> Node:
        self.count(RENAME, tree.args, tree)
        node = self.node(tree.args[0])
        names = []
        for word in tree.keywords:
            old = self.slices.named(word.arg or "", node.axes)
            if old is None:
                there = f"there is no axis {shown(word.arg or '**')} in {show(node.axes)}"
                raise self.source.error(there, word)
            self._refuse_double(old, node.axes, word)
            new = self.string(word.value, "the new name is")
            check_name("an axis", new)
            names.append((old, self._declared(new, old.size)))
        if not names:
            raise self.source.error(f'{RENAME} takes names of axes, as in d="k"', tree)
        return Rename(node, tuple(names))

    def _declared(self, name: str, size: int | None) -> Axis:
        """The axis of that name that a variable has, or a new one."""
        known = {axis.name: axis for node in self.variables.values() for axis in node.axes}
        return known.get(name, Axis(name, size))

    def _outer(self, a: Node, b: Node) -> Node:
        b = beside(a, b)
        return Contract((a, b), a.axes + b.axes)

    def _broadcast(self, tree: ast.Call) -> Node:
        """broadcast(x, "m"): with one more axis, along which nothing changes."""
        if len(tree.args) != 2 or tree.keywords:
            raise self.source.error(f'{BROADCAST} takes a tensor and axes, as (x, "m")', tree)
        node = self.node(tree.args[0])
        names = self.string(tree.args[1], f"the axes of {BROADCAST} are").split()
        for name in names:
            check_name("an axis", name)
        more = tuple(self._declared(name, None) for name in names)
        if not more or {axis.name for axis in more} & {axis.name for axis in node.axes}:
            there = f"name axes that {show(node.axes)} does not have"
            raise self.source.error(there, tree.args[1])
        return multiply(node, Constant(1.0, more))

    def _where(self, tree: ast.Call) -> Node:
        """where(a > b, x, y): x where the comparison holds, else y."""
        if len(tree.args) != arity(WHERE) or tree.keywords:
            found = len(tree.args) + len(tree.keywords)
            raise self.source.error(f"{WHERE} takes 3 arguments, found {found}", tree)
        condition, *values = tree.args
        match condition:
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARE:
                trees = [left, right, *values]
                if self.source.calls(condition, (WHERE,)):
                    fault = f"{WHERE} stands in the condition of another: choose between the two"
                    raise self.source.error(f"{fault} outside of it", condition)
            case _:
                fault = f"{WHERE} chooses by one comparison, as in where(a > b, x, y)"
                raise self.source.error(fault, condition)
        holds = _COMPARE[type(op)](_X, _Y, evaluate=False)
        chosen = Piecewise((symbol(2), holds), (symbol(3), True))
        return elementwise(chosen, *self._beside(trees, trees, WHERE))

    def _slice(self, node: Node, place: ast.expr, text: str) -> Node:
        """x[1:-1], X[:, 0]: one place an axis, in the order of the axes."""
        places = place.elts if isinstance(place, ast.Tuple) else [place]
        for each in places:
            if isinstance(each, ast.Constant) and each.value is None:
                raise self.source.error('a new axis has a name: broadcast(x, "m")', each)
        if len(places) > len(node.axes):
            raise self.source.error(f"{show(node.axes)} has fewer axes than that", place)
        for axis, each in zip(node.axes, places, strict=False):
            if isinstance(each, ast.Slice):
                if each.step is not None and self.whole(each.step) != 1:
                    raise self.source.error("a slice has no step here", each.step)
                start, stop = (self.whole(end) if end else None for end in (each.lower, each.upper))
                node = self.slices.pick(node, axis, start, stop, text)
            else:
                node = entry(node, axis, self.whole(each))
        return in_order(node)

    def _refuse_double(self, axis: Axis, axes: Axes, tree: ast.AST) -> None:
        """Raise ExpressionError where a name could mean either side of a square matrix."""
        if sum(each.unprimed == axis.unprimed for each in axes) > 1:
            raise self.source.error(
                f"{axis.name!r} stands twice in {show(axes)}: tell its place, as axis=0 for the "
                "first and axis=1 for the second",
                tree,
            )

    def whole(self, tree: ast.expr, subject: str = "a place in a slice") -> int:
        """A whole number, perhaps with a minus."""
        place = whole_number(tree)
        if place is None:
            raise self.source.error(f"{subject} is a whole number", tree)
        return place

    def string(self, tree: ast.expr, subject: str, fix: str = "") -> str:
        match tree:
            case ast.Constant(value=str() as text):
                return text
        raise self.source.error(f'{subject} a string such as "n"{fix}', tree)


def _joined(a: Node, op: ast.operator, b: Node) -> Node:
    match op:
        case ast.Add():
            return add(a, b)
        case ast.Sub():
            return subtract(a, b)
        case ast.Mult():
            return multiply(a, b)
    return multiply(a, elementwise(1 / _X, b))
