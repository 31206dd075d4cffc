"""vec, vech and Kronecker's products in matrix form, from the leaves that lay out entries."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pullback.derive.formula.matrix import Matrix, NoMatrixFormError
from pullback.derive.formula.tree import Call, Formula, Kronecker
from pullback.ir import Axes, Axis, Contract, Node, Rename, Stack

Read = Callable[[Node], Matrix]


def has_stacks(node: Contract) -> bool:
    """Does a factor lay out entries along an axis of its own?"""
    return any(_stack(factor) is not None for factor in node.factors)


def without_stacks(node: Contract, read: Read) -> list[Matrix]:
    """The factors of a product, those that are laid out along one axis read as such.

    Raises NoMatrixFormError where that is not all that is done with the entries.
    """
    rest = [factor for factor in node.factors if _stack(factor) is None]
    stacks = [stack for factor in node.factors if (stack := _stack(factor)) is not None]
    if (both := _kronecker(node, read)) is not None:
        return [both]
    found: list[Matrix] = []
    for stack in stacks:
        inside = _of(rest, {*stack.parts}, {*node.summed} - {stack.whole})
        if not {*stack.parts} & {*node.over} and {*stack.parts} <= _axes(inside):
            column, row = stack.parts
            inner = read(Contract(tuple(inside), (row, column))).along((row, column)).formula
            found.append(Matrix(Call("vech" if stack.half else "vec", (inner,)), (stack.whole,)))
        else:
            inside = _of(rest, {stack.whole}, {*node.summed} - {*stack.parts})
            if stack.half or stack.whole in node.over or not inside:
                raise NoMatrixFormError
            column, row = stack.parts
            inner = read(Contract(tuple(inside), (stack.whole,))).formula
            found.append(Matrix(Call("mat", (inner,)), (row, column)))
        rest = [factor for factor in rest if factor not in inside]
    return [*found, *map(read, rest)]


def _stack(node: Node) -> Stack | None:
    if isinstance(node, Rename) and isinstance(node.arg, Stack):
        return node.arg.renamed(dict(node.names))
    return node if isinstance(node, Stack) else None


def _of(factors: Sequence[Node], axes: set[Axis], summed: set[Axis]) -> list[Node]:
    """The factors that some axes are of, and those that sums join to them."""
    reached, found = {*axes}, list[Node]()
    while more := [f for f in factors if f not in found and {*f.axes} & reached]:
        found += more
        reached |= {axis for factor in more for axis in factor.axes} & summed
    return [factor for factor in factors if factor in found]


def _axes(factors: Sequence[Node]) -> set[Axis]:
    return {axis for factor in factors for axis in factor.axes}


def _kronecker(node: Contract, read: Read) -> Matrix | None:
    """A ⊗ B, if rows and columns of the two are laid side by side; either may be one itself."""
    rest, stacks = list[Node](), list[Stack]()
    for factor in node.factors:
        stack = _stack(factor)
        if stack is None or stack.whole not in node.over:
            rest.append(factor)
        else:
            stacks.append(stack)
    wholes = tuple(stack.whole for stack in stacks)
    if (
        not 1 <= len(stacks) <= 2
        or {*wholes} != {*node.over}
        or any(len(s.parts) != 2 for s in stacks)
    ):
        return None
    sides: list[Formula] = []
    for at in range(2):
        axes: Axes = tuple(stack.parts[at] for stack in stacks)
        inside = _of(rest, {*axes}, {*node.summed})
        others = {stack.parts[1 - at] for stack in stacks}
        if others & _axes(inside) or not {*axes} <= _axes(inside):
            return None
        sides.append(read(Contract(tuple(inside), axes)).along(axes).formula)
    return Matrix(Kronecker(*sides), wholes).along(node.over)
