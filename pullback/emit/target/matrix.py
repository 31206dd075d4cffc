"""Products of two arrays as ``a @ b`` where the axes allow it, else by einsum's subscripts."""

from __future__ import annotations

from string import ascii_letters

from pullback.emit.expression.printer import Tree
from pullback.emit.expression.quote import quote, variable
from pullback.emit.values import Product, Value
from pullback.ir import Axes


def subscripts(step: Product) -> str:
    """The subscripts of a product for einsum: ``ab,bc->ac``."""
    left, right, out = step.left, step.right, step.out
    letters = dict(zip(dict.fromkeys(left.axes + right.axes), ascii_letters, strict=False))
    a, b, c = ("".join(letters[axis] for axis in v.axes) for v in (left, right, out))
    return f"{a},{b}->{c}"


def matrix_product(step: Product, template: str = "a @ b") -> Tree | None:
    """A product by a template, ``a @ b``, where the axes allow it.

    Each side has at most two, and one of them is summed.
    """
    sides = oriented(step)
    if sides is None:
        return None
    a, b = (quote("a.T", a=variable(v.name)) if turn else variable(v.name) for v, turn in sides)
    return quote(template, a=a, b=b)


def matrix_products(step: Product, template: str) -> Tree | None:
    """The same of matrices that the first axes number, ``b.mT`` where one lies the other way."""
    out = step.out.axes
    for left, right in ((step.left, step.right), (step.right, step.left)):
        inner = tuple(a for a in left.axes if a in right.axes and a not in out)
        if len(inner) != 1 or len(out) < 3:
            continue
        a, b = _stack(left, out[:-1], inner, 0), _stack(right, out[:-2] + out[-1:], inner, 1)
        if a is not None and b is not None and max(len(left.axes), len(right.axes)) == len(out):
            return quote(template, a=a, b=b)
    return None


def _stack(value: Value, kept: Axes, inner: Axes, at: int) -> Tree | None:
    """A factor as matrices with the summed axis last or, ``at`` 1, first; None if it is none."""
    if len(value.axes) not in (2, len(kept) + 1):
        return None
    own = kept[len(kept) + 1 - len(value.axes) :]
    plain, flipped = own + inner, own[:-1] + inner + own[-1:]
    if value.axes == (flipped if at else plain):
        return variable(value.name)
    if value.axes == (plain if at else flipped):
        return quote("a.T" if len(value.axes) == 2 else "a.mT", a=variable(value.name))
    return None


def oriented(step: Product) -> tuple[tuple[Value, bool], tuple[Value, bool]] | None:
    """The factors of a matrix product in order, each with whether it is to be transposed."""
    left, right, out = step.left, step.right, step.out
    shared = [axis for axis in left.axes if axis in right.axes]
    if len(shared) != 1 or shared[0] in out.axes or max(len(left.axes), len(right.axes)) > 2:
        return None
    if len(out.axes) != len(left.axes) + len(right.axes) - 2:
        return None
    (summed,) = shared
    rows = tuple(axis for axis in left.axes if axis != summed)
    if out.axes[: len(rows)] != rows:
        left, right = right, left
    turn_left = len(left.axes) == 2 and left.axes[-1] != summed
    turn_right = len(right.axes) == 2 and right.axes[0] != summed
    return (left, turn_left), (right, turn_right)
