"""Parts of a text in MATLAB's notation: their trees in NumPy's, and how many rows and columns.

In MATLAB everything is a matrix: a vector is a column, its transpose a row.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass

from pullback.errors import ExpressionError
from pullback.ir.axis import Axis
from pullback.ir.language.syntax import whole_number


@dataclass(eq=False)
class Length:
    """How long one side is: an axis, once it is known, and the lengths that it is equal to."""

    axis: Axis | None = None
    same: Length | None = None
    of: tuple[Length, ...] = ()  # the lengths that it is the product of, or half of their square

    def root(self) -> Length:
        found = self
        while found.same is not None:
            found = found.same
        return found


@dataclass(frozen=True)
class Operand:
    """A part of the text: its tree in NumPy's notation, and its sides; None is of length 1."""

    tree: ast.expr
    rows: Length | None = None
    columns: Length | None = None

    @property
    def scalar(self) -> bool:
        return self.rows is None and self.columns is None

    @property
    def vector(self) -> bool:
        """Whether this is a column or a row."""
        return (self.rows is None) != (self.columns is None)

    @property
    def matrix(self) -> bool:
        return self.rows is not None and self.columns is not None

    def kind(self) -> str:
        if self.matrix:
            return "a matrix"
        return "a number" if self.scalar else "a row" if self.rows is None else "a column"


Blame = Callable[[str, type[ExpressionError]], ExpressionError]


def norm_of_order(a: Operand, order: ast.expr, whole: ast.expr, blame: Blame) -> Operand:
    """norm(x, 1), norm(x, 2) of a vector, norm(X, 'fro') of a matrix."""
    value = order.value if isinstance(order, ast.Constant) else None
    name = {1: "norm1", 2: "norm2"}.get(value if isinstance(value, int) else 0)
    if a.matrix:
        name = "norm2" if value == "fro" else None
    if name is None:
        raise blame(
            "norm takes 1 or 2 with a vector, 'fro' with a matrix; the others are of singular "
            "values, or of the largest sum",
            ExpressionError,
        )
    return Operand(call(whole, name, a.tree))


def along_columns_or_rows(
    name: str, a: Operand, way: ast.expr, whole: ast.expr, blame: Blame
) -> Operand:
    """sum(X, 1), a row of what each column sums to, and sum(X, 2), a column."""
    place = whole_number(way)
    if place not in (1, 2):
        raise blame(
            f"{name}(X, 1) goes along the columns and {name}(X, 2) along the rows", ExpressionError
        )
    if not a.matrix:
        gone = a.rows if place == 1 else a.columns
        return a if gone is None else Operand(call(whole, name, a.tree))
    tree = call(whole, name, a.tree)
    axis = ast.copy_location(ast.Constant(place - 1), whole)
    tree.keywords.append(ast.copy_location(ast.keyword("axis", axis), whole))
    rows, columns = (None, a.columns) if place == 1 else (a.rows, None)
    return Operand(tree, rows, columns)


def binary(whole: ast.expr, left: ast.expr, op: ast.operator, right: ast.expr) -> ast.BinOp:
    return ast.copy_location(ast.BinOp(left, op, right), whole)


def call(whole: ast.expr, name: str, *args: ast.expr) -> ast.Call:
    function = ast.copy_location(ast.Name(name, ast.Load()), whole)
    return ast.copy_location(ast.Call(function, list(args), []), whole)


def string(whole: ast.expr, text: str) -> ast.Constant:
    return ast.copy_location(ast.Constant(text), whole)
