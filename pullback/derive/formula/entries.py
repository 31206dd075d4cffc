"""Nodes read entry by entry: where matrices have no room, or a convention is of indices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from string import ascii_lowercase
from typing import Any

from pullback.derive.formula.determined import (
    can_move,
    determined,
    is_zero_outside,
    looked_up,
)
from pullback.derive.formula.forms import (
    SAMPLE,
    MatrixForm,
    Symbols,
    function_of_matrix,
    pattern_symbol,
)
from pullback.derive.formula.matrix import Matrix, NoMatrixFormError, contract
from pullback.derive.formula.places import (
    Letters,
    bounded,
    entry_index,
    hit,
    indicators,
    letters_in,
    moved,
    runs,
    runs_along,
)
from pullback.derive.formula.tree import (
    Blocks,
    Call,
    Formula,
    Indexed,
    IndexSum,
    Indicator,
    Partial,
    Relation,
    Symbol,
    bound_letters,
    free_letters,
    placed,
)
from pullback.ir import (
    ArgMax,
    Axes,
    Axis,
    Constant,
    Contract,
    Determinant,
    Index,
    Inverse,
    LogDet,
    LogSumExp,
    Max,
    Node,
    OneHot,
    Pattern,
    Rename,
    Scan,
    Stack,
)

_INITIALS = "hijklmoprstuv"  # that Unicode has as small letters below the line
_LETTERS = "ijklmprstuv" + "".join(c for c in ascii_lowercase if c not in "ijklmprstuvnxyzawb")


class IndexForm(MatrixForm):
    """Nodes entry by entry: every axis has a letter, and sums are written.

    Where a pattern gives an index it stands in the place of its letter: x[2i + t].
    """

    def __init__(
        self,
        symbols: Symbols,
        batch: Axis | None,
        letters: Letters,
        dropped: Axis | None = None,
        raised: bool = False,
        called: frozenset[Axis] = frozenset(),
    ) -> None:
        super().__init__(symbols, batch, dropped)
        self.letters = dict(letters)
        self.raised, self.called = raised, called

    @classmethod
    def of(
        cls,
        symbols: Symbols,
        batch: Axis | None,
        axes: Axes,
        dropped: Axis | None = None,
        raised: bool = False,
        called: frozenset[Axis] = frozenset(),
    ) -> IndexForm:
        """The form of an equation whose left side has these axes.

        The index of an axis that is ``called`` is the initial of its name, where that is free.
        """
        return cls(symbols, batch, {}, dropped, raised, called).within(axes)

    def within(self, axes: Axes, letters: Letters | None = None) -> IndexForm:
        """The same with new letters for some more axes: a bound index is never a free one."""
        given = dict(self.letters if letters is None else letters)
        taken = letters_in((*self.letters.values(), *given.values()))
        for axis in axes:
            initial = axis.name[0] if axis in self.called and axis.name[0] in _INITIALS else ""
            preferred = SAMPLE if axis == self.batch else initial
            letter = next(c for c in (preferred + _LETTERS) if c not in taken)
            if axis != self.dropped:
                taken.add(letter)
                given[axis] = letter
        return self._with(given, self.dropped)

    def at(self, places: Letters) -> IndexForm:
        """The same where the index on some axes is an expression of letters."""
        return self._with({**self.letters, **places}, self.dropped)

    def _with(self, letters: Letters, dropped: Axis | None) -> IndexForm:
        return IndexForm(self.symbols, self.batch, letters, dropped, self.raised, self.called)

    def shown(self, axes: Axes) -> Axes:
        return ()

    def indices(self, axes: Axes) -> tuple[str | Formula, ...]:
        return tuple(entry_index(self.letters[axis]) for axis in axes if axis != self.dropped)

    def bound(self, axes: Axes) -> tuple[str, ...]:
        """The letters below a Σ over some axes."""
        return tuple(str(self.letters[axis]) for axis in axes if axis != self.dropped)

    def atom(self, node: Node) -> Matrix:
        return Matrix(self.entry(self.symbol_of(node), node.axes))

    def entry(self, symbol: Formula, axes: Axes) -> Formula:
        """One entry of what the symbol stands for; of ∂L/∂W it is ∂L over one entry of W."""
        if self.raised and isinstance(symbol, Partial):
            return replace(symbol, by=self.entry(symbol.by, axes))
        indices = self.indices(axes)
        return Indexed(symbol, indices, self.raised) if indices or self.raised else symbol

    def pattern(self, node: Pattern) -> Matrix:
        if node.slice is None:
            return contract(indicators(node, self.letters, self.size), (), self.size)
        return Matrix(Indexed(pattern_symbol(node.slice), self.indices(node.slice.axes)))

    def stack(self, node: Stack) -> Matrix:
        """1 where the place along the whole axis is that of (row, column)."""
        whole, *parts = (Symbol(str(self.letters[axis])) for axis in node.axes)
        place = Symbol(f"({','.join(part.letter for part in parts[::-1])})")
        return Matrix(Indicator(Relation(whole, "=", place)))

    def contraction(self, node: Contract, open_sum: bool) -> Matrix:
        carried = {a for f in node.factors if not isinstance(f, Constant) for a in f.axes}
        unwritten = self.dropped if open_sum else None
        summed = tuple(axis for axis in node.summed if axis != unwritten)
        rest, given = determined(node.factors, summed)
        summed = tuple(axis for axis in summed if axis not in given)
        used = {axis for index in given.values() for axis in index.axes}
        factors = bounded(rest, tuple(axis for axis in summed if axis not in used))
        left = used | {axis for factor in factors for axis in factor.axes}
        bound = tuple(axis for axis in summed if axis in carried and axis in left)
        hits = looked_up(factors, bound)
        told = {hit.axis for hit in hits}
        free = [a for a in bound if a not in told and not any(runs_along(f, a) for f in factors)]
        inner = self._bind(bound)
        inner = inner.at({axis: moved(index, inner.letters) for axis, index in given.items()})
        lonely = (axis for axis in summed if axis not in carried)
        front = [Matrix(self.size(axis)) for axis in lonely]
        body: list[Matrix] = []
        for factor in (f for f in factors if f not in hits):
            reads = {*factor.axes, *(a for b in factor.axes if b in given for a in given[b].axes)}
            under_sum = any(axis in reads for axis in bound)
            still_open = open_sum and self.dropped not in node.summed
            (body if under_sum else front).append(inner.read(factor, still_open))
        if bound:
            body += runs(free, inner.letters)
            summand = contract(body, (), self.size).formula
            for hit in hits:
                summand = inner._looked_up(summand, hit)
            left_over = inner.bound(tuple(axis for axis in bound if axis not in told))
            front.append(Matrix(IndexSum(left_over, summand) if left_over else summand))
        return contract(front, (), self.size)

    def _looked_up(self, summand: Formula, hit: OneHot) -> Formula:
        """The summand at the index that a one-hot gives; summed where that reads its own letter."""
        letter, index = str(self.letters[hit.axis]), self.read(hit.index).formula
        read, bound = free_letters(index), bound_letters(summand)
        if letter not in read and bound.isdisjoint({letter, *read}):
            return placed(summand, letter, index)
        body = [Matrix(summand), self.one_hot(hit), *runs((hit.axis,), self.letters)]
        return IndexSum((letter,), contract(body, (), self.size).formula)

    def _bind(self, axes: Axes) -> IndexForm:
        """The form inside a sum over some axes; where that is over the samples they show in it."""
        return (self._with(self.letters, None) if self.dropped in axes else self).within(axes)

    def applied(self, node: Node) -> Matrix:
        known = {*self.letters, self.dropped}
        inner = dict.fromkeys(a for arg in node.args for a in arg.axes if a not in known)
        return MatrixForm.applied(self.within(tuple(inner)), node)

    def _softmax(
        self, expr: Any, placeholder: Any, node: LogSumExp, leaves: Mapping[Any, Matrix]
    ) -> tuple[Any, dict[Any, Matrix]]:
        """The softmax of an axis that goes by another name where its exponential stands."""
        if node.axis in (*self.letters, self.dropped):
            return super()._softmax(expr, placeholder, node, leaves)
        taken = {self.letters[axis] for axis in node.axes}
        same = (axis for axis in self.letters if axis.unprimed == node.axis.unprimed)
        for letter in (self.letters[axis] for axis in same):
            if letter not in taken:
                here = self.at({node.axis: letter})
                left, found = here._softmax(expr, placeholder, node, leaves)
                if found:
                    return left, found
        return expr, {}

    def column(self, numbers: Formula, axes: Axes) -> Matrix:
        return Matrix(Indexed(numbers, self.indices(axes)))

    def of_matrix(self, node: Inverse | Determinant | LogDet) -> Matrix:
        """An entry of the inverse of a whole matrix; a determinant is a number.

        A matrix that has no form of its own is [aᵢⱼ]ᵢⱼ, the one with these entries.
        """
        form = MatrixForm(self.symbols, self.batch, self.dropped)
        try:
            whole = form.of_matrix(node)
        except NoMatrixFormError:
            inside = self.within(node.arg.axes)
            entries = Blocks((inside.read(node.arg).formula,))
            array = Indexed(entries, inside.indices(node.arg.axes))
            whole = function_of_matrix(node, Matrix(array, node.arg.axes))
        indices = self.indices(node.axes)
        return Matrix(Indexed(whole.formula, indices) if indices else whole.formula)

    def one_hot(self, node: OneHot) -> Matrix:
        return hit(self.letters[node.axis], self.read(node.index).formula)

    def renamed(self, node: Rename, open_sum: bool) -> Matrix:
        old = {new: old for old, new in node.names}
        shown = (axis for axis in node.axes if axis != self.dropped)
        letters = {old.get(axis, axis): self.letters[axis] for axis in shown}
        return self.within((), letters).read(node.arg, open_sum)

    def state(self, node: Scan) -> Matrix:
        name, parts = self.neighbours(node)
        told, *start = parts
        if not start and can_move(told, node.over) and is_zero_outside(told, node.over):
            step = Index.on(node.over) + (1 if node.backward else -1)
            return self.at({node.over: moved(step, self.letters)}).read(told)
        read = tuple(self.read(part).formula for part in parts)
        return Matrix(Call(name, read, over=str(self.letters[node.over])))

    def reduction(self, node: LogSumExp | Max | ArgMax) -> Matrix:
        inner = self._bind((node.axis,))
        free = () if runs_along(node.arg, node.axis) else (node.axis,)
        given = [*map(inner.read, node.args), *runs(free, inner.letters)]
        args = tuple(matrix.formula for matrix in given)
        return Matrix(Call(type(node).__name__.lower(), args, over=str(inner.letters[node.axis])))

    def reduced(self, name: str, arg: Node, axis: Axis, keep: bool) -> Matrix:
        inner = self if keep else self._bind((axis,))
        call = Call(name, (inner.read(arg).formula,), over=str(inner.letters[axis]))
        return Matrix(call)
