"""The derivation of an expectation, line by line: multiplied out, paired off, integrated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pullback.derive.derivation import Step
from pullback.derive.expectation.average import Average
from pullback.derive.expectation.collecting import in_book_order, with_sizes_collected
from pullback.derive.expectation.expansion import Expansion, axes_of, groups
from pullback.derive.expectation.integrals import Integrals
from pullback.derive.expectation.law import RandomTensor, fresh
from pullback.derive.expectation.monomial import (
    FunctionEntry,
    Monomial,
    TensorEntry,
    collected,
    node_of,
)
from pullback.derive.expectation.sampling import SIMULATED
from pullback.derive.expectation.symbols import symbol_of, symbols_of
from pullback.derive.expectation.writing import EntryWriter, ShownNames, whole
from pullback.derive.formula.algebra import product, total, transpose
from pullback.derive.formula.elementwise import elementwise
from pullback.derive.formula.matrix import Matrix, NoMatrixFormError
from pullback.derive.formula.text import Text
from pullback.derive.formula.tidy import tidy
from pullback.derive.formula.tree import (
    AppliedFormula,
    Call,
    ExpectedValue,
    Formula,
    Kronecker,
    Number,
    Power,
    Sum,
    Symbol,
)
from pullback.derive.formula.variables import VariableMatrices, sides_of
from pullback.derive.steps.listing import Line
from pullback.ir import Axes, Contract, Node, Rename, as_printed, simplify, symbol
from pullback.net.expression import Expression

NOTE = (
    "E is over {random}; the rest is given. A name with two axes is a matrix, one with one axis a "
    "column; 𝟏 is a column of ones, and 𝟏[j = k] is 1 where j is k, else 0."
)
GIVEN = "a normal law is known by its means and covariances"
LINEAR = "E is linear, so that what is given stands in front of it"
ISSERLIS = (
    "a product of Gaussians is averaged by Isserlis' (Wick's) theorem: the sum over all ways to "
    "pair some of them off, a covariance for each pair and a mean for each that is left"
)
STEIN = "a Gaussian G beside f(u) by Stein's lemma: E[G f(u)] = E[G] E[f(u)] + Cov(G, u) E[f′(u)]"
REGRESSION = (
    "where f jumps, by what G has in common with u: G is E[G] + b (u - E[u]) and a rest that does "
    "not depend on u, with b = Cov(G, u) / Var(u)"
)
SECOND_MOMENTS = (
    "it is shorter by second moments: of four Gaussians E is the sum over the three ways to pair "
    "them off, with E of each pair, less twice the product of the means"
)
_SHORT = 24  # characters of an expression that stands inside E[…]
_LONG = 6  # terms, beyond which a sum is tried by second moments
_MOST_MOMENTS = 4  # lines of pairs that are printed


class ExpectationSteps:
    """The steps for the mean or the second moments of one expression, and the node they end in."""

    def __init__(
        self,
        expression: Expression,
        laws: Mapping[Node, RandomTensor],
        order: int,
        central: bool,
        name: str,
    ) -> None:
        self.expression, self.laws, self.order, self.central = expression, laws, order, central
        node = expression.node
        held = [axis for each in (node, *expression.leaves) for axis in each.axes]
        again = fresh(node.axes, held)
        second = Rename(node, tuple(zip(node.axes, again, strict=True))) if again else node
        self.axes: Axes = (*node.axes, *again) if order == 2 else node.axes
        whole_node = Contract((node, second), self.axes) if order == 2 else node
        expansion = Expansion(laws, (whole_node,))
        self.average = Average(expansion)
        self.integrals = Integrals(self.average)
        self.symbols = symbols_of(expression, laws)
        self.names = ShownNames(self.symbols)
        self.steps: list[Step] = []
        self._count = 0
        self.raw: list[Monomial] = []
        terms = collected(each.settled() for each in expansion.of(whole_node, {}))
        paired = self.average.paired(terms)
        self.names.learn([f for m in (*terms, *paired) for f in m.random], expansion.random)
        done = self.average.integrated(paired, self.integrals)
        self.raw = done
        if order == 2 and central:
            mean = self._of(node)
            names = dict(zip(node.axes, again, strict=True))
            both = [a.times(self.average.apart(b.moved(names))) for a in mean for b in mean]
            done = collected([*done, *(replace(each, number=-each.number) for each in both)])
        self.node = node_of(done, self.axes)
        self._write(name, terms, paired, done)

    def _of(self, node: Node) -> list[Monomial]:
        terms = self.average.expansion.of(node, {})
        return self.average.integrated(self.average.paired(terms), self.integrals)

    @property
    def note(self) -> str:
        """How the formulas are to be read."""
        names = ", ".join(law.leaf.name for law in self.laws.values())
        apart = ", which do not depend on one another" if len(self.laws) > 1 else ""
        note = NOTE.format(random=f"{names}{apart}")
        if self.names.functions and self.names.short:
            note += " f is f of its argument, entry by entry, and f′ its slope."
        return note

    def _write(
        self,
        name: str,
        terms: Sequence[Monomial],
        paired: Sequence[Monomial],
        done: Sequence[Monomial],
    ) -> None:
        writer = EntryWriter(
            self.average, self.names, self.axes, [m.mean for m in self.laws.values()]
        )
        called, plain, whole_left = self._called(name)
        left = writer.left(plain)
        self._add("The expression and the laws", self._given(called, writer), GIVEN)
        line = Line("expanded", "value", left, writer.total(terms, apart=False))
        before = self._add("Multiplied out", [*self._called_parts(writer), line], LINEAR)
        if any(len(list(groups(self.average.expansion, each.random))) > 1 for each in terms):
            before = self._add(
                "Independent factors apart",
                [Line("apart", "value", left, writer.total(terms))],
                f"in {before} E of a product of independent factors is the product of their E",
            )
        less = ", less the product of the means" if self.central else ""
        if any(map(self._has_gaussian, terms)):
            lines = self._moments(terms, writer)
            lines.append(Line("paired", "value", left, writer.total(paired)))
            before = self._add("Gaussian factors", lines, self._why_paired(terms, before))
        if any(each.random for each in paired):
            writer.integrals = {i.leaf: (i, axes) for i, axes in self.integrals.found.values()}
            raw = self.raw if self.central else done
            line = Line("integrals", "value", left, writer.total(raw))
            known = self.steps[-1].lines[-1].text()
            lines = [*self._arguments(writer), *([] if line.text() == known else [line])]
            why = self._why_integrals()
            if lines:
                before = self._add("Functions of Gaussians", lines, f"in {before} {why}")
            else:
                less += f"; {why}"
        formula = self._whole(done)
        if isinstance(formula, Sum) and len(formula.terms) > _LONG and not self.central:
            others = self.average.by_second_moments(terms)
            shorter = None if others is None else self._whole(others)
            if shorter is not None and len(Text()(shorter)) < len(Text()(formula)):
                formula, less = shorter, f"; {SECOND_MOMENTS}"
        if formula is not None:
            line = Line("result", "value", whole_left, formula)
            self._add("The result", [line], f"{before} as a whole, without indices{less}")
        else:
            line = Line("result", "value", writer.left(whole_left), writer.total(done))
            self._add("The result", [line], f"{before}, like terms collected{less}")

    def _add(self, title: str, lines: list[Line], reason: str) -> str:
        numbered = tuple(
            replace(line, number=self._count + k) for k, line in enumerate(lines, start=1)
        )
        self._count += len(numbered)
        self.steps.append(Step(title, numbered, reason))
        return f"({numbered[-1].number})"

    def _has_gaussian(self, monomial: Monomial) -> bool:
        return any(map(self.average.expansion.is_gaussian, monomial.random))

    def _called(self, name: str) -> tuple[Formula, Formula, Formula]:
        """How the expression is called, the left side on the way, and that of the result."""
        shown = self._matrix(self.expression.node)
        called: Formula = Symbol("e")
        if name:
            called = symbol_of(name)
        elif shown is not None and len(Text()(shown)) <= _SHORT // self.order:
            called = shown
        rank = len(self.expression.node.axes)
        if self.order == 1:
            return called, ExpectedValue(called), ExpectedValue(called)
        second: Formula = ExpectedValue(Kronecker(called, called))
        if rank == 0:
            second = ExpectedValue(Power(called, Number(2)))
        elif rank == 1:
            second = ExpectedValue(product(called, transpose(called)))
        return called, second, Call("Cov" if rank else "Var", (called,)) if self.central else second

    def _given(self, called: Formula, writer: EntryWriter) -> list[Line]:
        """The expression, and the mean and covariance of each random variable."""
        node = self.expression.node
        shown = self._matrix(node)
        lines = []
        if shown is None:
            letters = writer.lettered(node.axes)
            left = writer.entry(called, node.axes, letters)
            lines.append(Line("expression", "value", left, writer.read(node, letters)))
        elif shown != called:
            lines.append(Line("expression", "value", called, shown))
        for law in self.laws.values():
            symbol = self.symbols[law.leaf]
            again = fresh(law.leaf.axes, law.leaf.axes)
            pair = Monomial(random=(TensorEntry(law.leaf, law.leaf.axes),
                                    TensorEntry(law.leaf, again)))  # fmt: skip
            letters = writer.lettered(axes_of(pair.random))
            one = writer.entry(symbol, law.leaf.axes, letters)
            other = writer.entry(symbol, again, letters)
            if self.symbols.get(law.mean) != ExpectedValue(symbol, sides_of(law.leaf.axes)):
                mean = law.mean_at(law.leaf.axes) or Monomial(0.0)
                right = writer.total([mean], letters=letters)
                lines.append(Line(f"mean.{law.leaf.name}", "value", ExpectedValue(one), right))
            spread = law.covariance(law.leaf.axes, again)
            left = Call("Cov", (one, other)) if again else Call("Var", (one,))
            right = writer.total([spread], letters=letters)
            lines.append(Line(f"covariance.{law.leaf.name}", "value", left, right))
        return lines

    def _moments(self, terms: Sequence[Monomial], writer: EntryWriter) -> list[Line]:
        """E of each product of several Gaussians that stands in the terms, as pairs."""
        found: dict[tuple[object, ...], Line] = {}
        for term in terms:
            for group in groups(self.average.expansion, term.random):
                if len(group) < 2 or not any(map(self.average.expansion.is_gaussian, group)):
                    continue
                alone = Monomial(random=tuple(group))
                letters = writer.lettered(axes_of(group))
                if Monomial(random=alone.random, bound=axes_of(group)).key in found:
                    continue
                parts = self.average.paired([alone])
                if parts == [alone]:
                    continue
                right = writer.total(parts, letters=letters)
                left = ExpectedValue(writer.juxtaposed(group, letters))
                key = Monomial(random=alone.random, bound=axes_of(group)).key
                found[key] = Line("moment", "value", left, right)
        return list(found.values())[:_MOST_MOMENTS]

    def _why_paired(self, terms: Sequence[Monomial], before: str) -> str:
        why = ["in " + before + " a Gaussian alone has its mean"]
        several = [
            group
            for term in terms
            for group in groups(self.average.expansion, term.random)
            if len(group) > 1 and any(map(self.average.expansion.is_gaussian, group))
        ]
        if any(all(map(self.average.expansion.is_gaussian, group)) for group in several):
            why.append(ISSERLIS)
        beside = [g for g in several if any(isinstance(each, FunctionEntry) for each in g)]
        jumping = [
            group
            for group in beside
            for each in group
            if self.average.expansion.is_gaussian(each)
            and isinstance(each, TensorEntry)
            and self.average.jumps_beside(each, group)
        ]
        why += [STEIN] if any(group not in jumping for group in beside) else []
        why += [REGRESSION] if jumping else []
        return "; ".join(why)

    def _called_parts(self, writer: EntryWriter) -> list[Line]:
        """What is called f, and what is called z because it is more than a variable."""
        t, lines = Symbol("t"), list[Line]()
        for base in self.names.bases:
            right = elementwise(base.expr, {symbol(0): Matrix(t)}).formula
            left: Formula = AppliedFormula(self.names.functions[base], (t,))
            lines.append(Line("function", "value", left, right))
        for node, called in self.names.arguments.items():
            shown = self._matrix(node)
            if shown is not None:
                lines.append(Line("argument", "value", called, shown))
                continue
            letters = writer.lettered(node.axes)
            left = writer.entry(called, node.axes, letters)
            lines.append(Line("argument", "value", left, writer.read(node, letters)))
        return lines

    def _arguments(self, writer: EntryWriter) -> list[Line]:
        """The mean and covariance of each argument that is more than a variable."""
        lines = list[Line]()
        for node, called in self.names.arguments.items():
            again = fresh(node.axes, node.axes)
            one, other = TensorEntry(node, node.axes), TensorEntry(node, again)
            if node not in self.names.read or self.average.expansion.affine(one) is None:
                continue
            letters = writer.lettered((*node.axes, *again))
            left = writer.entry(called, node.axes, letters)
            right = writer.total(self.average.mean(one), letters=letters)
            lines.append(Line("argument.mean", "value", ExpectedValue(left), right))
            pair = Call("Cov", (left, writer.entry(called, again, letters)))
            if not again:
                pair = Call("Var", (left,))
            right = writer.total(self.average.covariance(one, other), letters=letters)
            lines.append(Line("argument.covariance", "value", pair, right))
        return lines

    def _why_integrals(self) -> str:
        """How each integral is found, and what has no closed form."""
        count = {"quadrature": 0, "quadrature in two dimensions": 0, "simulation": 0}
        for integral, _ in self.integrals.found.values():
            count[integral.method] += 1
        why = ["functions of independent arguments are averaged apart", *self.integrals.reasons]
        if count["quadrature"]:
            why.append("E of functions of one Gaussian is an integral over it, found by quadrature")
        if count["quadrature in two dimensions"]:
            why.append(
                "E of functions of two Gaussians that depend on one another is an integral over "
                "both, found by quadrature"
            )
        if count["simulation"]:
            why.append(
                "E of what is no function of one or two Gaussians, as far as is known here, has no "
                f"closed form: it is simulated, with {SIMULATED:,} draws"
            )
        return "; ".join(why)

    def _matrix(self, node: Node) -> Formula | None:
        """A node without indices, where that can be done."""
        try:
            read = self._form().read(as_printed(node)[0])
            return tidy(read.along(node.axes).formula)
        except NoMatrixFormError:
            return None

    def _whole(self, monomials: Sequence[Monomial]) -> Formula | None:
        """A sum of monomials without indices, where that can be done; each by itself, so that a
        number beside a matrix is written with 𝟏 𝟏ᵀ."""
        more: dict[Node, Formula] = {}
        for integral, axes in self.integrals.found.values():
            formula = whole(integral, axes, self.names)
            if formula is None:
                return None
            more[integral.leaf] = formula
        form, terms = self._form(more), []
        try:
            for each in monomials:
                (node,) = as_printed(*simplify(each.node(self.axes)))
                terms.append(form.read(node).along(self.axes).formula)
        except NoMatrixFormError:
            return None
        return in_book_order(with_sizes_collected(tidy(total(terms))))

    def _form(self, more: Mapping[Node, Formula] | None = None) -> VariableMatrices:
        return VariableMatrices(
            {**self.symbols, **self.names.arguments, **(more or {})}, None, None
        )
