"""A node multiplied out into monomials of Gaussian entries and of functions of such."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import sympy as sp

from pullback.derive.expectation.law import RandomTensor
from pullback.derive.expectation.monomial import (
    FunctionEntry,
    Monomial,
    Names,
    RandomFactor,
    TensorEntry,
)
from pullback.errors import NotApplicableError
from pullback.ir import (
    Add,
    Axes,
    Axis,
    Constant,
    Contract,
    Map,
    Node,
    Rename,
    Scalar,
    simplify,
    symbol,
    walk,
)
from pullback.ir.build import add, multiply, scalar_map, spread
from pullback.ir.lift import lifted

MOST_FACTORS = 8  # Gaussian factors of one product: 764 pairings where means are not 0
MOST_FUNCTIONS = 5  # of one product: 52 ways in which their indices can be equal
MOST_TERMS = 4000
DRAW = "average e.function() over draws instead"


class Expansion:
    """Nodes as sums of monomials, each bound index with a name of its own."""

    def __init__(self, laws: Mapping[Node, RandomTensor], roots: Iterable[Node]) -> None:
        self.laws = laws
        self._taken = {axis for node in walk(roots) for axis in node.axes}
        self._last: dict[Axis, Axis] = {}  # of each axis, what was new last
        self._random: dict[Node, frozenset[Node]] = {}
        self._symmetric = frozenset[Node]().union(*(law.symmetric for law in laws.values()))

    def fresh(self, axis: Axis) -> Axis:
        new = self._last.get(axis.unprimed, axis).primed
        while new in self._taken:
            new = new.primed
        self._last[axis.unprimed] = new
        self._taken.add(new)
        return new

    def random(self, node: Node) -> frozenset[Node]:
        """The random tensors that a node reads."""
        if node not in self._random:
            for each in walk((node,)):
                if each in self._random:
                    continue
                own = {each} if each in self.laws else set()
                self._random[each] = frozenset(own.union(*(self._random[a] for a in each.args)))
        return self._random[node]

    def reads(self, factor: RandomFactor) -> frozenset[Node]:
        """The random tensors that a factor reads."""
        return frozenset().union(*map(self.random, factor.nodes))

    def is_gaussian(self, factor: RandomFactor) -> bool:
        """Is it an entry of a random tensor, or of a sum that is affine in such?"""
        if not isinstance(factor, TensorEntry):
            return False
        return factor.node in self.laws or (
            isinstance(factor.node, Add) and self.is_affine(factor.node)
        )

    def is_affine(self, node: Node) -> bool:
        """Is it affine in the random tensors together?"""
        if node in self.laws or not self.random(node):
            return True
        match node:
            case Add():
                return all(map(self.is_affine, node.terms))
            case Rename():
                return self.is_affine(node.arg)
            case Contract():
                moving = [factor for factor in node.factors if self.random(factor)]
                return len(moving) == 1 and self.is_affine(moving[0])
        return False

    def mean(self, node: Node) -> Node:
        """What becomes of a node that is affine when each random tensor has its mean."""
        means = {leaf: spread(law.mean, leaf.axes) for leaf, law in self.laws.items()}
        return simplify(*lifted([node], means))[0]

    def affine(self, entry: TensorEntry) -> list[Monomial] | None:
        """An entry that is affine in the random tensors, multiplied out to these; else None."""
        if not self.is_affine(entry.node):
            return None
        return self._terms(entry.node, dict(zip(entry.node.axes, entry.at, strict=True)))

    def _terms(self, node: Node, names: Names) -> list[Monomial]:
        """The monomials of an affine node, sums in it included."""
        if isinstance(node, Add):
            return [each for term in node.terms for each in self._terms(term, names)]
        found = []
        for each in self.of(node, names):
            sums = [f for f in each.random if f.nodes[0] not in self.laws]
            if not sums:
                found.append(each)
                continue
            (entry,) = sums
            assert isinstance(entry, TensorEntry)
            inner = self._terms(entry.node, dict(zip(entry.node.axes, entry.at, strict=True)))
            found += [replace(each, random=()).times(part) for part in inner]
        return found

    def of(self, node: Node, names: Names) -> list[Monomial]:
        """The monomials of a node's entry at the indices that its axes are renamed to."""
        found = self._of(node, names)
        if len(found) > MOST_TERMS:
            raise NotApplicableError(
                f"multiplied out, the expression has more than {MOST_TERMS:,} terms: take the "
                f"expectation of a part of it, or {DRAW}"
            )
        return found

    def _of(self, node: Node, names: Names) -> list[Monomial]:
        match node:
            case Constant():
                return [Monomial(node.value)]
            case Contract():
                inner = {axis: names.get(axis, axis) for axis in node.over}
                bound = {axis: self.fresh(axis) for axis in node.summed}
                parts = [self.of(factor, {**inner, **bound}) for factor in node.factors]
                return _products(Monomial(bound=tuple(bound.values())), parts)
            case Rename():
                new = dict(node.names)
                old = {axis: names.get(new.get(axis, axis), new.get(axis, axis))
                       for axis in node.arg.axes}  # fmt: skip
                return self.of(node.arg, old)
        at = tuple(names.get(axis, axis) for axis in node.axes)
        place = TensorEntry(node, at, node in self._symmetric)
        if not self.random(node):
            return [Monomial(entries=(place,))]
        match node:
            case Add() if self.is_affine(node):
                return [Monomial(random=(place,))]
            case Add():
                return [each for term in node.terms for each in self.of(term, names)]
            case Map():
                return self._map(node, names)
        return [Monomial(random=(place,))]

    def _map(self, node: Map, names: Names) -> list[Monomial]:
        leaves: dict[Any, Node] = {symbol(at): arg for at, arg in enumerate(node.args)}
        moving = {sym for sym, arg in leaves.items() if self.random(arg)}
        found: list[Monomial] = []
        for term in sp.Add.make_args(self._opened(node.function.expr, leaves, moving)):
            number, factors = term.as_coeff_mul()
            found += self._product(float(number), factors, leaves, moving, names)
        return found

    def _opened(self, expr: Any, leaves: dict[Any, Node], moving: set[Any]) -> Any:
        """The expression multiplied out, but for sums that are affine: these become leaves."""
        for base in _sums(expr):
            inside = base.free_symbols & moving
            if not inside or not base.is_polynomial(*inside):
                continue
            node = _node(base, leaves)
            if self.is_affine(node) and sp.Poly(base, *inside).total_degree() == 1:
                name = symbol(1 + max(int(str(each)[1:]) for each in leaves))
                leaves[name] = node
                moving.add(name)
                return self._opened(expr.xreplace({base: name}), leaves, moving)
        return _multiplied_out(expr, moving)

    def _product(
        self, number: float, factors: Sequence[Any], leaves: Mapping[Any, Node],
        moving: set[Any], names: Names,
    ) -> list[Monomial]:  # fmt: skip
        parts: list[list[Monomial]] = []
        still: list[Any] = []
        for factor in factors:
            base, exponent = factor.as_base_exp()
            if base in leaves and exponent.is_Integer and 0 < exponent <= MOST_FACTORS:
                parts += [self.of(leaves[base], names) for _ in range(int(exponent))]
            elif not factor.free_symbols & moving:
                still.append(factor)
            else:
                entry = self._function(factor, leaves, moving, names)
                parts.append([Monomial(random=(entry,))])
        if still:
            fixed = _mapped(sp.Mul(*still), leaves)
            place = TensorEntry(fixed, tuple(names.get(axis, axis) for axis in fixed.axes))
            parts.append([Monomial(entries=(place,))])
        return _products(Monomial(number), parts)

    def _function(
        self, expr: Any, leaves: Mapping[Any, Node], moving: set[Any], names: Names
    ) -> FunctionEntry:
        """A factor that is no power of an argument, as a function of what is affine in these."""
        random = expr.free_symbols & moving
        nodes = dict(leaves)
        inner = _common(expr, random)
        if inner is not None:
            name = sp.Dummy(real=True)
            nodes[name] = _node(inner, leaves)
            expr = expr.xreplace({inner: name})
        used = sorted(expr.free_symbols, key=lambda s: (not self.random(nodes[s]), str(s)))
        places = {sym: symbol(at) for at, sym in enumerate(used)}
        args = tuple(
            TensorEntry(nodes[sym], tuple(names.get(a, a) for a in nodes[sym].axes)) for sym in used
        )
        return FunctionEntry(Scalar.of(expr.xreplace(places), len(args)), args)


def _products(front: Monomial, parts: Sequence[Sequence[Monomial]]) -> list[Monomial]:
    count = 1
    for part in parts:
        count *= max(1, len(part))
    if count > MOST_TERMS:
        raise NotApplicableError(
            f"multiplied out, the expression has {count:,} terms, and {MOST_TERMS:,} are the "
            f"limit: take the expectation of a part of it, or {DRAW}"
        )
    found = []
    for chosen in product(*parts):
        term = front
        for each in chosen:
            term = term.times(each)
        found.append(term)
    return found


def _multiplied_out(expr: Any, moving: set[Any]) -> Any:
    """Products and whole powers of sums multiplied out where these are random."""
    for part in expr.atoms(sp.Pow):
        several = part.base.is_Add and part.base.free_symbols & moving
        if part.exp.is_Integer and part.exp > MOST_FACTORS and several:
            raise NotApplicableError(
                f"a power of {part.exp} of a random sum: {MOST_FACTORS} is the limit of what is "
                f"multiplied out; {DRAW}"
            )
    return sp.expand(
        expr, deep=False, power_base=False, power_exp=False, log=False, mul=True, multinomial=True
    )


def _sums(expr: Any) -> Iterator[Any]:
    """The sums that are multiplied in an expression; what is inside functions is not looked at."""
    if expr.is_Add:
        yield expr
    if expr.is_Add or expr.is_Mul:
        for part in expr.args:
            yield from _sums(part)
    elif expr.is_Pow and expr.exp.is_Integer and expr.exp > 0:
        yield from _sums(expr.base)


def _common(expr: Any, random: set[Any]) -> Any | None:
    """The outermost part, affine in the random arguments, through which alone they enter."""
    for part in sp.preorder_traversal(expr):
        inside = part.free_symbols & random
        if not (part.is_Add or part.is_Mul) or not inside:
            continue
        if part.free_symbols == inside and len(inside) == 1:
            continue  # of −x and 2 x + 1 it is a function of x
        if not part.is_polynomial(*inside) or sp.Poly(part, *inside).total_degree() > 1:
            continue
        if not expr.xreplace({part: sp.Dummy()}).free_symbols & random:
            return part
    return None


def _node(expr: Any, leaves: Mapping[Any, Node]) -> Node:
    """Sums of products of leaves as nodes that are affine in what is random."""
    terms = []
    for term in sp.Add.make_args(expr):
        number, factors = term.as_coeff_mul()
        plain = [leaves[factor] for factor in factors if factor in leaves]
        rest = [factor for factor in factors if factor not in leaves]
        plain += [_mapped(sp.Mul(*rest), leaves)] if rest else []
        plain += [Constant(float(number))] if number != 1 or not plain else []
        terms.append(plain[0] if len(plain) == 1 else multiply(*plain))
    return terms[0] if len(terms) == 1 else add(*terms)


def _mapped(expr: Any, leaves: Mapping[Any, Node]) -> Node:
    if expr in leaves:
        return leaves[expr]
    used = sorted(expr.free_symbols, key=str)
    renumbered = {sym: symbol(at) for at, sym in enumerate(used)}
    return scalar_map(expr.xreplace(renumbered), *(leaves[sym] for sym in used))


def groups(expansion: Expansion, factors: Iterable[RandomFactor]) -> Iterator[list[RandomFactor]]:
    """The factors in groups that share no random tensor: the groups are independent."""
    held: list[tuple[frozenset[Node], list[RandomFactor]]] = []
    for factor in factors:
        reads, members, apart = expansion.reads(factor), [factor], []
        for group in held:
            if group[0] & reads:
                reads, members = reads | group[0], group[1] + members
            else:
                apart.append(group)
        held = [*apart, (reads, members)]
    yield from (members for _, members in held)


def axes_of(factors: Iterable[RandomFactor]) -> Axes:
    """Every index of some factors, once."""
    return tuple(dict.fromkeys(axis for factor in factors for axis in factor.at))
