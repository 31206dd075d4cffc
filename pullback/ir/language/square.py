"""Tensors with several axes of one kind, as a square matrix (n, n): the first is n, the next n′.

Names say what fits, places say what meets: each operation gives its result's axes of one kind
their names anew, in order, so that X + X.T adds entry by entry, and X @ X joins columns to rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pullback.errors import AxisError
from pullback.ir.axis import Axes, Axis, show
from pullback.ir.build import without
from pullback.ir.kinds import Contract, Rename
from pullback.ir.node import Node


def numbered(axes: Iterable[Axis]) -> Axes:
    """The axes with those of one kind named by their order.

    >>> n = Axis("n")
    >>> numbered((n.primed, Axis("d"), n))
    (n, d, n′)
    """
    seen: Counter[Axis] = Counter()
    found: list[Axis] = []
    for axis in axes:
        each = axis.unprimed
        for _ in range(seen[axis.unprimed]):
            each = each.primed
        seen[axis.unprimed] += 1
        found.append(each)
    return tuple(found)


def in_order(node: Node) -> Node:
    """The node with its axes of one kind named by their order."""
    return _called(node, numbered(node.axes))


def beside(a: Node, b: Node) -> Node:
    """b with names that a does not have, where both have axes of one kind."""
    return _called(b, numbered((*a.axes, *b.axes))[len(a.axes) :])


def product(a: Node, b: Node) -> Node:
    """a @ b: the last axis of a and the only or second-to-last of b are one, and summed over.

    Raises AxisError where they are of two kinds.

    >>> from pullback.ir import Input
    >>> n = Axis("n")
    >>> X = Input("X", (n, n.primed))
    >>> product(X, X).axes
    (n, n′)
    """
    sides = f"{show(a.axes)} @ {show(b.axes)}"
    if not a.axes or not b.axes:
        raise AxisError(f"{sides}: @ needs an axis on both sides; a scalar is multiplied with *")
    at = max(0, len(b.axes) - 2)
    inner, meeting = a.axes[-1], b.axes[at]
    if inner.unprimed != meeting.unprimed:
        raise AxisError(
            f"{sides}: {inner.name!r} does not meet {meeting.name!r}; if they are one axis, give "
            "them one name"
        )
    shared = {axis.unprimed for axis in a.axes[:-1]} & {axis.unprimed for axis in b.axes}
    if shared - {inner.unprimed} and max(len(a.axes), len(b.axes)) > 2:
        name = min(axis.name for axis in shared - {inner.unprimed})
        raise AxisError(
            f"{sides}: both sides have {name!r}, and a product of more than matrices would have it "
            f"twice; rename one, as rename(A, {name}='{name}2') does"
        )
    apart = beside(a, b)
    names = (*apart.axes[:at], inner, *apart.axes[at + 1 :])
    joined = _called(apart, names)
    return in_order(Contract((a, joined), without((*a.axes, *names), (inner,))))


def ambiguous(nodes: Iterable[Node]) -> str | None:
    """What is unclear where one node has two axes of a kind, and another one."""
    held = [(node, Counter(axis.unprimed for axis in node.axes)) for node in nodes]
    for node, kinds in held:
        for other, theirs in held:
            if any(kinds[axis] > 1 == theirs[axis] for axis in kinds):
                fix = "a product of matrices is written @"
                if len(other.axes) == 1:
                    fix = "write diag(v)@X to scale rows, X@diag(v) to scale columns, X@v to sum"
                return f"{show(other.axes)} could go along either axis of {show(node.axes)}; {fix}"
    return None


def is_square(node: Node) -> bool:
    return len({axis.unprimed for axis in node.axes}) < len(node.axes)


def entrywise_power(node: Node, text: str, times: int | None) -> list[str]:
    """What to say of X**2 with a square matrix: it is no product of matrices."""
    if not is_square(node) or times == 1:
        return []
    other = "" if times is None else f"; that of the matrix is matrix_power({text}, {times})"
    return [f"The power of {text} goes entry by entry{other}."]


def entrywise_quotient(node: Node, text: str) -> list[str]:
    """What to say of A/X with a square matrix: it is no product with an inverse."""
    if not is_square(node):
        return []
    return [f"The division by {text} goes entry by entry; the inverse is inv({text})."]


def _called(node: Node, names: Axes) -> Node:
    changes = tuple((old, new) for old, new in zip(node.axes, names, strict=True) if old != new)
    return Rename(node, changes) if changes else node
