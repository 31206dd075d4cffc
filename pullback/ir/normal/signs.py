"""Variables that are ±1 entry by entry: y² is 1, 1/y is y, and an even function does not see y."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import sympy as sp

from pullback.ir.kinds import Constant, Contract, Input, Rename
from pullback.ir.node import Node
from pullback.ir.scalar.primitives import fn, primitive_of
from pullback.ir.scalar.rules import EVEN


def is_sign(node: Node) -> bool:
    """Is every entry of it 1 or −1, as was said of it?"""
    while isinstance(node, Rename):
        node = node.arg
    return isinstance(node, Input) and node.signs


def of_signs(expr: Any, signs: Collection[Any]) -> Any:
    """A scalar expression in which these symbols are ±1.

    >>> x, y = sp.symbols("x y", real=True)
    >>> of_signs(y**2 * x + y**3 + sp.cosh(x * y), [y])
    x + y + cosh(x)
    """
    if not signs or not expr.free_symbols.intersection(signs) or expr in signs:
        return expr
    expr = expr.func(*(of_signs(arg, signs) for arg in expr.args))
    if expr.is_Pow and expr.base in signs and expr.exp.is_Integer:
        return expr.base if expr.exp.is_odd else sp.Integer(1)
    if isinstance(expr, fn("sign")) and expr.args[0] in signs:
        return expr.args[0]
    if is_even(expr):
        (inside,) = expr.args
        return expr.func(sp.Mul(*(f for f in sp.Mul.make_args(inside) if f not in signs)))
    return expr


def is_even(expr: Any) -> bool:
    """Is it the call of a function that has one value at u and at −u?"""
    row = primitive_of(expr)
    return isinstance(expr, sp.cosh | sp.cos | sp.Abs) or (row is not None and row.name in EVEN)


def outer_signs(node: Node) -> list[Node]:
    """The variables of ±1 that multiply a node: itself, or factors that stay outside its sum."""
    if not isinstance(node, Contract):
        return [node] if is_sign(node) else []
    over = set(node.over)
    return [f for f in node.factors if is_sign(f) and over.issuperset(f.axes)]


def without(signs: Collection[Node], product: Contract) -> tuple[Node, ...]:
    """The factors of a product, with ones for these."""
    return tuple(Constant(1.0, f.axes) if f in signs else f for f in product.factors)


def unsigned(product: Contract) -> tuple[Node, ...]:
    """The factors of ± a product, with ones for its variables of ±1."""
    rest = without(outer_signs(product), product)
    return tuple(Constant(abs(f.value), f.over) if isinstance(f, Constant) else f for f in rest)


def paired(factors: Sequence[Node]) -> list[Node]:
    """The variables of ±1 that multiply a product twice or more, directly or inside a factor."""
    times = Counter(sign for factor in factors for sign in outer_signs(factor))
    return [sign for sign, count in times.items() if count > 1]
