"""From named axes to matrix notation: which transposes and products a contraction is.

Every rule looks at axes only: which are summed, which are kept, and who carries them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pullback.derive.formula.algebra import (
    factor_order,
    hadamard,
    negative,
    peel,
    product,
    scaled,
    total,
    transpose,
)
from pullback.derive.formula.tree import (
    Call,
    Formula,
    Hadamard,
    Negative,
    Norm,
    Number,
    Ones,
    Power,
    Quotient,
)
from pullback.ir import Axes, Axis

Size = Callable[[Axis], Formula]


class NoMatrixFormError(Exception):
    """More than two axes at once: matrix notation ends here, and indices begin."""


@dataclass(frozen=True)
class Matrix:
    """A formula with at most two axes: none is a scalar, one a column, two are (row, column)."""

    formula: Formula
    axes: Axes = ()

    def __post_init__(self) -> None:
        if len(self.axes) > 2:
            raise NoMatrixFormError

    def along(self, axes: Axes) -> Matrix:
        """The same matrix with its axes in this order, transposed if need be."""
        return self if self.axes == axes else Matrix(transpose(self.formula), self.axes[::-1])


def contract(factors: Iterable[Matrix], over: Axes, size: Size) -> Matrix:
    """The product of the factors, summed over every axis not in ``over``.

    An axis that only ones carry is a size if it is summed. Raises NoMatrixFormError where a third
    axis would be needed.
    """
    scalars: list[Formula] = []
    parts: list[Matrix] = []
    for factor in factors:
        front, body = peel(factor.formula) if factor.axes else ((factor.formula,), None)
        scalars.extend(front)
        if body is not None:
            parts.append(Matrix(body, factor.axes))
    parts, empty = _without_ones(parts, over)
    scalars.extend(size(axis) for axis in empty)
    while True:
        parts = _merge(parts)
        summed = [axis for part in parts for axis in part.axes if axis not in over]
        if not summed:
            break
        # the fewest carriers first: the others may become one before their turn
        axis = min(summed, key=lambda a: (len(_carriers(parts, a)), _turned(parts, a)))
        alone = [part for part in parts if part.axes == (axis,)]
        parts, more = _sum_over(parts, axis, over)
        scalars = _with_sum(scalars, more, alone, size(axis)) if more else scalars
    body = _compose(parts, over)
    return Matrix(scaled(scalars, body), over)


def multiply(factors: Sequence[Matrix]) -> Matrix:
    """The elementwise product, with broadcasting."""
    return contract(factors, frame(factors), _no_size)


def add(terms: Sequence[Matrix]) -> Matrix:
    """The sum, with broadcasting: a column beside a matrix is repeated by ones; a scalar stays."""
    axes = frame(terms)
    return Matrix(total(spread(term, axes).formula for term in terms), axes)


def spread(matrix: Matrix, axes: Axes) -> Matrix:
    """The matrix repeated along the axes that it lacks; a scalar broadcasts as it is."""
    if not matrix.axes or matrix.axes == axes:
        return matrix
    ones = [Matrix(Ones(), (axis,)) for axis in axes if axis not in matrix.axes]
    return contract([matrix, *ones], axes, _no_size)


def apply(function: str, args: Sequence[Matrix]) -> Matrix:
    """A function of some arguments, elementwise."""
    axes = frame(args)
    return Matrix(Call(function, tuple(spread(arg, axes).formula for arg in args)), axes)


def reciprocal(matrix: Matrix) -> Matrix:
    """1/m, elementwise."""
    scalars, _ = peel(matrix.formula)
    if scalars[:1] == (Negative(Number(1)),):
        inner = reciprocal(Matrix(negative(matrix.formula), matrix.axes))
        return Matrix(negative(inner.formula), matrix.axes)
    return Matrix(Quotient(Number(1), matrix.formula), matrix.axes)


def frame(matrices: Iterable[Matrix]) -> Axes:
    """Every axis once; the one with the most axes sets the order."""
    ordered = sorted(matrices, key=lambda m: len(m.axes), reverse=True)
    return tuple(dict.fromkeys(axis for matrix in ordered for axis in matrix.axes))


def _no_size(axis: Axis) -> Formula:
    raise AssertionError(f"nothing is summed here, not even {axis}")


def _carriers(parts: Sequence[Matrix], axis: Axis) -> list[Matrix]:
    return [part for part in parts if axis in part.axes]


def _turned(parts: Sequence[Matrix], axis: Axis) -> int:
    """How many matrices would have to be transposed to stand on the left of what they meet."""
    return sum(len(part.axes) == 2 and part.axes[0] == axis for part in parts)


def _without_ones(parts: list[Matrix], over: Axes) -> tuple[list[Matrix], list[Axis]]:
    """The parts without ones that change nothing, and the axes that only summed ones carry."""
    others = {axis for part in parts if part.formula != Ones() for axis in part.axes}
    kept = [part for part in parts if part.formula != Ones()]
    lonely = dict.fromkeys(axis for part in parts for axis in part.axes if axis not in others)
    kept.extend(Matrix(Ones(), (axis,)) for axis in lonely if axis in over)
    return kept, [axis for axis in lonely if axis not in over]


def _merge(parts: Sequence[Matrix]) -> list[Matrix]:
    """Parts on the same axes, multiplied elementwise."""
    groups: dict[frozenset[Axis], list[Matrix]] = {}
    for part in parts:
        groups.setdefault(frozenset(part.axes), []).append(part)
    merged = []
    for group in groups.values():
        axes = group[0].axes
        formulas = [part.along(axes).formula for part in group]
        merged.append(group[0] if len(group) == 1 else Matrix(hadamard(formulas), axes))
    return merged


def _sum_over(parts: list[Matrix], axis: Axis, over: Axes) -> tuple[list[Matrix], list[Formula]]:
    """The parts without one summed axis, and the scalars that come out of it."""
    carriers = _carriers(parts, axis)
    rest = [part for part in parts if part not in carriers]
    if len(carriers) == 1:
        (part,) = carriers
        alone = all(a not in over and _carriers(parts, a) == [part] for a in part.axes)
        if alone:
            return rest, [_sum_of_all(part.formula, len(part.axes))]
        (other,) = (a for a in part.axes if a != axis)
        return [*rest, Matrix(product(part.along((other, axis)).formula, Ones()), (other,))], []
    if len(carriers) == 2:
        first, second = carriers
        return [*rest, _matrix_product(first, second, axis, over)], []
    columns = [part for part in carriers if len(part.axes) == 1]
    if not columns:
        raise NoMatrixFormError
    (scale,) = columns
    at = next(part for part in carriers if part is not scale)
    (other,) = (a for a in at.axes if a != axis)
    absorbed = product(Call("diag", (scale.formula,)), at.along((axis, other)).formula)
    kept = [part for part in parts if part is not scale and part is not at]
    return [*kept, Matrix(absorbed, (axis, other))], []


def _with_sum(
    scalars: Sequence[Formula], more: Sequence[Formula], alone: Sequence[Matrix], size: Formula
) -> list[Formula]:
    """The scalars and a sum of all entries; a column's, by its length, is its mean."""
    known = isinstance(size, Number) and len(alone) == 1 and not _is_square(alone[0].formula)
    for at, scalar in enumerate(scalars if known else ()):
        signs, share = peel(scalar)
        if share is not None and _is_share(share, size):
            mean = Call("mean", (alone[0].formula,))
            return [*scalars[:at], *signs, mean, *scalars[at + 1 :]]
    return [*scalars, *more]


def _is_share(formula: Formula, size: Formula) -> bool:
    """Is it 1/size?"""
    match formula, size:
        case Quotient(Number(over), Number(under)), Number(length):
            return over * length == under
        case Number(value), Number(length):
            return length > 1 and abs(value * length - 1) < 1e-15
    return False


def _matrix_product(a: Matrix, b: Matrix, axis: Axis, over: Axes) -> Matrix:
    """A(i,k) B(k,j), oriented as the result wants it; a column stands on the right."""
    first_kept = [part for part in (a, b) if over[:1] and over[0] in part.axes]
    left = max((a, b), key=lambda part: (len(part.axes), part in first_kept))
    right = b if left is a else a
    rows = tuple(x for x in left.axes if x != axis)
    columns = tuple(x for x in right.axes if x != axis)
    formula = product(left.along((*rows, axis)).formula, right.along((axis, *columns)).formula)
    return Matrix(formula, rows + columns)


def _is_square(formula: Formula) -> bool:
    return isinstance(formula, Power) and formula.exponent == Number(2)


def _sum_of_all(formula: Formula, rank: int) -> Formula:
    """The sum of all entries: ‖v‖², uᵀv, or with ones."""
    if isinstance(formula, Power) and _is_square(formula):
        return Power(Norm(formula.base), Number(2))
    if isinstance(formula, Hadamard) and rank == 1:
        first, *others = sorted(formula.factors, key=lambda f: factor_order(f)[1:])
        return product(transpose(first), hadamard(others))
    right = product(formula, Ones()) if rank == 2 else formula
    return product(transpose(Ones()), right)


def _compose(parts: Sequence[Matrix], over: Axes) -> Formula | None:
    """What is left once nothing is to be summed: a matrix scaled on both sides, or u vᵀ."""
    by_axes = {part.axes: part for part in parts}
    if len(over) > 2:
        raise NoMatrixFormError
    whole = [part.along(over).formula for part in parts if len(part.axes) == 2]
    sides = {axes[0]: part.formula for axes, part in by_axes.items() if len(axes) == 1}
    if over and len(over) < 2 and over[0] not in sides:
        raise NoMatrixFormError
    if len(over) < 2:
        return sides[over[0]] if over else None
    row, column = over
    if not whole:
        if len(sides) < 2:  # constant along one of the two
            raise NoMatrixFormError
        return product(sides[row], transpose(sides[column]))
    (formula,) = whole
    if row in sides:
        formula = product(Call("diag", (sides[row],)), formula)
    if column in sides:
        formula = product(formula, Call("diag", (sides[column],)))
    return formula
