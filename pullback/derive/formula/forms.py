"""Nodes read as formulas in matrix form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import sympy as sp

from pullback.derive.formula.algebra import IDENTITY, inverse
from pullback.derive.formula.elementwise import elementwise, number
from pullback.derive.formula.matrix import Matrix, NoMatrixFormError, add, contract, spread
from pullback.derive.formula.stacks import has_stacks, without_stacks
from pullback.derive.formula.tree import (
    AppliedFormula,
    Blocks,
    Call,
    Formula,
    IndexSum,
    Number,
    Ones,
    Symbol,
)
from pullback.ir import (
    Add,
    ArgMax,
    Axes,
    Axis,
    Constant,
    Contract,
    Determinant,
    Input,
    Inverse,
    LogDet,
    LogSumExp,
    Map,
    Max,
    Named,
    Node,
    OneHot,
    Parameter,
    Pattern,
    Rename,
    Scan,
    Slice,
    Stack,
    symbol,
    walk,
)
from pullback.ir.build import spread as spread_over
from pullback.ir.evaluate import evaluate
from pullback.ir.unroll import after, is_told

Symbols = Mapping[Node, Formula]
SAMPLE = "n"  # the index of a sample


class MatrixForm:
    """Nodes as products of matrices and columns.

    ``dropped`` is an axis that is not displayed; ``layout`` orders the axes of every tensor, by
    default as they stand on its node.
    """

    def __init__(
        self, symbols: Symbols, batch: Axis | None, dropped: Axis | None, layout: Axes = ()
    ) -> None:
        self.symbols, self.batch, self.dropped = symbols, batch, dropped
        self._place = {axis: place for place, axis in enumerate(layout)}

    def shown(self, axes: Axes) -> Axes:
        """The axes that stand on the page, rows before columns."""
        kept = (axis for axis in axes if axis != self.dropped)
        return tuple(sorted(kept, key=lambda axis: self._place.get(axis, -1)))

    def read(self, node: Node, open_sum: bool = False) -> Matrix:
        """The formula of a node, its axes in the node's order.

        ``open_sum`` leaves a sum over the dropped axis unwritten; elsewhere it is a Σ.
        Raises NoMatrixFormError where more than two axes meet.
        """
        if (numbers := given_numbers(node)) is not None:
            return self.column(numbers, node.axes)
        match node:
            case Named() | Input() | Parameter():
                return self.atom(node)
            case Constant():
                ones = [Matrix(Ones(), (axis,)) for axis in self.shown(node.over)]
                found = [Matrix(number(node.value)), *ones]
                return contract(found, self.shown(node.over), self.size)
            case Pattern():
                return self.pattern(node)
            case Contract():
                return self.contraction(node, open_sum)
            case Map():
                return self.mapped(node)
            case Add():
                terms = [self.read(term, open_sum) for term in node.terms]
                return spread(add(terms), self.shown(node.axes))
            case Rename():
                return self.renamed(node, open_sum)
            case LogSumExp() | Max() | ArgMax():
                return self.reduction(node)
            case Scan() if is_told(node):
                return self.state(node)
            case OneHot():
                return self.one_hot(node)
            case Stack():
                return self.stack(node)
            case Inverse() | Determinant() | LogDet():
                return self.of_matrix(node)
        return self.applied(node)

    def column(self, numbers: Formula, axes: Axes) -> Matrix:
        """Numbers that are written out, one for each entry of an axis."""
        return Matrix(numbers, self.shown(axes))

    def applied(self, node: Node) -> Matrix:
        """A kind without notation of its own, as a function of its arguments."""
        args = tuple(self.read(arg).formula for arg in node.args)
        name = Symbol(type(node).__name__.lower())
        return Matrix(AppliedFormula(name, args), self.shown(node.axes))

    def of_matrix(self, node: Inverse | Determinant | LogDet) -> Matrix:
        """X⁻¹, det(X), log |det(X)|."""
        return function_of_matrix(node, self.read(node.arg).along(node.arg.axes))

    def stack(self, node: Stack) -> Matrix:
        raise NoMatrixFormError  # which entry goes where shows entry by entry

    def one_hot(self, node: OneHot) -> Matrix:
        if not isinstance(node.index, (Input, Named)):
            raise NoMatrixFormError  # of which axis the index is shows entry by entry
        return self.applied(node)

    def atom(self, node: Node) -> Matrix:
        return Matrix(self.symbol_of(node), self.shown(node.axes))

    def symbol_of(self, node: Node) -> Formula:
        """The symbol of a node; an equation that a loop reads may be written in another way."""
        if node not in self.symbols and isinstance(node, Named):
            named = (n for n in self.symbols if isinstance(n, Named) and n.name == node.name)
            return self.symbols[next(named, node)]
        return self.symbols[node]

    def pattern(self, node: Pattern) -> Matrix:
        if node.slice is None:
            raise NoMatrixFormError  # its equations show entry by entry
        return Matrix(pattern_symbol(node.slice), node.slice.axes)  # S has rows of the identity

    def size(self, axis: Axis) -> Formula:
        """How long an axis is: N for the samples."""
        if axis.size is not None:
            return Number(axis.size)
        return Symbol("N") if axis == self.batch else Symbol("n", axis.name)

    def contraction(self, node: Contract, open_sum: bool) -> Matrix:
        node = self._with_means(node)
        if has_stacks(node):
            return contract(without_stacks(node, self.read), self.shown(node.over), self.size)
        summed = self.dropped in node.summed
        over = self.shown(node.over)
        read = [(f, self.read(f, open_sum and not summed)) for f in node.factors]
        if not summed:
            return contract((matrix for _, matrix in read), over, self.size)
        # what has no samples, N among it, stands before Σ
        sampled = [f for f in node.factors if self.batch in f.axes and not isinstance(f, Constant)]
        if not sampled:
            return contract([*(m for _, m in read), Matrix(Symbol("N"))], over, self.size)
        scalars = [m for f, m in read if not f.axes]
        body = contract((m for f, m in read if f.axes), over, self.size)
        if not open_sum:
            body = Matrix(IndexSum((SAMPLE,), body.formula), body.axes)
        return contract([*scalars, body], over, self.size)

    def _with_means(self, node: Contract) -> Contract:
        """The same with a number 1/n beside the sum over n that it makes a mean."""
        numbers = (f for f in node.factors if isinstance(f, Constant) and not f.axes)
        sums = [f for f in node.factors if isinstance(f, Contract) and not self.shown(f.axes)]
        for share, each in product(numbers, sums):
            if any(abs(abs(share.value) * (a.size or 0) - 1) < 1e-15 for a in each.summed):
                rest = tuple(f for f in node.factors if f not in (share, each))
                mean = Contract((share, *each.factors), each.over)
                return Contract((*rest, mean), node.over)
        return node

    def mapped(self, node: Map) -> Matrix:
        leaves = {symbol(i): self.read(arg) for i, arg in enumerate(node.args)}
        expr = node.function.expr
        for i, arg in enumerate(node.args):
            if isinstance(arg, LogSumExp) and arg.where is None:
                expr, more = self._softmax(expr, symbol(i), arg, leaves)
                leaves |= more
        return spread(elementwise(expr, leaves), self.shown(node.axes))

    def _softmax(
        self, expr: Any, placeholder: Any, node: LogSumExp, leaves: Mapping[Any, Matrix]
    ) -> tuple[Any, dict[Any, Matrix]]:
        """exp(u − logsumexp(u)) called by its name, whatever u is."""
        found: dict[Any, Matrix] = {}
        for power in sorted(expr.atoms(sp.exp), key=str):
            inner = power.args[0] + placeholder
            if placeholder in inner.free_symbols:
                continue
            arg, read = self.read(node.arg), elementwise(inner, leaves)
            # the same along an axis of another name is the same formula: X softmax(w)
            others = dict(zip(arg.axes, read.axes, strict=False))
            if read.formula == arg.formula and len(arg.axes) == len(read.axes):
                name = sp.Dummy("softmax", real=True)
                whole = self.reduced("softmax", node.arg, node.axis, keep=True)
                found[name] = replace(whole, axes=tuple(others[axis] for axis in whole.axes))
                expr = expr.xreplace({power: name})
        return expr, found

    def renamed(self, node: Rename, open_sum: bool) -> Matrix:
        new = dict(node.names)
        if self.dropped is not None and self.dropped in {*new, *new.values()}:
            raise NoMatrixFormError  # samples against samples: one of the two axes must show
        read = self.read(node.arg, open_sum)
        return Matrix(read.formula, tuple(new.get(axis, axis) for axis in read.axes))

    def reduction(self, node: LogSumExp | Max | ArgMax) -> Matrix:
        """A reduction by its name; with a mask beside what it is of, entry by entry."""
        if node.where is not None:
            raise NoMatrixFormError
        return self.reduced(type(node).__name__.lower(), node.arg, node.axis, keep=False)

    def state(self, node: Scan) -> Matrix:
        """The state before each turn: what the turn before has left, or the turn after it."""
        shown = self.shown(node.axes)
        if shown[:1] != (node.over,):
            raise NoMatrixFormError
        name, parts = self.neighbours(node)
        read = [self.read(part).along(shown).formula for part in parts]
        return Matrix(Call(name, tuple(read)), shown)

    def neighbours(self, node: Scan) -> tuple[str, tuple[Node, ...]]:
        """Which way a state is moved, what a turn leaves of it, and where it starts if not at 0."""
        start = node.starts[node.body.states.index(node.of)]
        zero = isinstance(start, Constant) and start.value == 0
        parts = (after(node), *(() if zero else (spread_over(start, node.axes),)))
        return "after" if node.backward else "before", parts

    def reduced(self, name: str, arg: Node, axis: Axis, keep: bool) -> Matrix:
        """A function along each row of a matrix, or along a column vector."""
        read = self.read(arg)
        rest = tuple(a for a in read.axes if a != axis)
        if axis == self.dropped:
            return Matrix(Call(name, (read.formula,), over=SAMPLE), read.axes)
        # where samples are columns it goes along each column
        by_columns = rest == (self.batch,) and self.shown((axis, *rest)) == (axis, *rest)
        laid = read.along((axis, *rest) if by_columns and self._place else (*rest, axis))
        return Matrix(Call(name, (laid.formula,)), laid.axes if keep else rest)


def function_of_matrix(node: Inverse | Determinant | LogDet, arg: Matrix) -> Matrix:
    """What a node makes of a square matrix that has been read."""
    if isinstance(node, Inverse):
        return Matrix(inverse(arg.formula), node.axes)
    found = Call("det", (arg.formula,))
    return Matrix(Call("log", (Call("abs", (found,)),)) if isinstance(node, LogDet) else found)


def given_numbers(node: Node) -> Blocks | None:
    """The entries of a sum that no data and no parameter change, where it is a short column."""
    if not isinstance(node, Add) or len(node.axes) != 1 or not 1 <= (node.axes[0].size or 0) <= 9:
        return None
    if not all(isinstance(n, (Add, Contract, Constant, Pattern, Rename)) for n in walk((node,))):
        return None
    return Blocks(tuple(map(number, evaluate(node, {}).tolist())), stacked=True)


def pattern_symbol(part: Slice) -> Formula:
    """The identity, or S with the slice as its index."""
    start, stop = ("" if place is None else str(place) for place in (part.start, part.stop))
    return IDENTITY if part.is_whole else Symbol("S", f"{start}:{stop}")
