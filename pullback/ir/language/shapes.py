"""What MATLAB's operators mean: rows and columns, and the axes of names that nobody declared.

In MATLAB everything is a matrix: a vector is a column, its transpose a row, and ``*`` is the
product of matrices. Each part of a text is read with its two lengths; lengths that meet are one
axis.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pullback.errors import ExpressionError, MisfitError, nearest, shown
from pullback.ir.axis import Axes, Axis, show
from pullback.ir.language.functions import ELEMENTWISE, OUTER, OVER_AXES, arity, elsewhere
from pullback.ir.language.matrices import OF_MATRICES
from pullback.ir.language.operands import (
    Blame,
    Length,
    Operand,
    along_columns_or_rows,
    binary,
    call,
    norm_of_order,
    string,
)
from pullback.ir.language.square import numbered
from pullback.ir.language.stacked import half, together
from pullback.ir.language.syntax import whole_number

_NAMES = ("n", "m", "k", "l", "p", "q", "r", "s")  # of axes that nobody declared
_ALL = frozenset(name for name, row in OVER_AXES.items() if row.arity == 1) - {
    "softmax", "cumsum", "diag", "tr", "trace",
}  # fmt: skip
_BY_COLUMNS = ("sum", "mean", "max", "min")  # in MATLAB, of a matrix
_CONSTANTS = ("vector", "matrix", "eye")  # as large as what they meet
_KNOWN = frozenset({*ELEMENTWISE, *OVER_AXES, *OF_MATRICES, OUTER, *_CONSTANTS})
_INSTEAD = {
    "ones": "vector(1) or matrix(1)", "transpose": "x'",
    "zeros": "vector(0) or matrix(0)", "matrix_power": "X^3", "einsum": "it with *",
    "mpower": "X^3",
    "times": "x.*y", "mtimes": "A*x", "rdivide": "x./y", "power": "x.^p", "pow": "x.^p",
}  # fmt: skip


@dataclass
class Shapes:
    """The sides of every name, and what each operation makes of those of its operands."""

    variables: dict[str, Operand] = field(default_factory=dict)
    guessed: list[str] = field(default_factory=list)  # the names that nobody declared
    notes: list[str] = field(default_factory=list)
    _lengths: dict[Axis, Length] = field(default_factory=dict)
    _constants: list[tuple[ast.Call, tuple[Length, ...], Blame]] = field(default_factory=list)

    def declare(self, name: str, axes: Axes) -> None:
        """Raises ExpressionError for a name with more than two axes."""
        if len(axes) > 2:
            raise ExpressionError(
                f"MATLAB's notation has numbers, vectors and matrices; {name!r} has {show(axes)}"
            )
        sides = [self.length(a.unprimed) for a in axes]
        self.variables[name] = Operand(ast.Name(name), *sides)

    def length(self, axis: Axis) -> Length:
        """How long an axis is that has a name."""
        return self._lengths.setdefault(axis, Length(axis))

    def guess(self, name: str) -> None:
        """A name that nobody declared: by its first letter a number, a vector or a matrix."""
        first = name[0]
        sides = 2 if first.isupper() else 0 if first < "h" else 1
        self.variables[name] = Operand(ast.Name(name), *(Length() for _ in range(sides)))
        self.guessed.append(name)

    def axes(self) -> dict[str, Axes]:
        """The axes of every name, and the arguments of eye and vector(1), once all is read.

        Raises ExpressionError for a constant whose length no name has.
        """
        free = iter(self._free())
        known: dict[Length, Axis] = {}

        def axis(length: Length) -> Axis:
            root = length.root()
            if root not in known:
                known[root] = root.axis or _whole([*map(axis, root.of)]) or Axis(next(free))
            return known[root]

        found = {
            name: numbered(axis(each) for each in (value.rows, value.columns) if each is not None)
            for name, value in self.variables.items()
        }
        for made, lengths, blame in self._constants:
            if any(each.root() not in known for each in lengths):
                raise blame("nothing says how long this is: no name meets it", ExpressionError)
            made.args += [string(made, axis(each).name) for each in lengths]
        return found

    def said(self, axes: Mapping[str, Axes]) -> list[str]:
        """The notes: what names were taken for, and their axes."""
        if not self.guessed:
            return self.notes
        over = ", ".join(
            f'{name}="{" ".join(axis.unprimed.name for axis in axes[name])}"'
            for name in self.guessed
        )
        return [
            f"Nobody declared {over}: by the first letter a to g are numbers, h to z vectors, "
            "capitals matrices, and sides that meet are one axis.",
            *self.notes,
        ]

    def product(self, a: Operand, b: Operand, whole: ast.expr, blame: Blame) -> Operand:
        """a * b: of matrices, and with a number entry by entry."""
        if a.scalar or b.scalar:
            return self.entrywise(ast.Mult(), a, b, whole, blame)
        if a.columns is None and b.rows is None:
            tree = call(whole, OUTER, a.tree, b.tree)
            return Operand(tree, a.rows, b.columns)
        if a.columns is None or b.rows is None:
            raise blame(
                f"{a.kind()} times {b.kind()}: a product of matrices needs as many columns on the "
                "left as rows on the right; entry by entry it is written .*, and x' is a row",
                MisfitError,
            )
        self.meet(a.columns, b.rows, "*", blame)
        return Operand(binary(whole, a.tree, ast.MatMult(), b.tree), a.rows, b.columns)

    def entrywise(
        self, op: ast.operator, a: Operand, b: Operand, whole: ast.expr, blame: Blame
    ) -> Operand:
        """a + b, a .* b, a ./ b, a .^ b: of one shape, or one of the two a number."""
        rows, columns = self._one_shape(a, b, blame)
        return Operand(binary(whole, a.tree, op, b.tree), rows, columns)

    def quotient(self, a: Operand, b: Operand, whole: ast.expr, blame: Blame) -> Operand:
        """a / b: by a number, or by a square matrix from the right."""
        if b.scalar:
            return self.entrywise(ast.Div(), a, b, whole, blame)
        if not b.matrix or a.columns is None:
            raise blame(
                f"{a.kind()} divided by {b.kind()}: entry by entry it is written ./, and 1/X of a "
                "matrix inv(X)",
                MisfitError,
            )
        inverse = self.call("inv", [b], b.tree, blame)
        return self.product(a, inverse, whole, blame)

    def power(self, a: Operand, b: Operand, whole: ast.expr, blame: Blame) -> Operand:
        """a ^ b: of numbers, or the product of a square matrix with itself."""
        if a.scalar and b.scalar:
            return self.entrywise(ast.Pow(), a, b, whole, blame)
        if not a.matrix or whole_number(b.tree) is None:
            raise blame(
                f"{a.kind()} to the power of {b.kind()}: ^ takes numbers, or a square matrix and a "
                "whole number; entry by entry it is written .^",
                MisfitError,
            )
        self._square("^", a, blame)
        return Operand(call(whole, "matrix_power", a.tree, b.tree), a.rows, a.columns)

    def transposed(self, a: Operand, whole: ast.expr) -> Operand:
        """a', a column for a row and the other way round."""
        # a vector has one axis, however it lies: its tree is the same, only longer by the sign
        fields = dict(ast.iter_fields(a.tree))
        tree = type(a.tree)(**fields)
        if a.matrix:
            tree = ast.Attribute(value=a.tree, attr="T", ctx=ast.Load())
        return Operand(ast.copy_location(tree, whole), a.columns, a.rows)

    def call(self, name: str, args: list[Operand], whole: ast.expr, blame: Blame) -> Operand:
        """name(args…)."""
        if name in _CONSTANTS:
            return self._constant(name, args, whole, blame)
        if name in ("max", "min") and len(args) == 2:
            name += "imum"
        if name not in _KNOWN:
            way = f"write {_INSTEAD[name]}" if name in _INSTEAD else elsewhere(name)
            way = way or nearest(name, _KNOWN)
            raise blame(f"unknown function {shown(name)}: {way}", ExpressionError)
        if name == "norm" and len(args) == 2:
            return norm_of_order(args[0], args[1].tree, whole, blame)
        if name in ("sum", "mean") and len(args) == 2:
            return along_columns_or_rows(name, args[0], args[1].tree, whole, blame)
        if len(args) != (expected := arity(name)):
            plural = "" if expected == 1 else "s"
            raise blame(
                f"{name} takes {expected} argument{plural}, found {len(args)}", ExpressionError
            )
        sides = self.sides(name, args, blame)
        return Operand(call(whole, name, *(each.tree for each in args)), *sides)

    def sides(
        self, name: str, args: list[Operand], blame: Blame
    ) -> tuple[Length | None, Length | None]:
        """The sides of a function's result."""
        a = args[0]
        if name in ELEMENTWISE:
            return self._one_shape(a, args[-1], blame)
        if name in ("inv", "adj", "det", "logdet", "tr", "trace", "solve"):
            self._square(name, a, blame)
            if name == "solve":
                assert a.columns is not None
                if args[1].rows is None:
                    raise blame(f"solve(A, b) takes a column, found {args[1].kind()}", MisfitError)
                self.meet(a.columns, args[1].rows, "and", blame)
                return a.columns, args[1].columns
            return (a.rows, a.columns) if name in ("inv", "adj") else (None, None)
        if name in _ALL:
            if name == "norm" and a.matrix:
                raise blame(
                    "norm(X) of a matrix is its largest singular value in MATLAB: write norm2(X) "
                    "for the root of the sum of squares, norm(X, 'fro') there",
                    ExpressionError,
                )
            if name in _BY_COLUMNS and a.matrix:
                self.notes.append(
                    f"{name} of a matrix goes over all of its entries; MATLAB's goes by columns."
                )
            return None, None
        if name == "diag" and a.matrix:
            self._square(name, a, blame)
            return a.rows, None
        if name in ("vec", "vech", "kron"):
            return self._stacked(name, args, blame)
        if not all(each.vector for each in args):
            wrong = next(each for each in args if not each.vector)
            raise blame(f"{name} takes vectors here, found {wrong.kind()}", MisfitError)
        ends = [each.rows or each.columns for each in args]
        if name == "diag":
            return ends[0], ends[0]
        if name == OUTER:
            return ends[0], ends[1]
        if name == "dot":
            one, other = ends
            assert one is not None
            assert other is not None
            self.meet(one, other, "and", blame)
            return None, None
        return a.rows, a.columns  # softmax, cumsum

    def _stacked(
        self, name: str, args: list[Operand], blame: Blame
    ) -> tuple[Length | None, Length | None]:
        """The sides of vec(X), vech(X), kron(A, B): lengths that are made of others."""
        a = args[0]
        if name == "kron":
            b = args[1]
            if not (a.matrix and b.matrix):
                raise blame(
                    f"kron takes two matrices, found {a.kind()} and {b.kind()}", MisfitError
                )
            rows, columns = (Length(of=pair) for pair in zip(_both(a), _both(b), strict=True))
            return rows, columns
        if not a.matrix:
            raise blame(f"{name} takes a matrix, found {a.kind()}", MisfitError)
        if name == "vech":
            self._square(name, a, blame)
            return Length(of=_both(a)[:1]), None
        return Length(of=_both(a)[::-1]), None

    def _constant(self, name: str, args: list[Operand], whole: ast.expr, blame: Blame) -> Operand:
        if name == "eye":
            if args:
                raise blame("eye is as large as what it meets: write eye alone", ExpressionError)
            side = Length()
            tree = call(whole, "eye")
            self._constants.append((tree, (side,), blame))
            return Operand(tree, side, side)
        if len(args) != 1 or not args[0].scalar:
            found = args[0].kind() if len(args) == 1 else f"{len(args)} arguments"
            raise blame(f"{name} takes one number, as {name}(1), found {found}", MisfitError)
        sides = tuple(Length() for _ in range(1 if name == "vector" else 2))
        ones = call(whole, "ones")
        self._constants.append((ones, sides, blame))
        return Operand(binary(whole, args[0].tree, ast.Mult(), ones), *sides)

    def _one_shape(
        self, a: Operand, b: Operand, blame: Blame
    ) -> tuple[Length | None, Length | None]:
        if a.scalar or b.scalar:
            held = b if a.scalar else a
            return held.rows, held.columns
        for one, other in ((a.rows, b.rows), (a.columns, b.columns)):
            if (one is None) != (other is None):
                raise blame(
                    f"{a.kind()} and {b.kind()} do not meet entry by entry: x' is a row, x*y' has "
                    "every product of two entries, diag(v)*X scales rows",
                    MisfitError,
                )
            if one is not None and other is not None:
                self.meet(one, other, "and", blame)
        return a.rows, a.columns

    def _square(self, name: str, a: Operand, blame: Blame) -> None:
        if a.rows is None or a.columns is None:
            raise blame(f"{name} takes a square matrix, found {a.kind()}", MisfitError)
        one, other = a.rows.root().axis, a.columns.root().axis
        if one is not None and other is not None and one != other:
            raise blame(f"{name} takes a square matrix, found {show((one, other))}", MisfitError)
        self.meet(a.rows, a.columns, "and", blame)

    def meet(self, a: Length, b: Length, sign: str, blame: Blame) -> None:
        """The two lengths are one from here on."""
        one, other = a.root(), b.root()
        if one is other:
            return
        if one.axis is not None and other.axis is not None:
            raise blame(
                f"{one.axis.name!r} {sign} {other.axis.name!r} do not meet; if they are one axis, "
                "give them one name",
                MisfitError,
            )
        loose, kept = (one, other) if one.axis is None else (other, one)
        loose.same = kept
        parts, theirs = loose.of, kept.of
        kept.of = theirs or parts
        if len(parts) == len(theirs):
            for mine, other in zip(parts, theirs, strict=True):
                self.meet(mine, other, sign, blame)

    def _free(self) -> Iterator[str]:
        taken = {*self.variables, *(axis.name for axis in self._lengths)}
        number = 0
        while True:
            for letter in _NAMES:
                name = f"{letter}{number or ''}"
                if name not in taken:
                    yield name
            number += 1


def _both(a: Operand) -> tuple[Length, Length]:
    """The sides of a matrix."""
    assert a.rows is not None
    assert a.columns is not None
    return a.rows, a.columns


def _whole(parts: list[Axis]) -> Axis | None:
    """The axis that others make: of one it is half of its square."""
    return (half(*parts) if len(parts) == 1 else together(*parts)) if parts else None
