"""Conventions: how the equations of one program are laid out on the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Literal, get_args

from pullback.derive.formula.algebra import total
from pullback.derive.formula.entries import IndexForm
from pullback.derive.formula.forms import MatrixForm
from pullback.derive.formula.matrix import NoMatrixFormError
from pullback.derive.formula.merged import Merged
from pullback.derive.formula.places import moved
from pullback.derive.formula.symbols import symbols
from pullback.derive.formula.tree import Formula, Symbol
from pullback.derive.steps.affine import AffineForm, layer_of, theta, theta_layers
from pullback.derive.steps.equations import FORWARD, Equation, forward, trained
from pullback.errors import unknown
from pullback.ir import (
    Axes,
    Axis,
    Detach,
    Input,
    Named,
    Node,
    Parameter,
    Pattern,
    Scan,
    inside,
)
from pullback.ir.forms import Affine

Convention = Literal["columns", "rows", "ng", "index"]

NOTES: dict[Convention, str] = {
    "columns": (
        "x, y, z, a and δ are columns, those of one sample; a term of L or of a gradient "
        "that holds them outside a Σₙ is summed over the N samples."
    ),
    "rows": (
        "A row of X, Y, Z, A and Δ is one sample; 𝟏 is a column of ones; logsumexp and softmax "
        "go along each row."
    ),
    "ng": (
        "Θ has one row a neuron, its bias first; [1; a] is a column with a₀ = 1 on top. "
        "x, y, z, a and δ are columns, those of one sample."
    ),
    "index": "Indices below count neurons, the index above counts layers; n counts samples.",
}
STACKED_NOTE = (
    "A column of X, Y, Z, A and Δ is one sample; 𝟏 is a column of ones; logsumexp and softmax "
    "go along each column."
)
TENSOR_NOTE = " What has more axes is a matrix with a capital letter, or is written entry by entry."
LOOP_NOTE = (
    " before(A) is A one step earlier, and 0 at the first step; after(A) is A one step later, and "
    "0 at the last."
)
SLICE_NOTE = (
    " S_1:3 is the rows 1 and 2 of the identity, counted from 0: S_1:3 z is that part of z."
)
DETACHED_NOTE = " detach(z) is z, through which nothing is carried back."
MOVED_NOTE = " An entry outside its tensor, as x[i − t] where i < t, is 0."
INITIAL_NOTE = " The index of any other axis is its initial, where that is free."
LAYOUT_NOTE = " W is (inputs, outputs): the transpose of the network's own weight."


class Notation:
    """The formulas of a program's equations in one convention.

    ``columns`` is the textbook's: one sample, x a column, z = W x + b. The axis of the batch is not
    displayed. Where L or a gradient sums over it the sum is left out, as in ∂L/∂W = δ xᵀ, and is
    to be supplied by the reader; a sum that goes into something further is written Σₙ. The
    factor 1/N of a mean stays.

    ``rows`` drops nothing: a row is a sample, Z = X W + 𝟏 bᵀ, ∂L/∂W = Xᵀ Δ; a layer's W is
    (inputs, outputs), the transpose of the network's own weight.

    ``ng`` is ``columns`` with weights and bias as one matrix, z = Θ [1; x]. ``index`` is
    ``columns`` entry by entry, with the layer as an index above.

    With ``samples`` the axis of the batch is displayed where it would not be: a column for each
    sample, Z = W X + b 𝟏ᵀ.

    ``leaves`` have symbols even where no equation reads them. Equations of a ``single`` sample do
    without its index n in their entries, too.

    An equation with more than two axes is written with indices in any of them; ``has_tensors``
    says that there is one. Raises UnknownNameError for another convention.
    """

    def __init__(
        self,
        equations: Sequence[Equation],
        convention: Convention = "columns",
        samples: bool = False,
        leaves: Sequence[Input | Parameter] = (),
        single: bool = False,
    ) -> None:
        if convention not in get_args(Convention):
            raise unknown("convention", convention, get_args(Convention))
        self.convention: Convention = convention
        self.batch = batch_axis(equations)
        self.has_tensors = any(len(each.axes) > 2 for each in equations)
        nodes = {node for each in equations for node in inside(each.node)}
        self.has_loops = any(isinstance(node, Scan) for node in nodes)
        self.has_moves = self.has_loops or any(
            isinstance(node, Pattern) and node.slice is None for node in nodes
        )
        slices = (node.slice for node in nodes if isinstance(node, Pattern))
        self.has_slices = any(each is not None and not each.is_whole for each in slices)
        self.has_detached = any(isinstance(node, Detach) for node in nodes)
        layout = () if self.has_tensors else layout_of(equations)
        self.turned = convention == "rows" and bool(layout)
        self.stacked = samples and convention != "rows"
        self.layout = layout if convention == "rows" else layout[::-1] if samples else ()
        dropped = None if samples or convention == "rows" else self.batch
        shown = MatrixForm({}, self.batch, dropped).shown
        rank = (lambda axes: len(shown(axes))) if convention != "index" else _rank_of_entries
        self.symbols = symbols(equations, rank, leaves)
        self.dropped = dropped
        self._unindexed = dropped if single or convention == "index" else None
        self.thetas = theta_layers(forward(equations), self.batch) if convention == "ng" else {}
        self.form = self._matrices()
        self._called = _called_by_name(equations, self.batch) if self.has_tensors else frozenset()

    def _matrices(self) -> MatrixForm:
        given = self.symbols, self.batch, self.dropped, self.layout
        if self.convention != "ng":
            return MatrixForm(*given)
        return AffineForm(*given, {node.arg: layer for node, layer in self.thetas.items()})

    def knowing(self, more: Mapping[Node, Formula]) -> Notation:
        """The same with symbols for some more nodes."""
        other = copy(self)
        other.symbols = {**self.symbols, **more}
        other.form = other._matrices()
        return other

    def theta(self, layer: Affine) -> Symbol:
        """The matrix of a layer with its bias, in the convention ng."""
        return theta(self.symbols, layer)

    @property
    def note(self) -> str:
        """What the convention means, and what it leaves out."""
        if self.batch is None:
            return ""
        if self.stacked and self.convention == "columns" and not self.has_tensors:
            return STACKED_NOTE + self.tensor_note
        return NOTES[self.convention] + (LAYOUT_NOTE if self.turned else "") + self.tensor_note

    @property
    def tensor_note(self) -> str:
        """How more than two axes are written, and slices, where there are some."""
        told = SLICE_NOTE * self.has_slices + DETACHED_NOTE * self.has_detached
        if not self.has_tensors:
            return told
        tensors = "" if self.convention == "index" else TENSOR_NOTE
        moves = MOVED_NOTE * self.has_moves + LOOP_NOTE * self.has_loops
        return tensors + INITIAL_NOTE + moves + told

    def sides(self, equation: Equation) -> tuple[Formula, Formula]:
        """The left and the right side of an equation."""
        node = equation.node
        try:
            return self.left(node), self.matrix(node.arg, self.batch not in node.axes)
        except NoMatrixFormError:
            return self._entry(node)

    def left(self, node: Node) -> Formula:
        """What a node is called."""
        return self.form.atom(node).formula

    def matrix(self, node: Node, open_sum: bool = False) -> Formula:
        """A right side as matrices; NoMatrixFormError where they or the convention have none."""
        if self.convention == "index":
            raise NoMatrixFormError
        return self.form.read(node, open_sum).formula

    def entries(self, axes: Axes) -> IndexForm:
        """The form that writes entries, with letters for these axes."""
        raised = self.convention == "index"
        return IndexForm.of(self.symbols, self.batch, axes, self._unindexed, raised, self._called)

    def _entry(self, named: Named) -> tuple[Formula, Formula]:
        open_sum = self.batch not in named.axes
        if (merged := self.merged(named)) is not None:
            form, found = merged
            terms = (form.read(term, open_sum).formula for term in found.terms)
            return form.atom(named).formula, total(terms)
        form = self.entries(named.axes)
        return form.atom(named).formula, form.read(named.arg, open_sum).formula

    def merged(self, named: Named) -> tuple[IndexForm, Merged] | None:
        """The form of an equation that says what one axis is made of, if it is one."""
        found = Merged.of(named)
        if found is None:
            return None
        parts = found.index.axes
        axes = (a for each in named.axes for a in (parts if each == found.whole else (each,)))
        form = self.entries(tuple(axes))
        return form.at({found.whole: moved(found.index, form.letters)}), found

    def runs(self, named: Named) -> str:
        """How far the indices run that an equation's axis is made of, as ``j < 2``."""
        try:
            self.matrix(named.arg)
        except NoMatrixFormError:
            merged = self.merged(named)
            parts = [] if merged is None else merged[1].index.axes
            return ", ".join(f"{merged[0].letters[a]} < {a.size}" for a in parts if merged)
        return ""


def _rank_of_entries(axes: Axes) -> int:
    """Weights are W, whatever a sample has of its own is small."""
    return len(axes) if all(axis.size is not None for axis in axes) else 0


def _called_by_name(equations: Sequence[Equation], batch: Axis | None) -> frozenset[Axis]:
    """The axes beside samples and units, as tokens: their indices are their initials."""
    layers = [layer for each in equations if (layer := layer_of(each.node)) is not None]
    units = {axis for layer in layers for axis in (*layer.weight.axes, *layer.summed)}
    every = {axis for each in equations if len(each.axes) > 2 for axis in each.axes}
    return frozenset(every - units - {batch})


def layout_of(equations: Sequence[Equation]) -> Axes:
    """The axes of a network of layers in the order in which they come: samples, inputs, units.

    Empty for equations without layers.
    """
    if not any(each.role == "z" for each in equations):
        return ()
    found: dict[Axis, None] = {}
    for node in (each.node for each in equations if each.role in (*FORWARD, "loss")):
        data = (leaf.axes for leaf in inside(node) if isinstance(leaf, Input))
        found |= dict.fromkeys(axis for axes in (*data, node.axes) for axis in axes)
    return tuple(found)


def batch_axis(equations: Sequence[Equation]) -> Axis | None:
    """The axis of the samples: one that data carry and no parameter does, of no fixed size.

    >>> from pullback.derive.steps.equations import equations
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
