"""The axes of names that nobody declared, in NumPy's notation: lengths that meet are one axis.

By its first letter a name is a number (a to g), a vector (h to z) or a matrix (capitals), as in the
well-known web form.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from pullback.errors import AxisError, ExpressionError, MisfitError
from pullback.ir.axis import Axes, Axis
from pullback.ir.language.functions import (
    BROADCAST,
    ELEMENTWISE,
    OUTER,
    OVER_AXES,
    RENAME,
    WHERE,
    arity,
)
from pullback.ir.language.matrices import EINSUM, OF_MATRICES, POWER, WITH_AXES
from pullback.ir.language.operands import Blame, Length, Operand
from pullback.ir.language.reader import CONSTANTS
from pullback.ir.language.shapes import Shapes
from pullback.ir.language.syntax import SourceText, check_name, library_of, whole_number

Sides = tuple[Length, ...]
_KEEP = ("softmax", "cumsum")
_AS_IN_MATLAB = {*OF_MATRICES, OUTER, "tr", "trace", "dot", "diag"}


def guessed_axes(source: SourceText, told: bool) -> tuple[dict[str, Axes], list[str]]:
    """The axes of every name of a text, and the notes that say so.

    ``told`` is whether it is known to be NumPy's; if not, ``*`` between two tensors could be the
    product of matrices as well. Raises ExpressionError for that, and where lengths do not fit or
    cannot be told.

    >>> guessed_axes(SourceText("x.T @ A @ y"), told=True)[0]
    {'x': (n,), 'A': (n, m), 'y': (m,)}
    """
    guess = _Guess(source, told)
    guess.sides(source.tree)
    axes = guess.shapes.axes()
    return axes, guess.shapes.said(axes)


class _Guess:
    """One walk over the syntax tree: what each part's sides are, by those of its operands."""

    def __init__(self, source: SourceText, told: bool) -> None:
        self.source, self.told, self.shapes = source, told, Shapes()

    def sides(self, tree: ast.expr) -> Sides:
        match tree:
            case ast.Constant():
                return ()
            case ast.Name(id=name):
                return self._name(name, tree)
            case ast.UnaryOp(operand=operand):
                return self.sides(operand)
            case ast.BinOp(left=left, op=ast.MatMult(), right=right):
                return self._product(self.sides(left), self.sides(right), tree)
            case ast.BinOp(left=left, op=op, right=right):
                a, b = self.sides(left), self.sides(right)
                if isinstance(op, ast.Mult | ast.Div) and a and b and not self.told:
                    sign = "*" if isinstance(op, ast.Mult) else "/"
                    raise self.source.error(
                        f"{sign} goes entry by entry in NumPy's notation, and is of matrices in "
                        "MATLAB's: say dialect='numpy' or dialect='matlab', or declare the names",
                        tree,
                    )
                return self._entrywise((a, b), tree)
            case ast.Attribute(value=value, attr="T"):
                return self.sides(value)[::-1]
            case ast.Compare(left=left, comparators=others):
                return self._entrywise([self.sides(each) for each in (left, *others)], tree)
            case ast.Subscript(value=value, slice=place):
                return self._slice(self.sides(value), place)
            case ast.Call(func=ast.Name(id=name)):
                return self._call(name, tree)
            case ast.Call(func=ast.Attribute(attr=name) as function) if library_of(function):
                return self._call(name, tree)
        return ()  # the reader refuses it

    def _name(self, name: str, tree: ast.Name) -> Sides:
        if name in CONSTANTS:
            return ()
        if name not in self.shapes.variables:
            try:
                check_name("a variable", name)
            except AxisError as fault:
                raise self.source.error(str(fault), tree) from None
            if not (name[0].isascii() and name[0].isalpha()):
                raise self.source.error(
                    f"declare {name!r}: its first letter is not one of a-z", tree
                )
            self.shapes.guess(name)
        return _sides_of(self.shapes.variables[name])

    def _product(self, a: Sides, b: Sides, tree: ast.expr) -> Sides:
        if not a or not b:
            return a or b
        at = max(0, len(b) - 2)
        self.shapes.meet(a[-1], b[at], "@", self._blame(tree))
        return (*a[:-1], *b[:at], *b[at + 1 :])

    def _entrywise(self, several: Sequence[Sides], tree: ast.AST) -> Sides:
        """Of one shape; a vector beside a matrix goes along its columns, as in NumPy."""
        whole = max(several, key=len)
        for each in several:
            known = {side.root() for side in whole}
            if len(each) == 1 < len(whole) and each[0].root() in known:
                continue
            for one, other in zip(whole[len(whole) - len(each) :], each, strict=True):
                self.shapes.meet(one, other, "and", self._blame(tree))
        return whole

    def _call(self, name: str, tree: ast.Call) -> Sides:
        if name in WITH_AXES:
            names = [each.id for each in tree.args if isinstance(each, ast.Name)]
            found = tuple(self.shapes.length(Axis(each)) for each in names)
            return found * 2 if name == "eye" and len(found) == 1 else found
        args = [self.sides(each) for each in tree.args if not _is_string(each)]
        if name in ELEMENTWISE or name == WHERE:
            return self._entrywise(args, tree) if args else ()
        if name == POWER and args:
            return self._as_in_matlab("inv", args[:1], tree)
        if name == "kron" and [len(each) for each in args] == [1, 1]:
            return (Length(of=(args[0][0], args[1][0])),)
        if name in _AS_IN_MATLAB and len(args) == arity(name):
            return self._as_in_matlab(name, args, tree)
        if name in OVER_AXES and args:
            return args[0] if name in _KEEP else self._reduced(args[0], tree)
        if name in (EINSUM, RENAME, BROADCAST):
            raise self.source.error(
                f"what {name} makes of axes that nobody declared is unknown: declare them", tree
            )
        return ()

    def _reduced(self, sides: Sides, tree: ast.Call) -> Sides:
        """Without the axis that is summed over, or without any; norm(x, 1) has an order there."""
        if not sides or _called(tree) == "norm":
            return ()
        told = [word.value for word in tree.keywords if word.arg == "axis"] or tree.args[1:2]
        if not told:
            return ()
        place = whole_number(told[0])
        if place is None or not -len(sides) <= place < len(sides):
            raise self.source.error(
                "an axis that nobody declared is told by its place, as axis=0", told[0]
            )
        return tuple(side for at, side in enumerate(sides) if at != place % len(sides))

    def _as_in_matlab(self, name: str, args: Sequence[Sides], tree: ast.Call) -> Sides:
        operands = [Operand(tree, *each) for each in args]
        rows, columns = self.shapes.sides(name, operands, self._blame(tree))
        return tuple(side for side in (rows, columns) if side is not None)

    def _slice(self, sides: Sides, place: ast.expr) -> Sides:
        """A slice has a length of its own, an entry has none."""
        places = place.elts if isinstance(place, ast.Tuple) else [place]
        kept = [Length() for each in places[: len(sides)] if isinstance(each, ast.Slice)]
        return (*kept, *sides[len(places) :])

    def _blame(self, tree: ast.AST) -> Blame:
        def blame(message: str, kind: type[ExpressionError] = MisfitError) -> ExpressionError:
            return self.source.error(message, tree, kind)

        return blame


def _sides_of(operand: Operand) -> Sides:
    return tuple(side for side in (operand.rows, operand.columns) if side is not None)


def _called(tree: ast.Call) -> str:
    return tree.func.attr if isinstance(tree.func, ast.Attribute) else ast.unparse(tree.func)


def _is_string(tree: ast.expr) -> bool:
    return isinstance(tree, ast.Constant) and isinstance(tree.value, str)
