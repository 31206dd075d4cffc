"""Products of arrays of any axes as products of matrices, many at a time.

The result's axes are rows of the left factor, columns of the right one, or an index of the matrix
that is multiplied; several axes that lie one behind the other are one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import prod

from pullback.emit.expression.brackets import ASSUMED_SIZE
from pullback.emit.values import Product, Value
from pullback.ir import Axes, Axis

# Multiply-adds: smaller matrices, of which there are many, are multiplied as one and then turned
WORTH_A_CALL = 4096
Size = Callable[[Axes], str]


@dataclass(frozen=True)
class Matrices:
    """An array as matrices: which axes number them, which are rows and which columns."""

    lead: Axes
    rows: Axes
    columns: Axes

    @property
    def axes(self) -> Axes:
        """All axes, in this order."""
        return (*self.lead, *self.rows, *self.columns)

    def lie_in(self, axes: Axes) -> bool:
        """Does an array with these axes hold such matrices as BLAS reads them?

        Each group has to lie together, and one entry beside the next.
        """
        last = axes[-1:]
        ends = not self.lead or last == self.rows[-1:] or last == self.columns[-1:]
        return ends and _together(self.rows, axes) and _together(self.columns, axes)

    def copied(self, have: Axes) -> Axes:
        """The axes of a copy of an array that holds such matrices; its last axis stays so."""
        lead = tuple(axis for axis in self.lead if axis in have)
        ends = have[-1] in self.rows and lead == self.lead
        groups = (self.columns, self.rows) if ends else (self.rows, self.columns)
        return (*lead, *groups[0], *groups[1])

    def view(self, text: str, axes: Axes, size: Size) -> str:
        """The source of these matrices in an array with these axes."""
        present = tuple(axis for axis in self.axes if axis in axes)
        if len(self.rows) == len(self.columns) == 1:
            return turned(text, axes, present) + broadcast(self.axes, present)
        lead = [size((axis,) if axis in axes else ()) for axis in self.lead]
        rows, columns = size(self.rows), size(self.columns)
        if axes == (*self.lead, *self.columns, *self.rows):
            return f"{text}.reshape({', '.join([*lead, columns, rows])}).{'mT' if lead else 'T'}"
        return f"{turned(text, axes, present)}.reshape({', '.join([*lead, rows, columns])})"


@dataclass(frozen=True)
class Gemm:
    """``left @ right``, each as matrices, and the result's matrices."""

    left: tuple[Value, Matrices]
    right: tuple[Value, Matrices]
    out: Matrices


def gemm(step: Product) -> Gemm | None:
    """A product as one of matrices; None where nothing but a sum of products of entries is left."""
    left, right, out = step.left, step.right, step.out.axes
    mine, theirs = (
        tuple(a for a in one.axes if a not in other.axes)
        for one, other in ((left, right), (right, left))
    )
    if not mine and not theirs:
        return None
    rows, columns = _runs(mine, out), _runs(theirs, out)
    groups = _last_two(rows, columns, out)
    inner = _summed(left.axes, right.axes, out)
    rest = tuple(a for a in (*mine, *theirs) if a not in groups[0] + groups[1])
    small = _nominal(groups[0]) * _nominal(groups[1]) * _nominal(inner) < WORTH_A_CALL
    if out[-1:] not in (groups[0][-1:], groups[1][-1:]) or (rest and small):
        groups = mine, theirs
    if groups[1] and groups[0] and out.index(groups[0][0]) > out.index(groups[1][0]):
        left, right, groups = right, left, groups[::-1]
    lead = tuple(axis for axis in out if axis not in groups[0] + groups[1])
    return Gemm(
        (left, Matrices(_held(lead, left), groups[0], inner)),
        (right, Matrices(_held(lead, right), inner, groups[1])),
        Matrices(lead, *groups),
    )


def summed_last(step: Product, product: Gemm) -> Axis | None:
    """The first axis of both factors where it is better summed over by itself, after the product.

    As for a convolution's weight: the windows of each sample are copied in an order that is nearly
    theirs, and what is left to be summed is much smaller than they are.
    """
    left, right, out = step.left, step.right, step.out.axes
    first = left.axes[:1]
    sides = (product.left, product.right)
    copied = [v.axes for v, matrices in sides if not matrices.lie_in(v.axes)]
    if not out or first != right.axes[:1] or first[0] in out or not copied:
        return None
    largest = max(map(_nominal, copied))
    return first[0] if 2 * _nominal((*first, *out)) <= largest else None


def _held(lead: Axes, value: Value) -> Axes:
    """The axes that number matrices, without the first that an array lacks."""
    first = next((at for at, axis in enumerate(lead) if axis in value.axes), len(lead))
    return lead[first:]


def _last_two(rows: list[Axes], columns: list[Axes], out: Axes) -> tuple[Axes, Axes]:
    """The runs of rows and of columns: the one that ends the result, else the largest."""

    def best(runs: list[Axes]) -> Axes:
        return max(runs, key=lambda run: (run[-1] == out[-1], _nominal(run)), default=())

    return best(rows), best(columns)


def _runs(axes: Axes, out: Axes) -> list[Axes]:
    """The axes of one factor alone that stand one behind the other in the result."""
    return [tuple(run) for mine, run in groupby(out, lambda axis: axis in axes) if mine]


def _summed(left: Axes, right: Axes, out: Axes) -> Axes:
    """The axes summed over, in the order of the larger array, which is then not copied."""
    larger, smaller = (left, right) if _nominal(left) >= _nominal(right) else (right, left)
    return tuple(axis for axis in larger if axis in smaller and axis not in out)


def _nominal(axes: Iterable[Axis]) -> int:
    return prod(axis.size or ASSUMED_SIZE for axis in axes)


def _together(group: Axes, axes: Axes) -> bool:
    """Do the axes of a group stand one behind the other, in this order?"""
    if not group:
        return True
    start = axes.index(group[0])
    return axes[start : start + len(group)] == group


def turned(text: str, axes: Axes, order: Axes) -> str:
    """An array with its axes in another order."""
    places = tuple(axes.index(axis) for axis in order)
    if places == tuple(sorted(places)):
        return text
    return f"{text}.T" if places == (1, 0) else f"{text}.transpose{places}"


def lined_up(text: str, have: Axes, axes: Sequence[Axis | None]) -> str:
    """An array with its axes in this order, and one of length 1 for each None."""
    text = turned(text, have, tuple(axis for axis in axes if axis is not None))
    places = [":" if axis is not None else "None" for axis in axes]
    while places[-1:] == [":"]:
        places.pop()
    return f"{text}[{', '.join(places)}]" if places else text


def broadcast(axes: Axes, have: Axes) -> str:
    """The index that gives an array length 1 along the axes that it lacks between its own."""
    if not have or axes[len(axes) - len(have) :] == have:
        return ""
    places = [":" if axis in have else "None" for axis in axes]
    return f"[{', '.join(places[places.index(':') :])}]"
