"""Calls whose arguments are not all tensors: eye(n), einsum("ij,jk->ik", A, B), matrix_power."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from pullback.errors import nearest, shown
from pullback.ir.language.matrices import EINSUM, POWER, WITH_AXES, constant, einsum, power
from pullback.ir.language.square import numbered
from pullback.ir.language.syntax import SourceText
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
    assert isinstance(tree.func, ast.Name)
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
                fault = f"{tree.func.id} takes axes, as {tree.func.id}(n) does"
                raise reader.source.error(fault, each)
    if not axes or tree.keywords:
        raise reader.source.error(f"{tree.func.id} takes axes, as {tree.func.id}(n) does", tree)
    return constant(tree.func.id, numbered(axes))


SPECIAL: Mapping[str, Callable[[CallReader, ast.Call], Node]] = {
    POWER: _power,
    EINSUM: _einsum,
    **dict.fromkeys(WITH_AXES, _constant),
}
