"""From text to nodes: ``mean(log(1+exp(-y*(X@w))))`` with axes by name.

The text goes through Python's own parser and then over a whitelist; it is never executed.
"""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np
import sympy as sp

from pullback.errors import AxisError, ExpressionError, nearest
from pullback.ir.axis import Axes, Axis, show
from pullback.ir.build import add, multiply, scalar_map, scale, subtract, with_axes, without
from pullback.ir.elementwise import Region
from pullback.ir.evaluate import evaluate
from pullback.ir.functions import ELEMENTWISE, NAMES, OVER_AXES, RENAME, arity
from pullback.ir.node import Add, Constant, Contract, Input, Node, Rename, walk
from pullback.ir.scalar import Scalar, symbol
from pullback.ir.stable import stabilise

CONSTANTS = {"pi": sp.pi, "e": sp.E}
LONGEST, DEEPEST, STEEPEST = 10_000, 100, 1000  # characters, nested operations, exponent
OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Pow: "**",
    ast.MatMult: "@",
}
LOOKALIKES = {"−": "-", "–": "-", "×": "*", "·": "*", "⋅": "*", "÷": "/", "²": "**2", "ᵀ": ".T"}
_X, _Y = symbol(0), symbol(1)


def parse(text: str, axes: Mapping[str, Axes]) -> Node:
    """The node that a text means; each name of ``axes`` is an Input with those axes.

    ``+ - * / **`` broadcast by axis name; ``A @ b`` sums the last axis of A, which must be the
    only or second-to-last axis of b; ``.T`` transposes. The functions are those of
    ``pullback.ir.functions``; the ones over axes take ``axis="n d"`` and by default go over all
    axes (softmax: the last one; dot: the shared ones). ``rename(A, d="k")`` renames an axis.
    Raises ExpressionError, with a caret under the place, for anything else, for names that are
    not declared, and for declared names that are not used.

    >>> n, d = Axis("n"), Axis("d")
    >>> parse("X @ w", {"X": (n, d), "w": (d,)}).axes
    (n,)
    """
    for name in axes:
        check_name("variable", name)
    variables = {name: Input(name, over) for name, over in axes.items()}
    reader = _Reader(text, variables)
    node = reader.node(reader.tree)
    unused = [name for name in variables if name not in _names(reader.tree)]
    if unused:
        raise ExpressionError(f"{unused[0]!r} is declared, but {reader.text!r} does not use it")
    return node


def parse_scalar(text: str) -> Scalar:
    """The function of one variable, of any name, that a text means.

    Raises ExpressionError, with a caret under the place, unless exactly one name is free.

    >>> parse_scalar("1.7159*tanh(2*x/3)")
    1.7159*tanh(2*x0/3)
    """
    reader = _Reader(text, {})
    free = [name for name in _names(reader.tree) if name not in CONSTANTS]
    if len(free) != 1:
        found = f"found {' and '.join(map(repr, free))}" if free else "found none"
        column = _names(reader.tree)[free[1]] if free else None
        raise ExpressionError(
            f"a function of one variable is expected, {found}", reader.text, column
        )
    reader.variables = {free[0]: Input(free[0], ())}
    region = Region(Add((reader.node(reader.tree),)), stop=lambda node: False)
    return Scalar.of(stabilise(region.expr), 1)


def parse_axes(name: str, names: str) -> Axes:
    """The axes of a variable, as in ``"n d"``; sizes are not known.

    Raises AxisError for names that are not identifiers or stand twice.

    >>> parse_axes("X", "n d")
    (n, d)
    """
    if not isinstance(names, str):
        raise AxisError(f"the axes of {name!r} are one string such as 'n d', found {names!r}")
    each = names.split()
    for axis in each:
        check_name(f"axis of {name}={names!r}", axis)
        if each.count(axis) > 1:
            raise AxisError(f"axis {axis!r} stands twice in {name}={names!r}")
    return tuple(Axis(axis) for axis in each)


def check_name(kind: str, name: str) -> None:
    """Raise AxisError unless the name can stand in an expression."""
    if not name.isidentifier() or keyword.iskeyword(name):
        hint = "a Python keyword" if keyword.iskeyword(name) else "not a name"
        raise AxisError(f"{kind}: {name!r} is {hint}; names are letters, digits and _")
