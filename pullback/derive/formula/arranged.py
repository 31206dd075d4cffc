"""Jacobians of vec(F), vech(F), F ⊗ G, diag(F) and diag(v): that of F, and what lays out entries.

∂vec(F ⊗ G) is (I ⊗ 𝐊 ⊗ I) (∂vec(F) ⊗ vec(G)) where F moves (Magnus and Neudecker, 1999, chapter 3,
section 7); ∂vech(F) is 𝐋 ∂vec(F), and with 𝚿 v = vec(diag(v)) ∂diag(F) is 𝚿ᵀ ∂vec(F).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pullback.calculus.written_out import free_name
from pullback.derive.formula.algebra import (
    DIAGONAL,
    HALF,
    IDENTITY,
    SWAP,
    product,
    transpose,
)
from pullback.derive.formula.matrix import NoMatrixFormError
from pullback.derive.formula.tree import Formula, Kronecker, Symbol
from pullback.derive.formula.turned import cost
from pullback.ir import Axes, Axis, Contract, Node, Pattern, Rename, Stack, identity, simplify, walk

Jacobian = Callable[[Node, Axes, Axes], Formula]  # of a node by its axes: result, then variable
Column = Callable[[Node, Axes], Formula]  # all entries of a node, column by column


def arranged(
    node: Contract, out: Axes, by: Axes, jacobian: Jacobian, column: Column
) -> Formula | None:
    """The Jacobian of what is laid out from a matrix; None where nothing is.

    Raises NoMatrixFormError where it has none.
    """
    stacks = [f for f in node.factors if isinstance(f, Stack) and f.whole in out]
    stacks.sort(key=lambda stack: out.index(stack.whole))
    if len(stacks) != len(out):
        return None
    apart, parts = _apart(node, stacks)
    if len(stacks) == 1:
        (whole,) = stacks
        found = jacobian(simplify(Contract(apart, (*parts[0][::-1], *by)))[0], parts[0][::-1], by)
        return product(Symbol(HALF), found) if whole.half else found
    rows, columns = parts
    return _kronecker(apart, list(zip(rows, columns, strict=True)), by, jacobian, column)


def _apart(node: Contract, stacks: Sequence[Stack]) -> tuple[tuple[Node, ...], list[Axes]]:
    """The factors of a product but for stacks, whose parts have names of their own."""
    taken = {axis for each in walk((node,)) for axis in each.axes}
    rest = [factor for factor in node.factors if factor not in stacks]
    parts: list[Axes] = []
    for stack in stacks:
        own = tuple(free_name(axis, taken) for axis in stack.parts)
        rest += [identity(old, new) for old, new in zip(stack.parts, own, strict=True)]
        parts.append(own)
    return tuple(rest), parts


def _kronecker(
    factors: Sequence[Node], sides: Sequence[Axes], by: Axes, jacobian: Jacobian, column: Column
) -> Formula:
    """That of F ⊗ G, by what moves one of the two; ``sides`` are their rows and columns."""
    for at, moving in enumerate(sides):
        joined = _joined(factors, {*moving, *by})
        held = [factor for factor in factors if factor not in joined]
        if {*sides[1 - at]} & {axis for factor in joined for axis in factor.axes}:
            continue
        (one,) = simplify(Contract(tuple(joined), (*moving, *by)))
        still = sides[1 - at]
        found = [jacobian(one, moving, by), column(Contract(tuple(held), still), still)]
        beside = Kronecker(*(found if at == 0 else found[::-1]))
        between = Kronecker(Kronecker(IDENTITY, Symbol(SWAP)), IDENTITY)
        return product(between, beside)
    raise NoMatrixFormError


def _joined(factors: Sequence[Node], axes: set[Axis]) -> list[Node]:
    """The factors that some axes are of, and those that share one with them."""
    reached, found = {*axes}, list[Node]()
    while more := [f for f in factors if f not in found and {*f.axes} & reached]:
        found += more
        reached |= {axis for factor in more for axis in factor.axes}
    return [factor for factor in factors if factor in found]


def on_diagonals(node: Contract, out: Axes, by: Axes, jacobian: Jacobian) -> Formula:
    """𝚿ᵀ ∂vec(F) for diag(F), and ∂vec(F) 𝚿 where F is of diag(x).

    Raises NoMatrixFormError where it is neither.
    """
    ways: list[Formula] = []
    for axes, before in ((out, True), (by, False)):
        if len(axes) != 1:
            continue
        (axis,) = axes
        for twice in _split(node, axis):
            both = (axis, twice.over[-1])
            ends = (both, by) if before else (out, both)
            try:
                inner = jacobian(simplify(twice)[0], *ends)
            except NoMatrixFormError:
                continue
            laid = Symbol(DIAGONAL)
            ways.append(product(transpose(laid), inner) if before else product(inner, laid))
    if not ways:
        raise NoMatrixFormError
    return min(ways, key=cost)


def _split(node: Contract, axis: Axis) -> Iterator[Contract]:
    """The product with a second axis in the place of one, in each factor that has it.

    An axis that an identity says is another one has that other's factors, too.
    """
    having = [(factor, axis) for factor in node.factors if axis in factor.axes]
    for tie in [factor for factor, _ in having if is_identity(factor)]:
        (other,) = (each for each in tie.axes if each != axis)
        having += [(f, other) for f in node.factors if f is not tie and other in f.axes]
    for one, old in having if len(having) > 1 else ():
        second = free_name(axis, {a for each in walk((node,)) for a in each.axes})
        rest = tuple(factor for factor in node.factors if factor is not one)
        factors = (*rest, Rename(one, ((old, second),)))
        if {*node.over} <= {a for factor in factors for a in factor.axes}:
            yield Contract(factors, (*node.over, second))


def is_identity(node: Node) -> bool:
    return isinstance(node, Pattern) and node.slice is not None and node.slice.is_whole
