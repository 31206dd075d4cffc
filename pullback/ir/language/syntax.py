"""From text to a syntax tree, with Python's own parser; nothing is executed.

What is refused here is what cannot be read at all; what a tree means is the parser's business.
"""

from __future__ import annotations

import ast
import keyword
import re
import unicodedata
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from pullback.errors import AxisError, ExpressionError, NonFiniteError, PullbackError, shown

LONGEST, DEEPEST = 10_000, 60  # characters; operations inside one another
LONGEST_PART = 30  # characters of a part that a hint repeats
_RANKS: tuple[tuple[type[ast.operator], ...], ...] = (
    (ast.Add, ast.Sub),
    (ast.Mult, ast.Div),
)
_UNSEEN = ("Cc", "Cf", "Cs", "Co")  # Unicode's controls, formats, surrogates and private ones
MOST_PARTS = 2_000  # numbers, names and operations: algebra takes its time
LOOKALIKES = {"−": "-", "–": "-", "×": "*", "·": "*", "⋅": "*", "÷": "/", "²": "**2", "ᵀ": ".T"}


class SourceText:
    """A text, its syntax tree, and where in the text each part of the tree stands.

    >>> SourceText(" a +\\n b").text
    'a +  b'
    """

    strange = "#\\"  # what could hide a part of the text
    lookalikes: Mapping[str, str] = LOOKALIKES

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise ExpressionError(f"an expression is a string, found {type(text).__name__}")
        self.text = re.sub(r"\s", " ", text).strip()
        self._refuse_unreadable()
        self.tree = self.read()
        self._refuse_deep()

    def read(self) -> ast.expr:
        """The syntax tree of the text."""
        try:
            with warnings.catch_warnings():  # what Python thinks of 1if, the caller need not read
                warnings.simplefilter("ignore")
                return ast.parse(self.text, mode="eval").body
        except SyntaxError as fault:
            column = fault.offset - 1 if fault.offset else len(self.text)  # 0 means the end
            self._refuse_lambda()
            message = _plain(fault.msg)
            bar = "; write abs(x), norm(x) or det(X) for bars" if "|" in self.text else ""
            raise self.error(f"not an expression: {message}{bar}", column) from None
        except (RecursionError, MemoryError):
            raise self.error(f"nested more than {DEEPEST} deep: split it up") from None

    def _refuse_lambda(self) -> None:
        """Raise ExpressionError for a Greek letter that Python keeps for itself."""
        if word := re.search(r"\blambda\b", self.text):
            raise self.error(
                "'lambda' cannot name a variable: Python keeps the word for itself", word.start()
            )

    def error(
        self,
        message: str,
        place: ast.AST | int | None = None,
        kind: type[ExpressionError] = ExpressionError,
    ) -> ExpressionError:
        """The error with a caret under a part of the tree, or under a column."""
        column = self.column(place) if isinstance(place, ast.AST) else place
        return kind(message, self.text, column)

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

    def part(self, tree: ast.expr) -> str:
        """The text of a part, as it can stand in a hint; an ellipsis for a long one."""
        start, end = tree.col_offset, tree.end_col_offset or 0
        text = self.text.encode()[start:end].decode()
        return text if len(text) <= LONGEST_PART else "…"

    def calls(self, tree: ast.expr, names: Sequence[str]) -> int:
        """How often functions of these names are called in a part."""
        found = (part.func for part in ast.walk(tree) if isinstance(part, ast.Call))
        return sum(isinstance(each, ast.Name) and each.id in names for each in found)

    def names(self) -> dict[str, int]:
        """Every name that stands for a value, with the column where it stands first."""
        calls = [part.func for part in ast.walk(self.tree) if isinstance(part, ast.Call)]
        called = {id(library_of(func) or func) for func in calls}
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
            if character in self.strange or unicodedata.category(character) in _UNSEEN:
                raise self.error(f"{character!r} does not belong in an expression", column)
            usual = self.lookalikes.get(character) or unicodedata.normalize("NFKC", character)
            if usual != character:  # Python would read it as the usual one, without a word
                code = f"U+{ord(character):04X}"
                raise self.error(f"{character!r} ({code}) is not ours: write {usual!r}", column)
        if not unicodedata.is_normalized("NFKC", self.text):
            raise ExpressionError("letter and accent have to be one character (Unicode NFKC)")

    def _refuse_deep(self) -> None:
        parts = sum(isinstance(part, ast.expr) for part in ast.walk(self.tree))
        if parts > MOST_PARTS:
            raise ExpressionError(
                f"the expression has {parts} numbers, names and operations; at most {MOST_PARTS} "
                "are read: split it up"
            )
        level: list[ast.AST] = [self.tree]
        for _ in range(DEEPEST):
            level = [child for part in level for child in _operands(part)]
            if not level:
                return
        raise self.error(f"nested more than {DEEPEST} deep: split it up", level[0])


def _operands(part: ast.AST) -> list[ast.AST]:
    """What stands inside a part; the terms of a sum and the factors of a product side by side."""
    if isinstance(part, ast.BinOp):
        rank = next((rank for rank in _RANKS if isinstance(part.op, rank)), (type(part.op),))
        links, first = chain(part, rank)
        return [first, *(link.right for link in links)]
    children = ast.iter_child_nodes(part)
    return [child for child in children if isinstance(child, ast.expr | ast.keyword)]


def _plain(message: str) -> str:
    """What Python says of a text, without advice that is for Python only."""
    if "integer string conversion" in message:
        return "a number has too many digits"
    return message.partition(". Perhaps")[0].partition(". Maybe")[0]


LIBRARIES = ("np", "numpy", "jnp", "torch")
UNLIKE = {"dot": "A @ B", "cumsum": 'cumsum(x, axis="n")'}  # what they mean by it is not what we do


def library_of(function: ast.expr) -> ast.Name | None:
    """The name of the library of a function that is called as np.exp or np.linalg.inv."""
    inside = function
    while isinstance(inside, ast.Attribute):
        inside = inside.value
    named = isinstance(inside, ast.Name) and inside.id in LIBRARIES and inside is not function
    return inside if named and isinstance(inside, ast.Name) else None


def chain(
    tree: ast.BinOp, operators: tuple[type[ast.operator], ...]
) -> tuple[list[ast.BinOp], ast.expr]:
    """The operations of a + b − c or A @ B @ C in order, and what the first one begins with."""
    links: list[ast.BinOp] = []
    first: ast.expr = tree
    while isinstance(first, ast.BinOp) and isinstance(first.op, operators):
        links.append(first)
        first = first.left
    return links[::-1], first


def whole_number(tree: ast.expr) -> int | None:
    """A whole number, perhaps with a minus, if a part is one."""
    match tree:
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as value)):
            return -value
    return None


def check_name(kind: str, name: str) -> None:
    """Raise AxisError unless the name can stand in an expression."""
    said = shown(name)
    if keyword.iskeyword(name):
        raise AxisError(f"{said} cannot name {kind}: Python keeps the word for itself")
    if not name.isidentifier():
        raise AxisError(f"{said} cannot name {kind}: names are letters, digits and _")
    if not unicodedata.is_normalized("NFKC", name):
        usual = unicodedata.normalize("NFKC", name)
        raise AxisError(f"{said} cannot name {kind}: write {usual!r}, which Python reads instead")


@contextmanager
def blaming(text: str) -> Iterator[None]:
    """What goes wrong with a formula as a whole is said of its text.

    SymPy raises errors of its own where it cannot decide or hold a value.
    """
    try:
        yield
    except NonFiniteError as fault:
        raise ExpressionError(f"{shown(text)}: {fault}") from None
    except PullbackError:
        raise
    except RecursionError:
        raise ExpressionError(f"{shown(text)} is nested too deeply: split it up") from None
    except ArithmeticError:
        raise ExpressionError(f"{shown(text)}: a number in it becomes too large") from None
    except (TypeError, ValueError, NotImplementedError, MemoryError) as fault:
        reason = str(fault).partition("\n")[0]
        raise ExpressionError(f"{shown(text)} cannot be simplified: {reason}") from fault
