"""Tensors as arrays of numbers of a straight-line program, one rule a kind of node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import singledispatchmethod
from itertools import product
from math import prod
from typing import Any

import numpy as np
import sympy as sp
from sympy.core.relational import Relational
from sympy.functions.elementary.piecewise import ExprCondPair
from sympy.logic.boolalg import BooleanAtom

from pullback.errors import ConfigError, NotApplicableError
from pullback.ir import (
    Add,
    Constant,
    Contract,
    Input,
    LogSumExp,
    Map,
    Max,
    Named,
    Node,
    Parameter,
    Rename,
    symbol,
    walk,
)
from pullback.ir.evaluate import evaluate
from pullback.ir.lookup import Detach
from pullback.ir.pattern import Pattern
from pullback.ir.sizes import Sizes
from pullback.plan.elimination.tape import FEW, ScalarTape

WORK = 2**21  # products of one equation
Entries = np.ndarray[Any, np.dtype[Any]]  # of expressions in the symbols of a tape
Rows = list[Any]
_INSIDE = (Relational, ExprCondPair, BooleanAtom)  # parts of a function that are no numbers


class Unroller:
    """Writes the entries of nodes on a tape; ``sizes`` are the lengths of all axes."""

    def __init__(self, tape: ScalarTape, sizes: Sizes) -> None:
        self.tape, self.sizes = tape, sizes
        self._done: dict[Node, Entries] = {}

    def entries(self, root: Node) -> Entries:
        """Every entry of a node, along its axes."""
        for node in walk((root,)):
            if node not in self._done:
                self._done[node] = self._of(node)
        return self._done[root]

    def _shape(self, node: Node) -> tuple[int, ...]:
        return tuple(map(self.sizes.of, node.axes))

    @singledispatchmethod
    def _of(self, node: Any) -> Entries:
        raise NotApplicableError(
            f"{type(node).__name__} is no step of a straight-line program; {FEW}"
        )

    @_of.register(Input)
    @_of.register(Parameter)
    def _(self, node: Input | Parameter) -> Entries:
        return self._filled(node, lambda place: self.tape.leaf(node, place))

    @_of.register
    def _(self, node: Constant) -> Entries:
        return self._filled(node, lambda place: _number(node.value))

    @_of.register
    def _(self, node: Pattern) -> Entries:
        sized = node.renamed({a: replace(a, size=self.sizes.of(a)) for a in node.axes})
        held = evaluate(sized, {})
        return self._filled(node, lambda place: _number(held[place]))

    @_of.register(Named)
    @_of.register(Rename)
    def _(self, node: Named | Rename) -> Entries:
        return self._done[node.arg]

    @_of.register
    def _(self, node: Detach) -> Entries:
        arg = self._done[node.arg]
        return self._filled(node, lambda place: self.tape.computed(arg[place], {}))

    @_of.register
    def _(self, node: Contract) -> Entries:
        over = [*node.axes, *node.summed]
        lengths = [self.sizes.of(axis) for axis in over]
        if prod(lengths) > WORK:
            raise ConfigError(f"an equation has {prod(lengths):,} products; {FEW}")
        factors = [(self._done[f], [over.index(a) for a in f.axes]) for f in node.factors]
        factors.sort(key=lambda each: _changes(each[0]))  # what is 0 is found first
        inner = [*product(*map(range, lengths[len(node.axes) :]))]

        def entry(place: tuple[int, ...]) -> Any:
            terms = (_product(factors, (*place, *more)) for more in inner)
            return self.tape.read(sp.Add(*(term for term in terms if term != 0)))

        return self._filled(node, entry)

    @_of.register
    def _(self, node: Add) -> Entries:
        return self._each(node, lambda args: self.tape.read(sp.Add(*args)))

    @_of.register
    def _(self, node: Map) -> Entries:
        def value(args: Rows) -> Any:
            named = {symbol(at): each for at, each in enumerate(args)}
            return self.tape.step(self._written(node.function.expr, named))

        return self._each(node, value)

    def _written(self, expr: Any, args: Mapping[Any, Any]) -> Any:
        """An expression over entries, with a vertex for each part that needs one."""
        if expr.is_Symbol:
            return args[expr]
        if not expr.free_symbols:
            return expr
        if expr.is_Mul:
            return self.tape.read(sp.Mul(*(self._factor(each, args) for each in expr.args)))
        parts = [self._written(each, args) if each.free_symbols else each for each in expr.args]
        made = expr.func(*parts)
        return made if isinstance(expr, _INSIDE) else self.tape.read(made)

    def _factor(self, expr: Any, args: Mapping[Any, Any]) -> Any:
        if expr.is_Pow and expr.exp == -1:  # to divide is one step
            return 1 / self._factor(expr.base, args)
        found = self._written(expr, args)
        return self.tape.step(found) if found.is_Add else found

    @_of.register
    def _(self, node: LogSumExp) -> Entries:
        def value(rows: Rows) -> Any:
            top = sp.Max(*rows)
            return top + sp.log(sp.Add(*(sp.exp(row - top) for row in rows)))

        return self._along(node, value, lambda rows, own: [sp.exp(row - own) for row in rows])

    @_of.register
    def _(self, node: Max) -> Entries:
        def slopes(rows: Rows, own: Any) -> Rows:
            largest = [sp.Piecewise((1, sp.Eq(row, own)), (0, True)) for row in rows]
            if node.ties == "share":
                return [each / sp.Add(*largest) for each in largest]
            before = [sp.Mul(*(1 - each for each in largest[:at])) for at in range(len(rows))]
            return [each * first for each, first in zip(largest, before, strict=True)]

        return self._along(node, lambda rows: sp.Max(*rows), slopes)

    def _filled(self, node: Node, entry: Callable[[tuple[int, ...]], Any]) -> Entries:
        found = np.empty(self._shape(node), object)
        for place in np.ndindex(found.shape):
            found[place] = entry(place)
        return found

    def _each(self, node: Node, value: Callable[[Rows], Any]) -> Entries:
        """Entry by entry, from the entries of the arguments at the same place."""
        args = [(self._done[arg], [node.axes.index(a) for a in arg.axes]) for arg in node.args]

        def entry(place: tuple[int, ...]) -> Any:
            return value([held[tuple(place[at] for at in along)] for held, along in args])

        return self._filled(node, entry)

    def _along(
        self, node: LogSumExp | Max, value: Callable[[Rows], Any], slopes: Callable[..., Rows]
    ) -> Entries:
        """One number of all that stand along an axis, with slopes by each of them."""
        if node.where is not None:
            raise NotApplicableError(f"{type(node).__name__} with a mask is not unrolled; {FEW}")
        at = node.arg.axes.index(node.axis)
        held = np.moveaxis(self._done[node.arg], at, -1)

        def entry(place: tuple[int, ...]) -> Any:
            rows = [*held[place]]
            own = self.tape.next
            found: dict[Any, Any] = {}
            for row, slope in zip(rows, slopes(rows, own), strict=True):
                for each in self.tape.active(row):
                    found[each] = found.get(each, 0) + slope * self.tape.slope(row, each)
            return self.tape.computed(value(rows), found)

        return self._filled(node, entry)


def _number(value: float) -> Any:
    return sp.Integer(int(value)) if float(value).is_integer() else sp.Float(float(value))


def _changes(entries: Entries) -> bool:
    return any(each.free_symbols for each in entries.flat)


def _product(factors: list[tuple[Entries, list[int]]], place: tuple[int, ...]) -> Any:
    """The product of the factors' entries at one place; 0 as soon as one of them is."""
    total: Any = sp.Integer(1)
    for held, along in factors:
        entry = held[tuple(place[at] for at in along)]
        if entry == 0:
            return entry
        total = total * entry
    return total
