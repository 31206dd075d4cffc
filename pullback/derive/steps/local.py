"""Local Jacobians: what one equation does to a small change of one of its arguments.

Each is read off the equation's pushforward, which is linear in the change; nothing is typed in.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from pullback.calculus import pushforward
from pullback.calculus.equation import alone
from pullback.derive.steps.equations import FORWARD, Equation
from pullback.ir import (
    Axes,
    Axis,
    Constant,
    Contract,
    Input,
    Label,
    Map,
    Named,
    Node,
    Parameter,
    Rename,
    Role,
    as_printed,
    inside,
    simplify,
    walk,
)
from pullback.ir.axis import union
from pullback.ir.normal.regions import Region, is_elementwise

Structure = Literal["identity", "diagonal", "dense", "Kronecker"]
Leaf = Named | Parameter | Input


@dataclass(frozen=True)
class LocalJacobian:
    """∂of/∂by for one sample: ``tensor`` times the change of ``by``, summed where axes meet.

    ``rows`` are the axes of ``of`` and ``columns`` those of ``by``, each without the samples';
    ``ties`` pairs a column axis with the row axis that it becomes; ``names`` says what the other
    columns are called on the tensor.
    """

    of: Named
    by: Leaf
    change: Node
    tangent: Input
    tensor: Node
    rows: Axes
    columns: Axes
    ties: tuple[tuple[Axis, Axis], ...]
    names: Mapping[Axis, Axis]

    @property
    def over(self) -> Axes:
        """The axes of the matrix as the tensor calls them: rows, then columns."""
        return self.rows + tuple(self.names.get(axis, axis) for axis in self.columns)

    @property
    def structure(self) -> Structure:
        if len(self.ties) == len(self.rows) == len(self.columns):
            carried = any(row in self.tensor.axes for _, row in self.ties)
            return "diagonal" if carried else "identity"
        return "Kronecker" if self.ties and len(self.columns) > len(self.rows) else "dense"

    @property
    def is_outer(self) -> bool:
        """Is it that of a matrix W in z = W a or z = a W, so that it is I ⊗ a or a ⊗ I?"""
        tied = [column for column, _ in self.ties]
        free = [self.names.get(axis, axis) for axis in self.columns if axis not in tied]
        inputs = [axis for axis in self.tensor.axes if axis in self.over]
        return len(self.columns) == 2 and len(self.rows) == len(tied) == 1 and inputs == free

    @property
    def shape(self) -> tuple[int | None, int | None]:
        """The rows and columns of the Jacobian as a matrix."""
        return _length(self.rows), _length(self.columns)

    def words(self) -> str:
        """Shape and structure, as in ``10 × 25, dense``."""
        rows, columns = (str(n) if n is not None else "?" for n in self.shape)
        return f"{rows} × {columns}, {self.structure}"


def _length(axes: Axes) -> int | None:
    sizes = [axis.size for axis in axes]
    return math.prod(size for size in sizes if size) if all(sizes) else None


def local_jacobians(equations: Sequence[Equation], batch: Axis | None) -> list[LocalJacobian]:
    """Every local Jacobian of the forward equations but those of data and of the loss."""
    return [
        jacobian
        for each in equations
        if each.role in FORWARD
        for leaf in arguments(each.node)
        if (jacobian := local_jacobian(each.node, leaf, batch)) is not None
    ]


def arguments(named: Named) -> Iterator[Leaf]:
    """The quantities and parameters on the right side: W, then b, then what comes from before."""
    found = [
        leaf
        for leaf in inside(named)
        if isinstance(leaf, Named) or (isinstance(leaf, Parameter) and leaf.trained)
    ]
    yield from sorted(
        found, key=lambda leaf: (isinstance(leaf, Parameter), -len(leaf.axes), leaf.name)
    )


def local_jacobian(of: Named, by: Leaf, batch: Axis | None) -> LocalJacobian | None:
    """∂of/∂by, or None where it is a sum of products that has no one tensor."""
    right, leaves = alone(of)
    names: dict[Node, Node] = {leaf: node for node, leaf in leaves.items()}
    tangent = Input(f"d.{by.name}", by.axes)
    equation, change = _change(right, leaves[by], of.role, isinstance(by, Named))
    change = replaced(change, names | {_tangent(leaves[by]): tangent, equation: of})
    factors = list(change.factors) if isinstance(change, Contract) else [change]
    moved = [f for f in factors if _bare(f) is tangent]
    if len(moved) != 1:
        return None
    (at,) = moved
    rest = tuple(f for f in factors if f is not at)
    tensor: Node = Constant(1.0)
    if rest:
        every = union(factor.axes for factor in rest)
        kept = tuple(axis for axis in every if axis in at.axes or axis in of.axes)
        tensor = rest[0] if rest[0].axes == kept and len(rest) == 1 else Contract(rest, kept)
    became = dict(at.names) if isinstance(at, Rename) else {}
    columns = tuple(axis for axis in by.axes if axis != batch)
    rows = tuple(axis for axis in of.axes if axis != batch)
    ties = tuple((c, became.get(c, c)) for c in columns if became.get(c, c) in rows)
    free = {c: name for c, name in became.items() if name not in rows}
    return LocalJacobian(of, by, change, tangent, tensor, rows, columns, ties, free)


@lru_cache(maxsize=1024)
def _change(right: Node, leaf: Node, role: Role, textbook: bool) -> tuple[Node, Node]:
    """An equation alone, and its own change for that of a leaf: equal ones are worked out once."""
    equation: Node = Named(Label(role, "\0equation"), right)
    pushed = pushforward(right, {leaf: _tangent(leaf)})
    # beside the equation itself, so that σ(z) is called a
    named = simplify(equation)[0]
    if role == "stat" and isinstance(named, Named):
        return named, _as_powers(pushed, named)
    if textbook:
        named, pushed = as_printed(*simplify(equation, pushed))
    return named, pushed


def _tangent(leaf: Node) -> Input:
    return Input("\0tangent", leaf.axes)


def _as_powers(change: Node, named: Named) -> Node:
    """The change with a power of what an equation is one of by its name: u^(−3/2) is s³."""
    node = named.arg
    if not isinstance(node, Map) or not node.function.expr.is_Pow:
        return change
    base, exponent = node.function.expr.args
    found: dict[Node, Node] = {}
    for each in walk((change,)):
        if isinstance(each, Map) and each.args == node.args:
            number, power = each.function.expr.as_coeff_Mul()
            times = power.args[1] / exponent if power.is_Pow and power.args[0] == base else 0
            if times == int(times) and times > 0:
                factors = (Constant(float(number)), *(named,) * int(times))
                found[each] = Contract(factors, each.axes)
    return replaced(change, found)


def is_elementwise_in(of: Named, by: Leaf) -> bool:
    """Does every entry of ``of`` depend on the same place of ``by`` only?"""
    if not is_elementwise(of.arg):
        return False
    region = Region(of.arg, stop=lambda node: isinstance(node, Named))
    return all(leaf is by or by not in inside(Named("leaf", leaf)) for leaf in region.leaves)


def _bare(node: Node) -> Node:
    return node.arg if isinstance(node, Rename) else node


def replaced(root: Node, new: Mapping[Node, Node]) -> Node:
    """The root with other nodes in the place of some."""
    if root in new:
        return new[root]
    args = tuple(replaced(arg, new) for arg in root.args)
    return root.rebuild(args) if args != root.args else root
