"""Calls whose arguments are not all tensors: eye(n), einsum("ij,jk->ik", A, B), matrix_power."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from pullback.errors import nearest, shown
from pullback.ir.language.matrices import EINSUM, POWER, WITH_AXES, constant, einsum, power
from pullback.ir.language.square import numbered
from pullback.ir.language.syntax import SourceText, whole_number
from pullback.ir.node import Node


class CallReader(Protocol):
    """What a call needs of the walk over its text."""

    source: SourceText
    variables: Mapping[str, Node]

    def node(self, tree: ast.expr) -> Node: ...

    def whole(self, tree: ast.expr, subject: str) -> int: ...

    def string(self, tree: ast.expr, subject: str) -> str: ...

    def count(self, name: str, args: Sequence[ast.expr], tree: ast.Call) -> None: ...


def _power(reader: CallReader, tree: ast.Call) -> Node:
    """matrix_power(X, 3): a product of a matrix with itself."""
    reader.count(POWER, [*tree.args, *(word.value for word in tree.keywords)], tree)
    exponent = reader.whole(tree.args[1], "the exponent of a matrix")
    return power(reader.node(tree.args[0]), exponent)


def _einsum(reader: CallReader, tree: ast.Call) -> Node:
    if len(tree.args) < 2 or tree.keywords:
        raise reader.source.error('einsum takes letters and tensors, as ("ij,jk->ik", A, B)', tree)
    letters = reader.string(tree.args[0], "the letters of einsum are")
    return einsum(letters, [reader.node(each) for each in tree.args[1:]])


def _constant(reader: CallReader, tree: ast.Call) -> Node:
    """eye(n), ones(n, m): constants over axes, which some variable has."""
    named = tree.func.attr if isinstance(tree.func, ast.Attribute) else ast.unparse(tree.func)
    known = {axis.name: axis for node in reader.variables.values() for axis in node.axes}
    axes = []
    for each in tree.args:
        match each:
            case ast.Name(id=text) | ast.Constant(value=str() as text):
                for name in text.split():
                    if name not in known:
                        there = f"no variable has an axis {shown(name)}: {nearest(name, known)}"
                        raise reader.source.error(there, each)
                    axes.append(known[name])
            case _:
                fault = f"{named} takes axes, as {named}(n) does"
                raise reader.source.error(fault, each)
    if not axes or tree.keywords:
        raise reader.source.error(f"{named} takes axes, as {named}(n) does", tree)
    return constant(named, numbered(axes))


def by_order(reader: CallReader, name: str, tree: ast.Call) -> tuple[str, ast.Call]:
    """norm(x, 1), norm(x, 2) and norm(X, "fro") under the names that they have here.

    Raises ExpressionError for another order: as an axis it would be another function.
    """
    given = tree.args[1:2] + [word.value for word in tree.keywords if word.arg == "ord"]
    if name != "norm" or not given:
        return name, tree
    order = given[0].value if isinstance(given[0], ast.Constant) else whole_number(given[0])
    if isinstance(order, str) and order != "fro":
        return name, tree  # an axis
    vector = len(reader.node(tree.args[0]).axes) == 1
    if order == "fro" or (vector and order in (1, 2)):
        rest = [word for word in tree.keywords if word.arg != "ord"]
        known = ast.copy_location(ast.Call(tree.func, tree.args[:1], rest), tree)
        return ("norm1" if order == 1 else "norm"), known
    raise reader.source.error(
        "the second argument of norm is its order in NumPy and MATLAB, and of a matrix that is of "
        "singular values or sums: norm(X) is the root of the sum of squares, norm1(x) the sum of "
        "sizes, and an axis is told by its name, as axis=0",
        given[0],
    )


SPECIAL: Mapping[str, Callable[[CallReader, ast.Call], Node]] = {
    POWER: _power,
    EINSUM: _einsum,
    **dict.fromkeys(WITH_AXES, _constant),
}
