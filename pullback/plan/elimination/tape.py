"""A straight-line program of numbers, each with its local derivatives.

A sum of one number's multiples and of constants has no vertex of its own where a sum reads it. All
else that changes has one: a function, a product, a sum of several, an entry of a contraction.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sympy as sp

from pullback.errors import ConfigError
from pullback.ir import Input, Parameter, symbol
from pullback.ir.scalar.function import OUTPUT, Scalar

MOST = 4000  # vertices
FEW = "accumulate unrolls every number of a program; use pb.jacobian for networks of layers"
Leaf = Input | Parameter


@dataclass(frozen=True)
class Vertex:
    """A number of the program: its symbol, what it is of others, and its slope by each of them.

    Of a leaf's entry ``place`` says which. One that does not change has no slopes.
    """

    symbol: Any
    value: Any = None
    slopes: Mapping[int, Any] = field(default_factory=dict)
    place: tuple[Leaf, tuple[int, ...]] | None = None


class ScalarTape:
    """The vertices of a program as it grows; those of the leaves ``wrt`` change."""

    def __init__(self, wrt: Collection[Leaf]) -> None:
        self.vertices: list[Vertex] = []
        self._wrt = wrt
        self._at: dict[Any, int] = {}  # by symbol
        self._known: dict[Any, Any] = {}  # the symbol of what has a vertex

    def leaf(self, leaf: Leaf, place: tuple[int, ...]) -> Any:
        """The symbol of an entry of a leaf."""
        return self._added(lambda own: Vertex(own, place=(leaf, place)))

    def read(self, expr: Any) -> Any:
        """An expression as others read it: as it stands, or the symbol of a vertex of its own."""
        if not expr.free_symbols or expr.is_Symbol:
            return expr
        active = self.active(expr)
        if len(active) == 1 and active[0] not in self.slope(expr, active[0]).free_symbols:
            return expr
        return self.step(expr)

    def step(self, expr: Any) -> Any:
        """The symbol of the vertex of an expression; a number or a symbol stays what it is."""
        if not expr.free_symbols or expr.is_Symbol:
            return expr
        if expr not in self._known:
            self._known[expr] = self.computed(expr)
        return self._known[expr]

    def computed(self, expr: Any, slopes: Mapping[Any, Any] | None = None) -> Any:
        """The symbol of a new vertex; ``slopes`` by symbol where no rule gives them."""

        def vertex(own: Any) -> Vertex:
            found = slopes
            if found is None:
                found = {each: self.slope(expr, each, own) for each in self.active(expr)}
            return Vertex(own, expr, {self._at[each]: slope for each, slope in found.items()})

        return self._added(vertex)

    def outputs(self, exprs: Sequence[Any]) -> tuple[int, ...]:
        """The vertices of the results: of their own, where another vertex or result reads them."""
        taken = {at for vertex in self.vertices for at in vertex.slopes}
        found: list[int] = []
        for expr in exprs:
            at = self._at.get(expr)
            if at is None or at in taken or not self.vertices[at].slopes:
                at = self._at[self.computed(expr)]
            taken.add(at)
            found.append(at)
        return tuple(found)

    def changes(self, vertex: Vertex) -> bool:
        """Does what is differentiated by change it?"""
        return bool(vertex.slopes) or (vertex.place is not None and vertex.place[0] in self._wrt)

    def active(self, expr: Any) -> list[Any]:
        """The symbols in an expression that change, in order."""
        held = (self.vertices[at] for at in sorted(self._at[s] for s in expr.free_symbols))
        return [each.symbol for each in held if self.changes(each)]

    @property
    def next(self) -> Any:
        """The symbol of the vertex that comes next."""
        return sp.Symbol(f"v{len(self.vertices)}", real=True)

    def _added(self, make: Callable[[Any], Vertex]) -> Any:
        if len(self.vertices) >= MOST:
            raise ConfigError(f"the program has more than {MOST} numbers; {FEW}")
        own = self.next
        vertex = make(own)
        self._at[own] = len(self.vertices)
        self.vertices.append(vertex)
        return own

    def slope(self, expr: Any, by: Any, own: Any = None) -> Any:
        """∂expr/∂by, from its own value where the rows allow it."""
        order = sorted(expr.free_symbols, key=lambda each: self._at[each])
        places = {each: symbol(at) for at, each in enumerate(order)}
        back = {placed: each for each, placed in places.items()}
        function, at = Scalar.of(expr.xreplace(places), len(order)), order.index(by)
        if own is not None and len(order) == 1:
            found = function.partial_from_output(0)
            if found is not None:
                return found.xreplace({OUTPUT: own})
        squares = frozenset(k for k, each in enumerate(order) if self._is_sum_of_squares(each))
        return function.partial(at, squares).expr.xreplace(back)

    def _is_sum_of_squares(self, own: Any) -> bool:
        """Is it one whose root has the slope 0 where it is 0?"""
        value = self.vertices[self._at[own]].value
        terms = () if value is None else sp.Add.make_args(value)
        return bool(terms) and all(_is_square(term) for term in terms)


def _is_square(term: Any) -> bool:
    number, rest = term.as_coeff_Mul()
    return bool(number > 0 and rest.is_Pow and rest.exp == 2)
