"""Monomials and integrals on the page: entry by entry, sums written, f′ for a slope of f."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pullback.derive.expectation.average import Average
from pullback.derive.expectation.expansion import groups
from pullback.derive.expectation.integrals import GaussianIntegral
from pullback.derive.expectation.monomial import (
    FunctionEntry,
    Monomial,
    RandomFactor,
    TensorEntry,
)
from pullback.derive.formula.algebra import hadamard, product, scaled, total, transpose
from pullback.derive.formula.elementwise import elementwise, number
from pullback.derive.formula.entries import IndexForm
from pullback.derive.formula.matrix import Matrix
from pullback.derive.formula.places import Letters, letters_in
from pullback.derive.formula.tree import (
    AppliedFormula,
    ExpectedValue,
    Formula,
    Indexed,
    IndexSum,
    Indicator,
    Number,
    Power,
    Relation,
    ScaledFormula,
    Symbol,
)
from pullback.derive.formula.variables import VariableMatrices, sides_of
from pullback.ir import Axes, Axis, Input, Node, Scalar, as_printed, symbol
from pullback.ir.normal.stable import textbook

_LETTERS = "jklprstuvmnoaehixqbcdfgwyz"
_OWN = ("i", "j", "k", "l")  # names of axes that are indices and no lengths
_FUNCTIONS = "fghϕψ"
_ARGUMENTS = "zusvr"
_MOST_PRIMES = 4


class ShownNames:
    """How functions and their arguments are called.

    A function has a letter where one of its slopes stands beside it: f and f′. An argument that is
    more than a variable has one, too: z = W x + b.
    """

    def __init__(self, symbols: Mapping[Node, Formula]) -> None:
        self.symbols = symbols
        self.functions: dict[Scalar, Symbol] = {}
        self.arguments: dict[Node, Symbol] = {}
        self.bases: list[Scalar] = []
        self.read: set[Node] = set()  # the arguments of functions
        self._taken = {each.letter for each in symbols.values() if isinstance(each, Symbol)}

    def learn(self, factors: Iterable[RandomFactor], is_random: Callable[[Node], Any]) -> None:
        """Give names to what stands in some factors."""
        functions = [each for each in factors if isinstance(each, FunctionEntry)]
        single = list(dict.fromkeys(f.function for f in functions if f.function.arity == 1))
        slopes = {each: _slopes(each) for each in single}
        for each in single:
            below = [o for o in single if o is not each and each in slopes[o]]
            above = [o for o in single if o is not each and o in slopes[each]]
            if above and not below and each not in self.functions:
                letter = self._letter(_FUNCTIONS)
                self.bases.append(each)
                for primes, slope in enumerate((each, *slopes[each])):
                    self.functions.setdefault(slope, Symbol(letter, primes=primes))
        for factor in factors:
            args = factor.args if isinstance(factor, FunctionEntry) else (factor,)
            for arg in args:
                self.read |= {arg.node} if is_random(arg.node) and factor in functions else set()
                composite = arg.node not in self.symbols and is_random(arg.node)
                if composite and arg.node not in self.arguments:
                    letter = self._letter(_ARGUMENTS)
                    capital = len(arg.node.axes) > 1
                    self.arguments[arg.node] = Symbol(
                        letter.upper() if capital else letter, sides=sides_of(arg.node.axes)
                    )

    @property
    def short(self) -> bool:
        """Is f enough for f(z), because all functions are of one argument?"""
        return len(self.read) < 2

    def of(self, node: Node) -> Formula:
        return self.arguments[node] if node in self.arguments else self.symbols[node]

    def _letter(self, letters: str) -> str:
        free = (each for each in letters if not {each, each.upper()} & self._taken)
        letter = next(free, letters[0] + str(len(self._taken)))
        self._taken |= {letter, letter.upper()}
        return letter


class EntryWriter:
    """Monomials as formulas."""

    def __init__(
        self, average: Average, names: ShownNames, over: Axes, means: Iterable[Node] = ()
    ) -> None:
        self.average, self.names, self.over = average, names, over
        self.integrals: dict[Node, tuple[GaussianIntegral, Axes]] = {}
        self.means = set(means)
        # a letter that is a length or a number is no index
        self._lengths = {a.unprimed.name for node in names.symbols for a in node.axes}
        self._lengths |= {node.name for node in names.symbols if isinstance(node, Input)}
        self._lengths -= {*_OWN}
        self.letters = self.lettered(over)

    def lettered(
        self, axes: Iterable[Axis], known: Mapping[Axis, str] | None = None
    ) -> dict[Axis, str]:
        """A letter for each index: its own where its name is one that indices have."""
        found = dict(known or {})
        taken = {*found.values(), *self._lengths}
        for axis in axes:
            if axis in found:
                continue
            own = axis.unprimed.name
            free = [own] if own in _OWN and own not in taken else []
            free += [each for each in _LETTERS if each not in taken] + [f"i{len(taken)}"]
            found[axis] = free[0]
            taken.add(free[0])
        return found

    def left(self, of: Formula) -> Formula:
        """The entry that a line is of."""
        return self.entry(of, self.over, self.letters)

    def entry(self, of: Formula, at: Axes, letters: Mapping[Axis, str]) -> Formula:
        indices = tuple(letters[axis] for axis in at)
        if isinstance(of, ExpectedValue) and isinstance(of.arg, Symbol) and indices:
            return ExpectedValue(self.entry(of.arg, at, letters))
        plain = isinstance(of, Symbol)
        return Indexed(of, indices, raised=plain) if indices else of

    def size(self, axis: Axis) -> Formula:
        if axis.size is not None:
            return Number(axis.size)
        name = axis.unprimed.name
        return Symbol(f"|{name}|" if name in _OWN else name)

    def total(
        self,
        monomials: Sequence[Monomial],
        apart: bool = True,
        letters: Mapping[Axis, str] | None = None,
    ) -> Formula:
        """A sum of monomials; ``apart`` writes E of independent factors as a product."""
        known = self.letters if letters is None else letters
        return self._sum([(each, each.bound) for each in monomials], known, apart)

    def _sum(
        self,
        terms: Sequence[tuple[Monomial, Axes]],
        letters: Mapping[Axis, str],
        apart: bool,
    ) -> Formula:
        """μ (… + …) where several terms, and not all, have a mean μ, with their Σ in common."""
        common = self._mean_in_common(terms)
        if common is None:
            return total(self._term(each, bound, letters, apart) for each, bound in terms)
        inside = [(m, b) for m, b in terms if common in m.entries]
        rest = [(m, b) for m, b in terms if common not in m.entries]
        less = [(replace(m, entries=_less(m.entries, common)), b) for m, b in inside]
        carried = {axis for m, _ in less for factor in m.factors for axis in factor.at}
        shared = tuple(a for a in less[0][1] if a in carried and all(a in b for _, b in less))
        within = self.lettered(shared, letters)
        less = [(m, tuple(axis for axis in b if axis not in shared)) for m, b in less]
        body = total(self._term(m, b, within, apart) for m, b in less)
        if shared:
            body = IndexSum(tuple(within[axis] for axis in shared), body)
        drawn = scaled([self._entry(common, letters)], body)
        others = [self._term(m, b, letters, apart) for m, b in rest]
        return total([*others, drawn])

    def _mean_in_common(self, terms: Sequence[tuple[Monomial, Axes]]) -> TensorEntry | None:
        for each, _ in terms:
            for entry in each.entries:
                if entry.node not in self.means or entry.at:
                    continue
                count = sum(entry in other.entries for other, _ in terms)
                if 1 < count < len(terms):
                    return entry
        return None

    def _term(
        self, monomial: Monomial, bound: Axes, letters: Mapping[Axis, str], apart: bool
    ) -> Formula:
        have = {axis for factor in monomial.factors for axis in factor.at}
        have |= {axis for delta in monomial.deltas for axis in delta}
        sizes = [self.size(axis) for axis in bound if axis not in have]
        summed = tuple(axis for axis in bound if axis in have)
        within = self.lettered(summed, letters)
        front, body = [number(monomial.number), *sizes], list[Formula]()
        for entry in monomial.entries:
            place = body if set(entry.at) & set(summed) else front
            place.append(self._entry(entry, within))
        for pair in monomial.deltas:
            a, b = sorted(within[axis] for axis in pair)
            body.append(Indicator(Relation(Symbol(a), "=", Symbol(b))))
        members = list(groups(self.average.expansion, monomial.random)) if apart else []
        if not apart and monomial.random:
            members = [list(monomial.random)]
        for group in members:
            found = ExpectedValue(self.juxtaposed(group, within))
            place = body if {a for f in group for a in f.at} & set(summed) else front
            place.append(found)
        if not summed:
            return scaled([*front, *body], None) if front or body else Number(1)
        inner = _beside(body)
        return scaled(front, IndexSum(tuple(within[axis] for axis in summed), inner))

    def juxtaposed(self, factors: Sequence[RandomFactor], letters: Mapping[Axis, str]) -> Formula:
        """Factors side by side, equal ones as a power: slopes first, then Gaussians in order."""

        def place(factor: RandomFactor) -> tuple[object, ...]:
            if isinstance(factor, TensorEntry):
                return 1, tuple(letters.get(axis, "") for axis in factor.at)
            name = self.names.functions.get(factor.function)
            return (0, -name.primes) if name is not None and name.primes else (2,)

        return _beside([self._factor(each, letters) for each in sorted(factors, key=place)])

    def _factor(self, factor: RandomFactor, letters: Mapping[Axis, str]) -> Formula:
        if isinstance(factor, TensorEntry):
            return self._entry(factor, letters)
        name = self.names.functions.get(factor.function)
        if name is not None:
            (arg,) = factor.args
            if self.names.short:
                return self.entry(name, arg.at, letters)
            return AppliedFormula(name, (self._entry(arg, letters),))
        leaves = {
            symbol(at): Matrix(self._entry(arg, letters)) for at, arg in enumerate(factor.args)
        }
        return elementwise(textbook(factor.function.expr), leaves).formula

    def _entry(self, entry: TensorEntry, letters: Mapping[Axis, str]) -> Formula:
        node = entry.node
        if node in self.integrals:
            integral, axes = self.integrals[node]
            names = dict(zip(axes, entry.at, strict=True))
            moved = [factor.moved(names) for factor in integral.factors]
            spare = {a: "" for f in moved for a in f.at if a not in letters}
            if spare:  # the same for every index
                plain = [_bare(each, spare) for each in moved]
                return ExpectedValue(self.juxtaposed(plain, letters))
            return ExpectedValue(self.juxtaposed(moved, letters))
        if node in self.names.symbols or node in self.names.arguments:
            return self.entry(self.names.of(node), entry.at, letters)
        places = {axis: letters[a] for axis, a in zip(node.axes, entry.at, strict=True)}
        return self.read(node, places, letters.values())

    def read(self, node: Node, places: Mapping[Axis, str], taken: Iterable[str] = ()) -> Formula:
        """Any node entry by entry, at these indices."""
        return _Entries(self, places, {*taken}).read(as_printed(node)[0]).formula


class _Entries(IndexForm):
    """Entries with the letters of a writer."""

    def __init__(self, writer: EntryWriter, letters: Letters, taken: set[str]) -> None:
        super().__init__(writer.names.symbols, None, letters, raised=True)
        self._writer, self._taken = writer, taken

    def within(self, axes: Axes, letters: Letters | None = None) -> IndexForm:
        given = dict(self.letters if letters is None else letters)
        held = {Axis(f"{each} "): each for each in {*self._taken, *letters_in(given.values())}}
        found = self._writer.lettered(axes, held)
        return self._with({**given, **{axis: found[axis] for axis in axes}}, None)

    def _with(self, letters: Letters, dropped: Axis | None) -> IndexForm:
        return _Entries(self._writer, letters, self._taken)

    def size(self, axis: Axis) -> Formula:
        return self._writer.size(axis)


def _bare(factor: RandomFactor, spare: Mapping[Axis, str]) -> RandomFactor:
    """The factor without the indices on which its expectation does not depend."""
    if isinstance(factor, TensorEntry):
        return replace(factor, at=tuple(axis for axis in factor.at if axis not in spare))
    args = (replace(a, at=tuple(x for x in a.at if x not in spare)) for a in factor.args)
    return replace(factor, args=tuple(args))


def _beside(factors: Sequence[Formula]) -> Formula:
    times = {each: factors.count(each) for each in factors}
    found = [each if n == 1 else Power(each, Number(n)) for each, n in times.items()]
    return found[0] if len(found) == 1 else ScaledFormula(tuple(found[:-1]), found[-1])


def _less(items: tuple[Any, ...], one: Any) -> tuple[Any, ...]:
    at = items.index(one)
    return items[:at] + items[at + 1 :]


def _slopes(function: Scalar) -> tuple[Scalar, ...]:
    found = []
    for _ in range(_MOST_PRIMES):
        function = function.partial(0)
        found.append(function)
    return tuple(found)


def whole(integral: GaussianIntegral, axes: Axes, names: ShownNames) -> Formula | None:
    """An integral as a number, a column or a matrix; None where it has more axes.

    E[f(zᵢ) g(zⱼ)] is the matrix E[f(z) g(z)ᵀ].
    """
    if len(axes) > 2:
        return None
    groups_: dict[Axes, list[Formula]] = {}
    for factor in sorted(integral.factors, key=lambda each: not _is_slope(each, names)):
        at = tuple(dict.fromkeys(axis for axis in factor.at if axis in axes))
        groups_.setdefault(at, []).append(_unindexed(factor, names))
    parts = {at: hadamard(formulas) for at, formulas in groups_.items()}
    if axes and set(parts) == {(axes[0],), (axes[-1],)} and len(axes) == 2:
        inner = product(parts[(axes[0],)], transpose(parts[(axes[1],)]))
    elif all(at in ((), axes) for at in parts):
        several = [formula for formulas in groups_.values() for formula in formulas]
        inner = hadamard(several) if axes else _beside(several)
    else:
        return None
    return ExpectedValue(inner, sides_of(axes))


def _is_slope(factor: RandomFactor, names: ShownNames) -> bool:
    name = names.functions.get(factor.function) if isinstance(factor, FunctionEntry) else None
    return name is not None and name.primes > 0


def _unindexed(factor: RandomFactor, names: ShownNames) -> Formula:
    if isinstance(factor, FunctionEntry) and factor.function in names.functions:
        name = names.functions[factor.function]
        (arg,) = factor.args
        if names.short:
            return replace(name, sides=sides_of(arg.node.axes))
        return AppliedFormula(name, (names.of(arg.node),))
    form = VariableMatrices({**names.symbols, **names.arguments}, None, None)
    if isinstance(factor, TensorEntry):
        if factor.node in names.symbols or factor.node in names.arguments:
            return names.of(factor.node)
        return form.read(as_printed(factor.node)[0]).formula
    leaves = {}
    for at, arg in enumerate(factor.args):
        known = arg.node in names.symbols or arg.node in names.arguments
        formula = names.of(arg.node) if known else form.read(as_printed(arg.node)[0]).formula
        leaves[symbol(at)] = Matrix(formula)
    return elementwise(textbook(factor.function.expr), leaves).formula
