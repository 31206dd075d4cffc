"""Functions of whole matrices: inverses, determinants, powers, identities, running sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pullback.errors import AxisError
from pullback.ir.axis import Axes, Axis, show
from pullback.ir.build import multiply
from pullback.ir.inverse import Determinant, Inverse, LogDet
from pullback.ir.kinds import Constant, Contract, Rename
from pullback.ir.language.square import product
from pullback.ir.language.stacked import kron, vec, vech
from pullback.ir.node import Node
from pullback.ir.pattern import Index, Pattern, Range, identity

LARGEST_POWER = 32  # of a matrix: its factors are written out


def square(name: str, matrix: Node) -> Node:
    """The matrix itself; raises AxisError, in the words of the function, where it is not square."""
    sizes = {axis.size for axis in matrix.axes}
    alike = len({axis.unprimed for axis in matrix.axes}) == 1 or (
        len(sizes) == 1 and None not in sizes
    )
    if len(matrix.axes) != 2 or not alike:
        raise AxisError(f"{name} takes a square matrix such as 'n n', found {show(matrix.axes)}")
    return matrix


def _adjugate(matrix: Node) -> Node:
    return multiply(Determinant(matrix), Inverse(matrix))


def _solve(matrix: Node, right: Node) -> Node:
    return product(Inverse(matrix), right)


@dataclass(frozen=True)
class OfMatrices:
    """One function of matrices, and how many it takes."""

    build: Callable[..., Node]
    arity: int = 1
    square: bool = False  # is its first one to be square?

    def of(self, name: str, tensors: Sequence[Node]) -> Node:
        """The function of some tensors; raises AxisError, with its name, for one not square."""
        return self.build(*(square(name, tensors[0]) if self.square else tensors[0], *tensors[1:]))


OF_MATRICES: Mapping[str, OfMatrices] = {
    "inv": OfMatrices(Inverse, square=True),
    "det": OfMatrices(Determinant, square=True),
    "logdet": OfMatrices(LogDet, square=True),
    "adj": OfMatrices(_adjugate, square=True),
    "solve": OfMatrices(_solve, arity=2, square=True),
    "vec": OfMatrices(vec),
    "vech": OfMatrices(vech),
    "kron": OfMatrices(kron, arity=2),
}
POWER = "matrix_power"  # matrix_power(X, 3) is X@X@X
EINSUM = "einsum"  # einsum("ij,jk->ik", A, B)
WITH_AXES = ("eye", "ones", "zeros")  # eye(n), ones(n, m): their arguments are axes


def power(matrix: Node, exponent: int) -> Node:
    """X@X@…; the inverse of that where the exponent is negative."""
    square(POWER, matrix)
    if abs(exponent) > LARGEST_POWER:
        raise AxisError(f"a matrix is multiplied with itself at most {LARGEST_POWER} times")
    base = Inverse(matrix) if exponent < 0 else matrix
    if exponent == 0:
        return identity(*matrix.axes)
    found = base
    for _ in range(abs(exponent) - 1):
        found = product(found, base)
    return found


def constant(name: str, axes: Axes) -> Node:
    """The identity, or a tensor of ones or zeros, over axes.

    >>> constant("eye", (Axis("n"),)).axes
    (n, n′)
    """
    if name == "eye":
        if len(axes) > 2 or len({axis.unprimed for axis in axes}) > 1:
            raise AxisError("eye takes one axis, as eye(n) does")
        return identity(axes[0], axes[0].primed)
    return Constant(1.0 if name == "ones" else 0.0, axes)


def einsum(subscripts: str, tensors: Sequence[Node]) -> Node:
    """Any product of tensors: a letter for each of their axes, those behind the arrow stay.

    Raises AxisError where letters and axes do not fit.

    >>> from pullback.ir import Input
    >>> n = Axis("n")
    >>> X = Input("X", (n, n.primed))
    >>> einsum("ij,ik->jk", [X, X]).axes
    (n′, n′′)
    """
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    words = left.split(",")
    given = "".join(words)
    if not arrow:
        right = "".join(sorted(letter for letter in set(given) if given.count(letter) == 1))
    if len(words) != len(tensors):
        raise AxisError(f"{subscripts!r} is of {len(words)} tensors, found {len(tensors)}")
    known: dict[str, Axis] = {}
    factors: list[Node] = []
    for word, tensor in zip(words, tensors, strict=True):
        if not (word.isalpha() or not word) or len(word) != len(tensor.axes):
            raise AxisError(f"{word!r} has not a letter for each axis of {show(tensor.axes)}")
        names: list[Axis] = []
        for letter, axis in zip(word, tensor.axes, strict=True):
            kind, before = axis.unprimed, known.get(letter)
            if before is not None and before.unprimed != kind:
                raise AxisError(f"{letter!r} is an axis {before.unprimed} and an axis {kind}")
            if before is None or before in names:
                new = kind
                while new in known.values() or new in names:
                    new = new.primed
                if before is not None:  # twice on one tensor: its diagonal
                    factors.append(identity(before, new))
                    known[f"{letter}{new}"] = new
                else:
                    known[letter] = new
                names.append(new)
            else:
                names.append(before)
        pairs = tuple((a, b) for a, b in zip(tensor.axes, names, strict=True) if a != b)
        factors.append(Rename(tensor, pairs) if pairs else tensor)
    if missing := [letter for letter in right if letter not in known]:
        raise AxisError(f"no tensor of {subscripts!r} has the axis {missing[0]!r}")
    return Contract(tuple(factors), tuple(known[letter] for letter in right))


def running_sum(node: Node, axis: Axis) -> Node:
    """The sums of all entries up to each one along an axis."""
    inner = axis.primed
    while inner in node.axes:
        inner = inner.primed
    upto = Pattern((axis, inner), (), (Range(Index.on(axis) - Index.on(inner), 0, None),))
    moved = Rename(node, ((axis, inner),))
    return Contract((upto, moved), node.axes)
