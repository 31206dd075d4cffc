"""vec, vech and kron: matrices whose entries are laid along one axis, or along two.

vec(X) is all columns of X, one below the other; vech(X) the part of each from the diagonal on;
kron(A, B) has A[i, j] B in the place of each A[i, j] (Matrix Cookbook, chapter 10).
"""

from __future__ import annotations

from pullback.errors import AxisError
from pullback.ir.axis import Axes, Axis, show
from pullback.ir.kinds import Contract, Rename
from pullback.ir.language.square import numbered
from pullback.ir.node import Node
from pullback.ir.stack import Stack


def together(*axes: Axis) -> Axis:
    """The axis that some axes are together, the last the fastest: n and m are nm."""
    names = [axis.unprimed.name for axis in axes]
    return Axis("".join(names) if all(len(name) == 1 for name in names) else "_".join(names))


def half(axis: Axis) -> Axis:
    """The axis of the lower triangle of a square matrix."""
    return Axis(f"{axis.unprimed.name}_half")


def vec(matrix: Node) -> Node:
    """All columns of a matrix, one below the other.

    >>> from pullback.ir import Input
    >>> vec(Input("X", (Axis("n"), Axis("m")))).axes
    (mn,)
    """
    if len(matrix.axes) == 1:
        return matrix
    _refuse_more("vec", matrix)
    whole = together(*matrix.axes[::-1])
    inner, (row, column) = _apart(matrix, whole)
    return Contract((Stack(whole, (column, row)), inner), (whole,))


def vech(matrix: Node) -> Node:
    """The lower triangle of a square matrix, column by column."""
    _refuse_more("vech", matrix)
    first, second = matrix.axes
    if first.unprimed != second.unprimed:
        raise AxisError(f"vech takes a square matrix such as 'n n', found {show(matrix.axes)}")
    whole = half(first)
    inner, (row, column) = _apart(matrix, whole)
    return Contract((Stack(whole, (column, row), half=True), inner), (whole,))


def kron(a: Node, b: Node) -> Node:
    """Kronecker's product of two matrices, or of two vectors.

    >>> from pullback.ir import Input
    >>> n, m = Axis("n"), Axis("m")
    >>> A, B = Input("A", (n, n.primed)), Input("B", (m, m.primed))
    >>> kron(A, B).axes
    (nm, nm′)
    """
    if not (len(a.axes) == len(b.axes) and 1 <= len(a.axes) <= 2):
        raise AxisError(f"kron takes two matrices, found {show(a.axes)} and {show(b.axes)}")
    wholes = numbered(together(*pair) for pair in zip(a.axes, b.axes, strict=True))
    left, outer = _apart(a, wholes[0], b.digest)
    right, inner = _apart(b, wholes[-1].primed.primed, a.digest)
    pairs = zip(wholes, zip(outer, inner, strict=True), strict=True)
    stacks = tuple(Stack(whole, pair) for whole, pair in pairs)
    return Contract((*stacks, left, right), wholes)


def _apart(node: Node, whole: Axis, salt: str = "") -> tuple[Node, Axes]:
    """The node under names that nothing else has, and these."""
    mark = f"{node.digest[:4]}{salt[:4]}"
    marks = (f"{'·' * at}{mark}" for at in range(1, 1 + len(node.axes)))
    names = tuple(
        Axis(whole.name + own, axis.size) for own, axis in zip(marks, node.axes, strict=True)
    )
    return Rename(node, tuple(zip(node.axes, names, strict=True))), names


def _refuse_more(name: str, node: Node) -> None:
    if len(node.axes) != 2:
        raise AxisError(f"{name} takes a matrix, found {show(node.axes)}")
