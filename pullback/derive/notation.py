"""Conventions: how the equations of one program are laid out on the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from pullback.derive.equations import Equation, inside, trained
from pullback.derive.forms import IndexForm, MatrixForm
from pullback.derive.formula import Formula
from pullback.derive.matrix import NoMatrixFormError
from pullback.derive.symbols import symbols
from pullback.errors import unknown
from pullback.ir import Axes, Axis, Input

Convention = Literal["columns", "rows"]

NOTES: dict[Convention, str] = {
    "columns": (
        "x, y, z, a and δ are columns, those of one sample; a term of L or of a gradient "
        "that holds them outside a Σₙ is summed over the N samples."
    ),
    "rows": (
        "A row of X, Y, Z, A and Δ is one sample; 𝟏 is a column of ones; logsumexp and softmax "
        "go along each row."
    ),
}


class Notation:
    """The formulas of a program's equations in one convention.

    ``columns`` is the textbook's: one sample, x a column, z = W x + b. The axis of the batch is not
    displayed. Where L or a gradient sums over it the sum is left out, as in ∂L/∂W = δ xᵀ, and is
    to be supplied by the reader; a sum that goes into something further is written Σₙ. The
    factor 1/N of a mean stays.

    ``rows`` drops nothing: a row is a sample, Z = X Wᵀ + 𝟏 bᵀ, ∂L/∂W = Δᵀ X.

    An equation with more than two axes is written with indices in either. Raises
    UnknownNameError for another convention.
    """

    def __init__(self, equations: Sequence[Equation], convention: Convention = "columns") -> None:
        if convention not in get_args(Convention):
            raise unknown("convention", convention, get_args(Convention))
        self.convention: Convention = convention
        self.batch = batch_axis(equations)
        dropped = self.batch if convention == "columns" else None
        shown = MatrixForm({}, self.batch, dropped).shown
        self.symbols = symbols(equations, lambda axes: len(shown(axes)))
        self._form = MatrixForm(self.symbols, self.batch, dropped)

    @property
    def note(self) -> str:
        """What the convention means, and what it leaves out."""
        return NOTES[self.convention] if self.batch is not None else ""

    def sides(self, equation: Equation) -> tuple[Formula, Formula]:
        """The left and the right side of an equation."""
        node = equation.node
        try:
            left = self._form.atom(node)
            return left.formula, self._form.read(node.arg, self.batch not in node.axes).formula
        except NoMatrixFormError:
            form = IndexForm.of(self.symbols, self.batch, node.axes)
            return form.atom(node).formula, form.read(node.arg).formula


def batch_axis(equations: Sequence[Equation]) -> Axis | None:
    """The axis of the samples: one that data carry and no parameter does, of no fixed size.

    >>> from pullback.derive.equations import equations
    >>> from pullback.ir import Contract, Input, Named, Parameter
    >>> n, d = Axis("n"), Axis("d", 3)
    >>> x, w = Input("x", (n, d)), Parameter("w", (d,))
    >>> batch_axis(equations([Named("z.0", Contract((x, w), (n,)), "z")]))
    n
    """
    leaves = dict.fromkeys(node for each in equations for node in inside(each.node))
    adjusted = trained(equations)
    fixed = {axis for node in adjusted for axis in node.axes}
    carried = [n.axes for n in leaves if isinstance(n, Input) and n not in adjusted]
    free = [axis for axes in carried for axis in axes if axis not in fixed and axis.size is None]
    return max(dict.fromkeys(free), key=lambda axis: _first(axis, carried), default=None)


def _first(axis: Axis, carried: Sequence[Axes]) -> tuple[int, int]:
    """By how many inputs carry the axis; then by how often it is their first."""
    return sum(axis in axes for axes in carried), sum(axes[:1] == (axis,) for axes in carried)
