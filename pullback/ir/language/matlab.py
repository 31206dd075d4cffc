"""From a text in MATLAB's notation to the syntax tree of NumPy's; nothing is executed."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pullback.errors import AxisError, ExpressionError
from pullback.ir.axis import Axes
from pullback.ir.language.operands import Blame, Operand
from pullback.ir.language.shapes import Shapes
from pullback.ir.language.syntax import DEEPEST, LOOKALIKES, SourceText, check_name

_TOKENS = re.compile(
    r"""(?P<number>(?:\d+(?:\.(?![*/\\^'])\d*)?|\.\d+)(?:[eE][+-]?\d+)?)"""
    r"""|(?P<name>[^\W\d]\w*)|(?P<sign>\*\*|\.[*/^']|[-+*/\\^'(),])|(?P<space>\ +)"""
)
_SLICES = "slices are read in NumPy's notation, from 0: x[0:3] for x(1:3), X[:, 0] for X(:,1)"
_NUMPY = {
    "@": "the product of matrices is written * here", "**": "a power is written ^ or .^ here",
    "[": "matrices are not written out: give them a name",
    "]": "matrices are not written out: give them a name",
    "=": "an expression has no =", "<": "there are no comparisons", ">": "there are no comparisons",
    ":": _SLICES, '"': "there are no strings", ".": "x' transposes, and .* ./ .^ go entry by entry",
}  # fmt: skip


@dataclass(frozen=True)
class Token:
    """A number, a name or a sign, and where it begins and ends; the kind "end" behind the last."""

    kind: str
    text: str
    start: int
    end: int


class MatlabText(SourceText):
    """A text in MATLAB's notation, its syntax tree in NumPy's, and the axes of its names.

    ``*`` is the product of matrices, ``.*``, ``./`` and ``.^`` go entry by entry, ``'`` transposes.

    >>> from pullback.ir import Axis
    >>> MatlabText("x'*A*x", {"x": (Axis("n"),)}).axes
    {'x': (n,), 'A': (n, n′)}
    """

    strange = "#"
    lookalikes: Mapping[str, str] = LOOKALIKES | {"²": "^2", "ᵀ": "'", "′": "'", "’": "'"}

    def __init__(self, text: str, declared: Mapping[str, Axes]) -> None:
        self.shapes = Shapes()
        for name, over in declared.items():
            self.shapes.declare(name, over)
        super().__init__(text)
        self.axes = self.shapes.axes()
        self.notes = self.shapes.said(self.axes)

    def read(self) -> ast.expr:
        self._tokens, self._at, self._depth = self._cut(), 0, 0
        found = self._sum()
        if self._next.kind != "end":
            product = "" if self._next.kind == "sign" else "; a product is written *"
            raise self.error(
                f"expected an operator, found {self._next.text!r}{product}", self._next.start
            )
        return found.tree

    def _cut(self) -> list[Token]:
        tokens, at = [], 0
        while at < len(self.text):
            piece = _TOKENS.match(self.text, at)
            sign = piece.group() if piece else self.text[at]
            if piece is None or sign in _NUMPY:
                fix = f": {_NUMPY[sign]}" if sign in _NUMPY else ""
                raise self.error(f"{sign!r} does not belong in MATLAB's notation{fix}", at)
            if piece.lastgroup != "space":
                tokens.append(Token(piece.lastgroup or "", sign, at, piece.end()))
            at = piece.end()
            if self.text.startswith("'fro'", at) and sign.strip() in ("", ","):
                tokens.append(Token("word", "fro", at, at + len("'fro'")))
                at += len("'fro'")
        return [*tokens, Token("end", "the end", at, at)]

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self, *signs: str) -> Token | None:
        """The next token, if it is one of these signs."""
        token = self._next
        if token.kind != "sign" or token.text not in signs:
            return None
        self._at += 1
        return token

    def _expect(self, sign: str) -> Token:
        if (token := self._take(sign)) is None:
            raise self.error(f"expected {sign!r}, found {self._found()}", self._next.start)
        return token

    def _found(self) -> str:
        return "the end" if self._next.kind == "end" else repr(self._next.text)

    def _sum(self) -> Operand:
        self._depth += 1
        if self._depth > DEEPEST:
            raise self.error(f"nested more than {DEEPEST} deep: split it up", self._next.start)
        left = self._term()
        while (sign := self._take("+", "-")) is not None:
            right = self._term()
            op = ast.Add() if sign.text == "+" else ast.Sub()
            whole = self._span(left.tree, right.tree)
            left = self.shapes.entrywise(op, left, right, whole, self._blame(sign))
        self._depth -= 1
        return left

    def _term(self) -> Operand:
        left = self._signed()
        while (sign := self._take("*", "/", "\\", ".*", "./")) is not None:
            right = self._signed()
            whole, blame = self._span(left.tree, right.tree), self._blame(sign)
            match sign.text:
                case "*":
                    left = self.shapes.product(left, right, whole, blame)
                case "/":
                    left = self.shapes.quotient(left, right, whole, blame)
                case "\\":
                    left = self.shapes.call("solve", [left, right], whole, blame)
                case _:
                    op = ast.Mult() if sign.text == ".*" else ast.Div()
                    left = self.shapes.entrywise(op, left, right, whole, blame)
        return left

    def _signed(self) -> Operand:
        """−x^2 is −(x^2), as everywhere."""
        signs = []
        while (sign := self._take("-", "+")) is not None:
            signs.append(sign)
        return self._with_signs(signs, self._raised())

    def _with_signs(self, signs: list[Token], value: Operand) -> Operand:
        for sign in reversed(signs):
            if sign.text == "-":
                tree = ast.UnaryOp(ast.USub(), value.tree)
                place = self._place(sign.start, sign.end)
                place.end_col_offset = value.tree.end_col_offset
                value = Operand(ast.copy_location(tree, place), value.rows, value.columns)
        return value

    def _raised(self) -> Operand:
        base, before = self._operand(), None
        while (sign := self._take("'", ".'", "^", ".^")) is not None:
            if sign.text in ("'", ".'"):
                whole = self._place(0, sign.end)
                whole.col_offset = base.tree.col_offset
                base, before = self.shapes.transposed(base, whole), None
                continue
            if before is not None:
                raise self.error(
                    "a^b^c is (a^b)^c in MATLAB and a^(b^c) elsewhere: write the parentheses",
                    sign.start,
                )
            signs = []
            while (more := self._take("-", "+")) is not None:
                signs.append(more)
            exponent = self._with_signs(signs, self._operand())
            whole, blame = self._span(base.tree, exponent.tree), self._blame(sign)
            if sign.text == "^":
                base = self.shapes.power(base, exponent, whole, blame)
            else:
                base = self.shapes.entrywise(ast.Pow(), base, exponent, whole, blame)
            before = sign
        return base

    def _operand(self) -> Operand:
        token = self._next
        if token.kind not in ("number", "name", "word") and token.text != "(":
            raise self.error(
                f"expected a number, a name or '(', found {self._found()}", token.start
            )
        self._at += 1
        if token.kind == "word":
            return Operand(ast.copy_location(ast.Constant(token.text), self._of(token)))
        if token.kind == "number":
            return Operand(ast.copy_location(ast.Constant(self._number(token)), self._of(token)))
        if token.kind == "name":
            called = self._take("(") is not None
            return self._call(token) if called else self._name(token)
        found = self._sum()
        self._expect(")")
        return found

    def _number(self, token: Token) -> int | float:
        try:
            return int(token.text) if token.text.isdecimal() else float(token.text)
        except ValueError:
            raise self.error("a number has too many digits", token.start) from None

    def _name(self, token: Token) -> Operand:
        name, shapes = token.text, self.shapes
        if name not in shapes.variables:
            if name == "eye":
                return shapes.call(name, [], self._of(token), self._blame(token))
            if name == "pi":
                return Operand(ast.copy_location(ast.Name(name, ast.Load()), self._of(token)))
            try:
                check_name("a variable", name)
            except AxisError as fault:
                raise self.error(str(fault), token.start) from None
            if not (name[0].isascii() and name[0].isalpha()):
                raise self.error(
                    f"declare {name!r}: its first letter is not one of a–z", token.start
                )
            shapes.guess(name)
        value = shapes.variables[name]
        tree = ast.copy_location(ast.Name(name, ast.Load()), self._of(token))
        return Operand(tree, value.rows, value.columns)

    def _call(self, token: Token) -> Operand:
        name = token.text
        if name in self.shapes.variables:
            raise self.error(f"{name!r} is a variable, not a function; {_SLICES}", token.start)
        if len(name) == 1:  # no function has a name of one letter
            raise self.error(f"{name!r} is no function; {_SLICES}", token.start)
        args = []
        closing = self._take(")")
        while closing is None:
            args.append(self._sum())
            closing = self._take(")")
            if closing is None:
                self._expect(",")
        whole = self._place(token.start, closing.end)
        return self.shapes.call(name, args, whole, self._blame(token))

    def _blame(self, token: Token) -> Blame:
        def blame(message: str, kind: type[ExpressionError]) -> ExpressionError:
            return self.error(message, token.start, kind)

        return blame

    def _of(self, token: Token) -> ast.expr:
        return self._place(token.start, token.end)

    def _place(self, start: int, end: int) -> ast.expr:
        """Where a part stands; Python counts in bytes."""
        first, last = (len(self.text[:each].encode()) for each in (start, end))
        return ast.expr(lineno=1, col_offset=first, end_lineno=1, end_col_offset=last)

    def _span(self, left: ast.expr, right: ast.expr) -> ast.expr:
        last = right.end_col_offset
        return ast.expr(lineno=1, col_offset=left.col_offset, end_lineno=1, end_col_offset=last)
