"""Jacobians of matrices by matrices as Kronecker's products: ∂vec(A X B)/∂vec(X) = Bᵀ ⊗ A.

With all columns of a matrix one below the other, an entry has the place (column, row); so a product
of what goes with the columns and what goes with the rows is that Kronecker product.
"""

from __future__ import annotations

from collections.abc import Callable

from pullback.derive.formula.algebra import peel, scaled, total
from pullback.derive.formula.matrix import Matrix, NoMatrixFormError
from pullback.derive.formula.tidy import tidy
from pullback.derive.formula.tree import Formula, Kronecker
from pullback.ir import Add, Axes, Axis, Contract, Node


def stacked(node: Node, out: Axes, by: Axes, read: Callable[[Node], Matrix]) -> Formula:
    """The matrix of a Jacobian whose axes are those of the result and of the variable.

    Raises NoMatrixFormError where it is no sum of Kronecker's products.
    """
    if len(out) > 2 or len(by) > 2:
        raise NoMatrixFormError
    terms = node.terms if isinstance(node, Add) else (node,)
    return total(_product(term, out, by, read) for term in terms)


def _product(node: Node, out: Axes, by: Axes, read: Callable[[Node], Matrix]) -> Formula:
    if not isinstance(node, Contract) or set(node.over) != {*out, *by}:
        raise NoMatrixFormError
    ways = _groupings(out, by)
    for columns, rows in ways:
        inside = _apart(node, {*columns}, {*rows})
        if inside is None:
            continue
        scalars, left, right = inside
        found = []
        for group, factors in ((columns, left), (rows, right)):
            matrix = read(Contract(tuple(factors), group))
            # a single axis is a column if it is the result's, and a row if the variable's
            formula = matrix.along(group).formula
            if len(group) == 1 and group[0] in by:
                formula = Matrix(formula, (Axis("1"), *group)).along((*group, Axis("1"))).formula
            found.append(tidy(formula))
        fronts, bodies = zip(*map(peel, found), strict=True)
        if None in bodies:
            raise NoMatrixFormError
        numbers = [read(Contract(tuple(scalars), ())).formula] if scalars else []
        front = [*numbers, *(each for front in fronts for each in front)]
        return scaled(front, Kronecker(*bodies))
    raise NoMatrixFormError


def _groupings(out: Axes, by: Axes) -> list[tuple[Axes, Axes]]:
    """What may go with the columns and with the rows; a column vector may go with either."""
    row, column = out[:1], out[1:]
    if len(by) == 2:
        return [((*column, by[1]), (*row, by[0]))]
    return [((*column, *by), row), (column, (*row, *by))]


def _apart(
    node: Contract, columns: set[Axis], rows: set[Axis]
) -> tuple[list[Node], list[Node], list[Node]] | None:
    """The factors with neither group's axes, with the first's and with the second's, if apart."""
    groups: list[tuple[set[Axis], list[Node]]] = []
    for factor in node.factors:
        axes, members = set(factor.axes), [factor]
        for other in [each for each in groups if each[0] & axes & {*node.summed}]:
            groups.remove(other)
            axes, members = axes | other[0], [*members, *other[1]]
        groups.append((axes, members))
    free = {*node.over}
    scalars, left, right = list[Node](), list[Node](), list[Node]()
    for axes, members in groups:
        held = axes & free
        if not held:
            scalars += members
        elif held <= columns:
            left += members
        elif held <= rows:
            right += members
        else:
            return None
    carried = [{axis for factor in side for axis in factor.axes} for side in (left, right)]
    return (scalars, left, right) if columns <= carried[0] and rows <= carried[1] else None
