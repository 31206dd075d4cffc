"""Jacobians of matrices by matrices as Kronecker's products: ∂vec(A X B)/∂vec(X) = Bᵀ ⊗ A.

With all columns of a matrix one below the other, an entry has the place (column, row); so a product
of what goes with the columns and what goes with the rows is that Kronecker product. Where the
columns of the result go with the rows of the variable, a permutation 𝐊 stands behind it; what goes
entry by entry is diagonal, and what goes with neither an outer product (Magnus and Neudecker, 1999,
chapter 9).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sympy as sp

from pullback.calculus.written_out import free_name
from pullback.derive.formula.algebra import (
    IDENTITY,
    SWAP,
    peel,
    product,
    scaled,
    total,
    transpose,
)
from pullback.derive.formula.arranged import arranged, is_identity, on_diagonals
from pullback.derive.formula.matrix import Matrix, NoMatrixFormError
from pullback.derive.formula.tidy import tidy
from pullback.derive.formula.tree import (
    Call,
    Formula,
    Kronecker,
    Number,
    ProductFormula,
    Symbol,
)
from pullback.ir import (
    Add,
    Axes,
    Axis,
    Constant,
    Contract,
    Map,
    Node,
    Pattern,
    Rename,
    Stack,
    simplify,
    symbol,
    walk,
)
from pullback.ir.build import scalar_map
from pullback.ir.normal.renames import sunk

Read = Callable[[Node], Matrix]
_ALONE = Axis("1")


def stacked(node: Node, out: Axes, by: Axes, read: Read) -> Formula:
    """The matrix of a Jacobian whose axes are those of the result and of the variable.

    Raises NoMatrixFormError where it is no sum of Kronecker's products.
    """
    if len(out) > 2 or len(by) > 2:
        raise NoMatrixFormError
    return total(_merged([_of_entries(term, out, by, read) for term in _distributed(node)]))


def _of_entries(node: Node, out: Axes, by: Axes, read: Read) -> Formula:
    """A term, perhaps of what is laid out from a matrix."""

    def jacobian(node: Node, out: Axes, by: Axes) -> Formula:
        return stacked(node, out, by, read)

    def column(node: Node, axes: Axes) -> Formula:
        return _column(read(node).along(axes).formula, axes)

    match node:
        case Constant(value=0):
            return Number(0)
        case Stack() | Pattern():
            node = Contract((node,), node.axes)
    if not isinstance(node, Contract):
        raise NoMatrixFormError
    if (found := arranged(node, out, by, jacobian, column)) is not None:
        return found
    node = _opened(node)
    try:
        return _term(node, out, by, read)
    except NoMatrixFormError:
        return on_diagonals(node, out, by, jacobian)


def _opened(node: Contract) -> Contract:
    """The product with the factors of products inside it that have more axes than a matrix."""
    taken = {axis for each in walk((node,)) for axis in each.axes}
    factors, waiting = list[Node](), list(node.factors)
    while waiting:
        factor = waiting.pop(0)
        if isinstance(factor, Rename) and len(factor.axes) > 2:
            (factor,) = sunk((factor,))
        if isinstance(factor, Contract) and len(factor.axes) > 2:
            own = [(axis, free_name(axis, taken)) for axis in factor.summed]
            waiting = [*(_renamed(each, own) for each in factor.factors), *waiting]
        else:
            factors.append(factor)
    return Contract(tuple(factors), node.over)


def _renamed(node: Node, names: Sequence[tuple[Axis, Axis]]) -> Node:
    held = tuple(pair for pair in names if pair[0] in node.axes)
    return sunk((Rename(node, held),))[0] if held else node


def _merged(terms: Sequence[Formula]) -> list[Formula]:
    """Kronecker's products that have a side in common as one: A ⊗ C − B ⊗ C is (A − B) ⊗ C."""
    found = list(terms)
    for at in (0, 1):
        groups: dict[object, list[tuple[list[Formula], Kronecker, bool]]] = {}
        others: list[Formula] = []
        for term in found:
            front, body = peel(term)
            match body:
                case Kronecker() as both:
                    swapped = False
                case ProductFormula((Kronecker() as both, Symbol(letter=letter))) if letter == SWAP:
                    swapped = True
                case _:
                    others.append(term)
                    continue
            shared = (both.left, both.right)[at]
            groups.setdefault((shared, swapped), []).append(([*front], both, swapped))
        found = others + [_as_one(group, at) for group in groups.values()]
    return found


def _as_one(group: Sequence[tuple[list[Formula], Kronecker, bool]], at: int) -> Formula:
    """The sum of a group of products that have the left side (0) or the right one in common."""
    front, both, swapped = group[0]
    if len(group) > 1:
        other = tidy(total(scaled(f, (b.right, b.left)[at]) for f, b, _ in group))
        front, body = [*peel(other)[0]], peel(other)[1]
        if body is None:
            return Number(0)
        both = Kronecker(both.left, body) if at == 0 else Kronecker(body, both.right)
    return scaled(front, product(both, Symbol(SWAP)) if swapped else both)


def _distributed(node: Node) -> list[Node]:
    """The terms of a sum, and of one that a number or another tensor multiplies."""
    if isinstance(node, Rename):
        (opened,) = sunk((node,))
        return [node] if isinstance(opened, Rename) else _distributed(opened)
    if isinstance(node, Add):
        return [each for term in node.terms for each in _distributed(term)]
    if isinstance(node, Map) and len(node.axes) > 2:
        terms = sp.Add.make_args(sp.expand_mul(node.function.expr))
        products = [_multiplied(term, node) for term in terms]
        if node in products:  # it is no product
            return [node]
        return [each for product in products for each in _distributed(product)]
    if isinstance(node, Contract):
        for at, factor in enumerate(node.factors):
            terms = _distributed(factor) if len(factor.axes) > 2 else [factor]
            if len(terms) > 1 or terms != [factor]:
                rest = node.factors[:at], node.factors[at + 1 :]
                parts = simplify(
                    *(_product((*rest[0], each, *rest[1]), node.over) for each in terms)
                )
                return [each for part in parts for each in _distributed(part)]
    return [node]


def _multiplied(term: Any, node: Map) -> Node:
    """A term of a function of some arguments as a product: each factor for itself."""
    places = {symbol(at): arg for at, arg in enumerate(node.args)}
    factors: list[Node] = []
    for factor in sp.Mul.make_args(term):
        base, times = factor.as_base_exp()
        if base in places and times.is_Integer and times > 0:
            factors += [places[base]] * int(times)
        else:
            used = sorted(factor.free_symbols, key=str)
            names = {old: symbol(at) for at, old in enumerate(used)}
            factors.append(scalar_map(factor.xreplace(names), *(places[each] for each in used)))
    return simplify(_product(factors, node.axes))[0]


def _product(factors: Sequence[Node], over: Axes) -> Node:
    """A product, with ones along the axes that a term of a sum may lack."""
    carried = {axis for factor in factors for axis in factor.axes}
    lonely = tuple(axis for axis in over if axis not in carried)
    return Contract((*factors, *([Constant(1.0, lonely)] if lonely else [])), over)


def _term(node: Node, out: Axes, by: Axes, read: Read) -> Formula:
    if not isinstance(node, Contract) or set(node.over) != {*out, *by}:
        raise NoMatrixFormError
    if (found := _diagonal(node, out, by, read)) is not None:
        return found
    for columns, rows, swapped in _groupings(out, by):
        inside = _apart(node, {*columns}, {*rows})
        if inside is None:
            continue
        scalars, left, right = inside
        sides = [
            _laid(read(Contract(tuple(factors), group)), group, by)
            for group, factors in ((columns, left), (rows, right))
            if group  # of a vector by a vector all may stand on one side
        ]
        fronts, bodies = zip(*map(peel, sides), strict=True)
        if None in bodies:
            raise NoMatrixFormError
        front = [*_scalars(scalars, read), *(each for front in fronts for each in front)]
        alone = len(bodies) == 1 or {*bodies} == {IDENTITY}
        found = bodies[0] if alone else Kronecker(*bodies)
        return scaled(front, product(found, Symbol(SWAP)) if swapped else found)
    if (found := _scaled_entries(node, out, by, read)) is not None:
        return found
    if (inside := _apart(node, {*out}, {*by})) is not None:
        scalars, left, right = inside
        column, row = (
            _column(read(Contract(tuple(factors), axes)).along(axes).formula, axes)
            for axes, factors in ((out, left), (by, right))
        )
        return scaled(_scalars(scalars, read), tidy(product(column, transpose(row))))
    raise NoMatrixFormError


def _scalars(factors: Sequence[Node], read: Read) -> list[Formula]:
    return [tidy(read(Contract(tuple(factors), ())).formula)] if factors else []


def _laid(matrix: Matrix, group: Axes, by: Axes) -> Formula:
    """The matrix of a group; a single axis is a column if the result's, a row if the variable's."""
    found = matrix.along(group)
    if len(group) == 1 and group[0] in by:
        found = Matrix(found.formula, (_ALONE, *group)).along((*group, _ALONE))
    return tidy(found.formula)


def _column(formula: Formula, axes: Axes) -> Formula:
    """All entries of a matrix, one below the other."""
    front, body = peel(tidy(formula))
    if body is None:
        raise NoMatrixFormError
    return scaled(front, body if len(axes) == 1 else Call("vec", (body,)))


def _diagonal(node: Contract, out: Axes, by: Axes, read: Read) -> Formula | None:
    """diag(vec(M)) where every entry goes with one of the variable: f = M ⊙ X, or M ⊙ Xᵀ."""
    if not len(out) == len(by) == 2:
        return None
    for other, swapped in ((by, False), (by[::-1], True)):
        ties = [{*pair} for pair in zip(out, other, strict=True)]
        met = [f for f in node.factors if is_identity(f) and {*f.axes} in ties]
        rest = [factor for factor in node.factors if factor not in met]
        free = {axis for factor in rest for axis in factor.axes if axis in node.over}
        if len(met) != 2 or free != {*out}:
            continue
        inner = _column(read(Contract(tuple(rest), out)).along(out).formula, out)
        front, body = peel(inner)
        if body is None:
            return None
        found: Formula = Call("diag", (body,))
        return scaled(front, product(found, Symbol(SWAP)) if swapped else found)
    return None


def _scaled_entries(node: Contract, out: Axes, by: Axes, read: Read) -> Formula | None:
    """(Bᵀ ⊗ A) diag(vec(M)) where the entries of the result or of the variable are scaled."""
    ties = [{*f.axes} for f in node.factors if is_identity(f)]
    for at, factor in enumerate(node.factors):
        rest = (*node.factors[:at], *node.factors[at + 1 :])
        if len(factor.axes) != 2 or is_identity(factor) or {*factor.axes} & {*node.summed}:
            continue
        for side, before in ((by, False), (out, True)):
            names = [(a, b) for a in factor.axes for b in side if a != b and {a, b} in ties]
            moved = Rename(factor, tuple(names)) if names else factor
            carried = {axis for each in rest for axis in each.axes}
            if {*moved.axes} != {*side} or not {*node.over} <= carried:
                continue
            front, body = peel(_column(read(moved).along(side).formula, side))
            if body is None:
                continue
            try:
                left = _term(Contract(rest, node.over), out, by, read)
            except NoMatrixFormError:
                continue
            scale = Call("diag", (body,))
            return scaled(front, product(scale, left) if before else product(left, scale))
    return None


def _groupings(out: Axes, by: Axes) -> list[tuple[Axes, Axes, bool]]:
    """What may go with the columns and with the rows, and whether the variable's change places.

    A column vector may go with either.
    """
    row, column = out[:1], out[1:]
    if len(by) == 2 and column:
        straight, swapped = ((*column, by[1]), (*row, by[0])), ((*column, by[0]), (*row, by[1]))
        return [(*straight, False), (*swapped, True)]
    if len(by) == 2:
        return [((by[1],), (*row, by[0]), False), ((*row, by[1]), (by[0],), False)]
    return [((*column, *by), row, False), (column, (*row, *by), False)]


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
