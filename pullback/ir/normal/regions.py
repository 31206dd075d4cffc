"""Elementwise regions: from nodes to one SymPy expression over leaves, and back to nodes.

Sums, products without summation and maps that hang together are one scalar function of their
leaves. SymPy puts that function into canonical form; ``rebuild`` splits it into the fewest nodes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import sympy as sp

from pullback.errors import NonFiniteError
from pullback.ir.axis import Axes
from pullback.ir.kinds import Add, Constant, Contract, Map
from pullback.ir.node import Node
from pullback.ir.scalar.function import Scalar, symbol

Product = Callable[[float, Sequence[Node], Axes], Node]


def is_elementwise(node: Node) -> bool:
    """Does every entry of the node depend on the same place of its arguments only?"""
    if isinstance(node, Contract):
        return not node.summed
    return isinstance(node, (Map, Add))


class Region:
    """One scalar expression over leaves, each leaf with a placeholder of its own."""

    def __init__(self, root: Node, stop: Callable[[Node], bool]) -> None:
        self.leaves: dict[Node, Any] = {}
        self._stop = stop
        self._inner: dict[Node, Any] = {}
        self.expr = self._absorb(root, root)

    def _absorb(self, node: Node, root: Node) -> Any:
        if node in self._inner:
            return self._inner[node]
        if isinstance(node, Constant):
            expr = number(node.value)
        elif node is not root and (not is_elementwise(node) or self._stop(node)):
            expr = self.placeholder(node)
        elif isinstance(node, Contract):
            expr = sp.Mul(*self._factors(node, root))
        else:
            parts = [self._absorb(arg, root) for arg in node.args]
            expr = _combine(node, parts)
        self._inner[node] = expr
        return expr

    def _factors(self, node: Contract, root: Node) -> list[Any]:
        """The factors of a product and of those inside it; SymPy multiplies numbers into sums."""
        found: list[Any] = []
        for arg in node.factors:
            inside = isinstance(arg, Contract) and is_elementwise(arg) and not self._stop(arg)
            if isinstance(arg, Contract) and inside:
                found += self._factors(arg, root)
            else:
                found.append(self._absorb(arg, root))
        return found

    def placeholder(self, leaf: Node) -> Any:
        return self.leaves.setdefault(leaf, symbol(len(self.leaves)))

    def nodes(self) -> dict[Any, Node]:
        """The leaf of each placeholder."""
        return {sym: leaf for leaf, sym in self.leaves.items()}


def _combine(node: Node, parts: Sequence[Any]) -> Any:
    if isinstance(node, Map):
        return node.function.expr.xreplace({symbol(i): part for i, part in enumerate(parts)})
    return sp.Add(*parts)


def number(value: float) -> Any:
    """A float as SymPy's number: halves, quarters and the like stay exact, so that they cancel."""
    parts = 64.0 * value
    return sp.Rational(int(parts), 64) if parts.is_integer() else sp.Float(value)


def is_finite_real(expr: Any) -> bool:
    """Has SymPy met no 1/0, no √−1 and the like in it?"""
    return not expr.has(sp.zoo, sp.oo, sp.nan, sp.I)


def rebuild(expr: Any, leaves: dict[Any, Node], axes: Axes, product: Product) -> Node:
    """The nodes of a canonical expression, with exactly these axes in this order.

    Raises NonFiniteError where it has come out as 1/0, √−1 or the like.
    """
    if not is_finite_real(expr):
        raise NonFiniteError("part of the formula is not a finite real number anywhere")
    node = _split(expr, leaves, product)
    missing = tuple(axis for axis in axes if axis not in node.axes)
    if missing or node.axes != axes:
        return product(1.0, [node, *([Constant(1.0, missing)] if missing else [])], axes)
    return node


def _split(expr: Any, leaves: dict[Any, Node], product: Product) -> Node:
    if expr.is_number:
        return Constant(_float(expr))
    if expr in leaves:
        return leaves[expr]
    if expr.is_Add:
        terms = _terms(expr)
        if len(terms) > 1:
            return Add(tuple(_split(term, leaves, product) for term in terms))
    if expr.is_Mul:
        coefficient, factors = _factors(expr)
        if len(factors) > 1 or (coefficient != 1 and factors[0] in leaves):
            nodes = [_split(factor, leaves, product) for factor in factors]
            axes = Add(tuple(nodes)).axes
            return product(float(coefficient), nodes, axes)
    return mapped(*_with_contractions(expr, leaves, product))


def _float(number: Any) -> float:
    """The value of a number; where SymPy cannot tell it from 0 it leaves a speck of 1e-125."""
    value = float(number)
    return value if abs(value) > 1e-100 else float(Scalar.of(number, 0)())


def _with_contractions(
    expr: Any, leaves: dict[Any, Node], product: Product
) -> tuple[Any, dict[Any, Node]]:
    """Products with a contraction inside a function are one contraction: σ(y · Σ X w)."""
    leaves = dict(leaves)
    parts = Counter(sp.preorder_traversal(expr))
    for term in sorted(expr.atoms(sp.Mul), key=sp.default_sort_key):
        coefficient, factors = term.as_coeff_mul()
        alone = all(f in leaves and parts[f] == parts[term] for f in factors)
        if alone and len(factors) > 1 and any(_is_sum(leaves[f]) for f in factors):
            nodes = [leaves[factor] for factor in factors]
            placeholder = symbol(len(leaves))
            leaves[placeholder] = product(float(coefficient), nodes, Add(tuple(nodes)).axes)
            expr = expr.xreplace({term: placeholder})
    return expr, leaves


def _is_sum(node: Node) -> bool:
    return isinstance(node, Contract) and bool(node.summed)


def mapped(expr: Any, leaves: dict[Any, Node]) -> Map:
    """One Map, its arguments in their canonical order."""
    used = [leaves[sym] for sym in expr.free_symbols]
    in_order = Add(tuple(used)).terms
    index = {leaf: symbol(i) for i, leaf in enumerate(in_order)}
    relabel = {sym: index[leaves[sym]] for sym in expr.free_symbols}
    return Map(Scalar.of(expr.xreplace(relabel), len(in_order)), in_order)


def _terms(expr: Any) -> list[Any]:
    """The terms of a sum: products of plain leaves stand alone, the rest by shared leaves."""
    number_part, rest = expr.as_independent(*expr.free_symbols, as_Add=True)
    every = sp.Add.make_args(rest)
    groups = _connected(term for term in every if not _is_plain(term))
    inside = {sym for group in groups for term in group for sym in term.free_symbols}
    # a leaf that a function takes belongs to it: 0.1 x + 0.9 relu(x) is one function of x
    own = [
        t for t in every if _is_plain(t) and len(t.free_symbols) == 1 and t.free_symbols <= inside
    ]
    plain = [term for term in every if _is_plain(term) and term not in own]
    terms = [sp.Add(*group) for group in _connected([*(t for g in groups for t in g), *own])]
    if number_part != 0:
        if len(terms) == 1 and not plain:
            return [terms[0] + number_part]
        plain.append(number_part)
    return plain + terms


def _is_plain(term: Any) -> bool:
    """A number times distinct leaves."""
    _, factors = term.as_coeff_mul()
    return all(factor.is_Symbol for factor in factors)


def _factors(expr: Any) -> tuple[Any, list[Any]]:
    coefficient, factors = expr.as_coeff_mul()
    plain = [f for f in factors if f.is_Symbol]
    groups = _connected([f for f in factors if not f.is_Symbol])
    # a leaf that also stands inside a function belongs to it: x·σ(x) is one function of x
    merged: list[Any] = []
    for group in groups:
        inside = sp.Mul(*group)
        own = [leaf for leaf in plain if leaf in inside.free_symbols]
        plain = [leaf for leaf in plain if leaf not in own]
        merged.append(sp.Mul(inside, *own))
    return coefficient, plain + merged


def _connected(parts: Iterable[Any]) -> list[list[Any]]:
    """Parts in groups that share no symbol."""
    groups: list[tuple[set[Any], list[Any]]] = []
    for part in parts:
        symbols, members = set(part.free_symbols), [part]
        apart = []
        for group in groups:
            if group[0] & symbols:
                symbols |= group[0]
                members = group[1] + members
            else:
                apart.append(group)
        groups = [*apart, (symbols, members)]
    return [members for _, members in groups]
