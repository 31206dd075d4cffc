"""From text to a syntax tree, with Python's own parser; nothing is executed.

What is refused here is what cannot be read at all; what a tree means is the parser's business.
"""

from __future__ import annotations

import ast
import re

from pullback.errors import ExpressionError

LONGEST, DEEPEST = 10_000, 60  # characters; operations inside one another
LOOKALIKES = {"−": "-", "–": "-", "×": "*", "·": "*", "⋅": "*", "÷": "/", "²": "**2", "ᵀ": ".T"}


class Source:
    """A text, its syntax tree, and where in the text each part of the tree stands.

    >>> Source(" a +\\n b").text
    'a +  b'
    """

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise ExpressionError(f"an expression is a string, found {type(text).__name__}")
        self.text = re.sub(r"\s", " ", text).strip()
        self._refuse_unreadable()
        try:
            self.tree: ast.expr = ast.parse(self.text, mode="eval").body
        except SyntaxError as fault:
            column = fault.offset - 1 if fault.offset else len(self.text)  # 0 means the end
            raise self.error(f"not an expression: {fault.msg}", column) from None
        except (RecursionError, MemoryError):
            raise self.error(f"nested more than {DEEPEST} deep: split it up") from None
        self._refuse_deep()

    def error(self, message: str, place: ast.AST | int | None = None) -> ExpressionError:
        """The error with a caret under a part of the tree, or under a column."""
        column = self.column(place) if isinstance(place, ast.AST) else place
        return ExpressionError(message, self.text, column)

    def column(self, tree: ast.AST) -> int:
        """Where the eye looks for a part: at an operator or a dot, else at the beginning."""
        match tree:
            case (
                ast.BinOp(left=left)
                | ast.Compare(left=left)
                | ast.Attribute(value=left)
                | ast.Subscript(value=left)
            ):
                column = self._characters(left.end_col_offset or 0)
                while self.text[column] in " )":
                    column += 1
                return column
        return self._characters(getattr(tree, "col_offset", 0))

    def names(self) -> dict[str, int]:
        """Every name that stands for a value, with the column where it stands first."""
        called = {id(part.func) for part in ast.walk(self.tree) if isinstance(part, ast.Call)}
        names = [part for part in ast.walk(self.tree) if isinstance(part, ast.Name)]
        first: dict[str, int] = {}
        for name in sorted(names, key=self.column):
            if id(name) not in called:
                first.setdefault(name.id, self.column(name))
        return first

    def _characters(self, in_bytes: int) -> int:
        """Python counts columns in bytes of UTF-8; a caret stands under a character."""
        return len(self.text.encode()[:in_bytes].decode())

    def _refuse_unreadable(self) -> None:
        if not self.text:
            raise ExpressionError("the expression is empty")
        if len(self.text) > LONGEST:
            raise ExpressionError(
                f"the expression has {len(self.text)} characters; at most {LONGEST} are read"
            )
        for column, character in enumerate(self.text):
            if character in LOOKALIKES:
                code = f"U+{ord(character):04X}"
                raise self.error(
                    f"{character!r} ({code}) is not ours: write {LOOKALIKES[character]!r}", column
                )
            if character in "#\0\\":
                raise self.error(f"{character!r} does not belong into an expression", column)

    def _refuse_deep(self) -> None:
        level: list[ast.AST] = [self.tree]
        for _ in range(DEEPEST):
            level = [
                child
                for part in level
                for child in ast.iter_child_nodes(part)
                if isinstance(child, ast.expr | ast.keyword)
            ]
            if not level:
                return
        raise self.error(f"nested more than {DEEPEST} deep: split it up", level[0])
