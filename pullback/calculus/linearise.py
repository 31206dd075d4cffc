"""``linearise``: one row per node kind, and the only place where derivatives are written by hand.

A row gives, for each argument, the factor that carries a small change of the argument to the
change of the node. Everything backward is the transpose of these.
"""

from __future__ import annotations

from functools import singledispatch

import sympy as sp

from pullback.calculus.factor import Factor
from pullback.calculus.scan import ScanMap
from pullback.calculus.sweep import Linearisation
from pullback.calculus.written_out import free_name
from pullback.ir import (
    OUTPUT,
    Add,
    ArgMax,
    Constant,
    Contract,
    Determinant,
    Inverse,
    LogDet,
    LogSumExp,
    Map,
    Max,
    Named,
    Node,
    OneHot,
    Rename,
    Scalar,
    Scan,
    symbol,
)
from pullback.ir.axis import union
from pullback.ir.build import shares
from pullback.ir.normal.contraction import is_sum_of_squares
from pullback.ir.scalar.primitives import fn

_ONE = Constant(1.0)


@singledispatch
def linearise(node: Node) -> Linearisation:
    """The arguments that move a node, each with its local Jacobian; a leaf has none.

    >>> from pullback.ir import Axis, Input, Parameter
    >>> i, o = Axis("i", 2), Axis("o", 3)
    >>> W, x = Parameter("W", (o, i)), Input("x", (i,))
    >>> [(arg.name, factor.structure()) for arg, factor in linearise(Contract((W, x), (o,)))]
    [('x', {'i': 'dense', 'o': 'dense'}), ('W', {'o': 'identity', 'i': 'dense'})]
    """
    return []


@linearise.register
def _(node: Contract) -> Linearisation:
    """Linear in each factor: its Jacobian is the product of the others."""
    rows: Linearisation = []
    for at, factor in enumerate(node.factors):
        others = node.factors[:at] + node.factors[at + 1 :]
        axes = union(other.axes for other in others)
        bound = tuple(a for a in axes if a in node.over or a in factor.axes)
        tensor = Contract(others, bound) if others else _ONE
        rows.append((factor, Factor(tensor, factor.axes, node.over)))
    return rows


@linearise.register
def _(node: Map) -> Linearisation:
    """Elementwise: a diagonal of partial derivatives, from the output where that is known."""
    rows: Linearisation = []
    squares = frozenset(at for at, arg in enumerate(node.args) if is_sum_of_squares(arg))
    for at, arg in enumerate(node.args):
        from_output = node.function.partial_from_output(at)
        if from_output is not None:
            slope = Map(Scalar.of(from_output.subs(OUTPUT, symbol(0)), 1), (node,))
        else:
            slope = Map(node.function.partial(at, squares), node.args)
        rows.append((arg, Factor(slope, arg.axes, node.axes)))
    return rows


@linearise.register
def _(node: Add) -> Linearisation:
    return [(term, Factor(_ONE, term.axes, node.axes)) for term in node.terms]


@linearise.register
def _(node: Rename) -> Linearisation:
    return [(node.arg, Factor(_ONE, node.arg.axes, node.axes, node.names))]


@linearise.register
def _(node: Named) -> Linearisation:
    return [(node.arg, Factor(_ONE, node.arg.axes, node.axes))]


@linearise.register
def _(node: LogSumExp) -> Linearisation:
    """d log Σ exp x = Σ softmax(x) dx, the softmax as exp(x − logsumexp x)."""
    return [(node.arg, Factor(shares(node.arg, node, node.where), node.arg.axes, node.axes))]


@linearise.register
def _(node: Max) -> Linearisation:
    """A selection of the largest entries; ties share equally, as in torch.amax and jax."""
    masks = () if node.where is None else (node.where,)
    if node.ties == "first":
        chosen: Node = OneHot(ArgMax(node.arg, node.axis, node.where), node.axis)
        # where nothing is left the first place stands in, and its mask is 0
        return [(node.arg, Factor(Contract((chosen, *masks), node.over), node.arg.axes, node.axes))]
    from_top = symbol(1) - symbol(0)
    equal = Map(Scalar.of(1 - fn("step")(from_top)), (node.arg, node))
    chosen = Contract((equal, *masks), node.over)
    least = sp.Max(symbol(0), 1) if masks else symbol(0)
    ties = Map(Scalar.of(1 / least), (Contract((chosen,), node.axes),))
    return [(node.arg, Factor(Contract((chosen, ties), node.over), node.arg.axes, node.axes))]


@linearise.register
def _(node: Inverse) -> Linearisation:
    """dX⁻¹ = −X⁻¹ dX X⁻¹, so the change has a row and a column of its own between the two."""
    (row, column), taken = node.axes, {*node.axes}
    inner_row, inner_column = free_name(row, taken), free_name(column, taken)
    left, right = Rename(node, ((column, inner_row),)), Rename(node, ((row, inner_column),))
    tensor = Contract((Constant(-1.0), left, right), (row, inner_row, inner_column, column))
    names = ((row, inner_row), (column, inner_column))
    return [(node.arg, Factor(tensor, node.axes, node.axes, names=names))]


@linearise.register
def _(node: Determinant) -> Linearisation:
    slope = Contract((node, _transposed(Inverse(node.arg))), node.arg.axes)
    return [(node.arg, Factor(slope, node.arg.axes, ()))]


@linearise.register
def _(node: LogDet) -> Linearisation:
    return [(node.arg, Factor(_transposed(Inverse(node.arg)), node.arg.axes, ()))]


def _transposed(node: Node) -> Node:
    """A square matrix with rows and columns under one another's names."""
    row, column = node.axes
    return Rename(node, ((row, column), (column, row)))


@linearise.register
def _(node: Scan) -> Linearisation:
    """By the linearisations of the body: a loop along the stored states."""
    return [(arg, ScanMap(node, place, linearise)) for place, arg in enumerate(node.args)]
