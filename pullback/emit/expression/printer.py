"""The one printer of source trees: brackets where precedence asks for them, and nowhere else.

Only a matrix product beside a product of entries has brackets that Python could do without. What
other languages write differently is a ``Syntax``.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import singledispatch

Tree = ast.expr

# from the loosest to the tightest
CHOICE, COMPARISON, SUM, PRODUCT, SIGN, POWER, ATOM = range(7)
_BINARY: dict[type[ast.operator], tuple[str, int]] = {
    ast.Add: ("+", SUM),
    ast.Sub: ("-", SUM),
    ast.Mult: ("*", PRODUCT),
    ast.Div: ("/", PRODUCT),
    ast.FloorDiv: ("//", PRODUCT),
    ast.MatMult: ("@", PRODUCT),
    ast.Pow: ("**", POWER),
}
_COMPARISON: dict[type[ast.cmpop], str] = {
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}


@dataclass(frozen=True)
class Syntax:
    """How a language writes what not all write alike.

    ``choice`` is a template over chosen, condition and otherwise; ``comparisons`` are those that
    are written otherwise than Python's; ``sign_before_power`` where -a ** b needs no brackets.
    """

    choice: str = "{chosen} if {condition} else {otherwise}"
    comparisons: Mapping[type[ast.cmpop], str] = field(default_factory=dict)
    sign_before_power: bool = True


PYTHON = Syntax()


def printed(tree: Tree, syntax: Syntax = PYTHON) -> str:
    """The text of a tree.

    >>> printed(ast.parse("(X @ W - Y).T * (X @ W)", mode="eval").body)
    '(X @ W - Y).T * (X @ W)'
    """
    return _source(tree, syntax)[0]


@singledispatch
def _source(tree: ast.AST, syntax: Syntax) -> tuple[str, int]:
    """The text of a tree, and how tightly it holds together."""
    raise TypeError(f"nothing emitted has a {type(tree).__name__}")


def _within(tree: ast.AST, least: int, syntax: Syntax) -> str:
    """The text where something at least as tight is asked for."""
    text, binds = _source(tree, syntax)
    return text if binds >= least else f"({text})"


@_source.register
def _(tree: ast.Name, syntax: Syntax) -> tuple[str, int]:
    return tree.id, ATOM


@_source.register
def _(tree: ast.Constant, syntax: Syntax) -> tuple[str, int]:
    text = "..." if tree.value is ... else repr(tree.value)
    if isinstance(tree.value, str) and text[0] == "'" and '"' not in text:
        text = f'"{text[1:-1]}"'
    return text, ATOM


@_source.register
def _(tree: ast.BinOp, syntax: Syntax) -> tuple[str, int]:
    sign, binds = _BINARY[type(tree.op)]
    right_first = isinstance(tree.op, ast.Pow)  # the others are read from the left
    left = _within(tree.left, binds + right_first, syntax)
    # a sign before an exponent needs no brackets
    right = _within(tree.right, SIGN if right_first else binds + 1, syntax)
    if _mixed(tree, tree.left):
        left = f"({left})"
    return f"{left} {sign} {right}", binds


def _mixed(tree: ast.BinOp, part: Tree) -> bool:
    """Is one a matrix product, and the other a product of entries?"""
    pair = (tree.op, part.op) if isinstance(part, ast.BinOp) else ()
    products = [op for op in pair if _BINARY[type(op)][1] == PRODUCT]
    return len(products) == 2 and len({isinstance(op, ast.MatMult) for op in products}) == 2


@_source.register
def _(tree: ast.UnaryOp, syntax: Syntax) -> tuple[str, int]:
    if not isinstance(tree.op, ast.USub):
        raise TypeError(f"nothing emitted has a {type(tree.op).__name__}")
    tight = SIGN if syntax.sign_before_power else ATOM
    return f"-{_within(tree.operand, tight, syntax)}", SIGN


@_source.register
def _(tree: ast.Compare, syntax: Syntax) -> tuple[str, int]:
    sides = [_within(each, COMPARISON + 1, syntax) for each in (tree.left, *tree.comparators)]
    signs = [({**_COMPARISON, **syntax.comparisons})[type(op)] for op in tree.ops]
    text = sides[0] + "".join(f" {op} {side}" for op, side in zip(signs, sides[1:], strict=True))
    return text, COMPARISON


@_source.register
def _(tree: ast.IfExp, syntax: Syntax) -> tuple[str, int]:
    chosen, condition = (_within(each, CHOICE + 1, syntax) for each in (tree.body, tree.test))
    otherwise = _within(tree.orelse, CHOICE, syntax)
    text = syntax.choice.format(chosen=chosen, condition=condition, otherwise=otherwise)
    return text, CHOICE


@_source.register
def _(tree: ast.Call, syntax: Syntax) -> tuple[str, int]:
    given = [printed(each, syntax) for each in tree.args]
    given += [f"{keyword.arg}={printed(keyword.value, syntax)}" for keyword in tree.keywords]
    return f"{_within(tree.func, ATOM, syntax)}({', '.join(given)})", ATOM


@_source.register
def _(tree: ast.Attribute, syntax: Syntax) -> tuple[str, int]:
    return f"{_within(tree.value, ATOM, syntax)}.{tree.attr}", ATOM


@_source.register
def _(tree: ast.Tuple, syntax: Syntax) -> tuple[str, int]:
    parts = [printed(each, syntax) for each in tree.elts]
    return f"({parts[0]},)" if len(parts) == 1 else f"({', '.join(parts)})", ATOM


@_source.register
def _(tree: ast.Subscript, syntax: Syntax) -> tuple[str, int]:
    places = tree.slice.elts if isinstance(tree.slice, ast.Tuple) else [tree.slice]
    inside = ", ".join(printed(each, syntax) for each in places)
    return f"{_within(tree.value, ATOM, syntax)}[{inside}]", ATOM


@_source.register
def _(tree: ast.Slice, syntax: Syntax) -> tuple[str, int]:
    start, stop = ("" if end is None else printed(end, syntax) for end in (tree.lower, tree.upper))
    step = "" if tree.step is None else f":{printed(tree.step, syntax)}"
    return f"{start}:{stop}{step}", ATOM
