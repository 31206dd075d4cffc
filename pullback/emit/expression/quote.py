"""Source code as Python's own syntax trees, printed once: brackets follow from precedence.

No text is ever put into text. A template is quoted with trees in its holes; names and keys from
outside enter as identifiers of ours or as literals.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from math import isfinite
from typing import Any

from pullback.emit.expression.printer import Tree, printed
from pullback.errors import NonFiniteError


def quote(template: str, /, **holes: Tree) -> Tree:
    """The expression of a template, with a tree in the place of each name that is a hole.

    >>> sum = quote("a - b", a=variable("x"), b=number(1))
    >>> printed(quote("(a @ b).T ** 2", a=sum, b=variable("W")))
    '((x - 1.0) @ W).T ** 2'
    """
    filled: Tree = with_names(_parsed(template), holes)
    return filled


def with_names(tree: Any, trees: Mapping[str, Tree]) -> Any:
    """The tree with another tree for each of some names."""
    if isinstance(tree, ast.Name):
        return trees.get(tree.id, tree)
    if not isinstance(tree, ast.AST):
        return [with_names(each, trees) for each in tree] if isinstance(tree, list) else tree
    parts = {field: getattr(tree, field) for field in tree._fields if hasattr(tree, field)}
    return type(tree)(**{field: with_names(part, trees) for field, part in parts.items()})


@lru_cache(maxsize=512)
def _parsed(template: str) -> Tree:
    return ast.parse(template, mode="eval").body


def variable(identifier: str) -> Tree:
    """A variable."""
    return ast.Name(identifier)


def number(value: float) -> Tree:
    """A number as the shortest source that reads back as the same float.

    Raises NonFiniteError for what no literal can say.
    """
    if not isfinite(value):
        raise NonFiniteError(f"the formula contains {value}, which is not a finite number")
    tree = ast.Constant(abs(float(value)))
    return ast.UnaryOp(ast.USub(), tree) if value < 0 else tree


def whole(value: int) -> Tree:
    """A whole number."""
    return ast.UnaryOp(ast.USub(), ast.Constant(-value)) if value < 0 else ast.Constant(value)


def call(function: str, *arguments: Tree, **keywords: Tree) -> Tree:
    """A call of a function by its dotted name."""
    given = [ast.keyword(key, value) for key, value in keywords.items()]
    return ast.Call(_parsed(function), list(arguments), given)


def tuple_of(parts: Iterable[Tree]) -> Tree:
    """A tuple, of one part too."""
    return ast.Tuple(list(parts))


def indexed(array: Tree, places: Sequence[Tree | None]) -> Tree:
    """``array[…]``; None is a whole axis.

    >>> printed(indexed(variable("b"), [quote("None"), None]))
    'b[None, :]'
    """
    parts = [ast.Slice() if place is None else place for place in places]
    return ast.Subscript(array, parts[0] if len(parts) == 1 else ast.Tuple(list(parts)))


def called(trees: Iterable[Tree]) -> set[str]:
    """The plain names of all functions that are called in some trees."""
    return {
        node.func.id
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def literal(text: str) -> str:
    """A string literal that reads back as the text, whatever stands in it.

    >>> print(literal('0.weight'), literal('"'))
    "0.weight" '"'
    """
    return printed(ast.Constant(text))


def docstring(text: str) -> str:
    """A docstring that says the text and ends nowhere but at its end.

    >>> ast.literal_eval(docstring('says "n"'))
    'says "n"'
    """
    shown = "".join(_shown(character) for character in text.replace("\\", "\\\\"))
    if '"""' in shown or shown.endswith('"'):
        shown = shown.replace('"', '\\"')
    return f'"""{shown}"""'


def plain(text: str) -> str:
    """The text on one line, for a comment: what is not printable is written as an escape."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _shown(character: str) -> str:
    return character if character.isprintable() or character == "\n" else ascii(character)[1:-1]


def indented(lines: Iterable[str], by: int = 4) -> list[str]:
    """Lines one level further in."""
    return [" " * by + line if line else line for line in lines]
