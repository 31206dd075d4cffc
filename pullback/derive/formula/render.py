"""What every target shares: signs, brackets and the order of things on a line."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

from pullback.derive.formula.tree import (
    AppliedFormula,
    Blocks,
    Call,
    CasesFormula,
    Composition,
    Correlation,
    Definition,
    ExpectedValue,
    Formula,
    Hadamard,
    HigherPartial,
    Indexed,
    IndexSum,
    Indicator,
    InverseFormula,
    Kronecker,
    MatrixPower,
    Negative,
    Norm,
    Number,
    Ones,
    Partial,
    Power,
    ProductFormula,
    Quotient,
    Relation,
    Root,
    ScaledFormula,
    SecondPartial,
    Sum,
    Symbol,
    Transpose,
)

# how tightly a formula holds together; a looser one inside a tighter one gets brackets
LOOSE, ELEMENTWISE, JUXTAPOSED, TIGHT, ATOM = range(5)


class Renderer(ABC):
    """A target: formulas as text of some language. A new target fills in the abstract methods."""

    minus: ClassVar[str]
    odot: ClassVar[str]
    compose: ClassVar[str]
    kronecker: ClassVar[str]
    correlation: ClassVar[str]

    def __call__(self, formula: Formula) -> str:
        match formula:
            case Number():
                return self.number(formula.value)
            case Symbol():
                return self.symbol(formula)
            case Ones():
                return self.ones()
            case Negative():
                return f"{self.minus}{self.inside(formula.arg, ELEMENTWISE)}"
            case Sum():
                return self.sum(formula.terms)
            case ScaledFormula():
                return self.scaled(formula.parts)
            case ProductFormula():
                return self.juxtapose(formula.factors)
            case Hadamard():
                return f" {self.odot} ".join(self.inside(f, TIGHT) for f in formula.factors)
            case Quotient():
                return self.quotient(formula)
            case Power():
                base = self.inside(formula.base, ATOM)
                if formula.marked:
                    return self.entrywise_power(base, formula.exponent)
                return self.power(base, formula.exponent)
            case MatrixPower():
                return self.matrix_power(self.inside(formula.base, ATOM), formula.exponent)
            case Transpose(arg=InverseFormula(arg=arg)):
                return self.inverse(self.inside(arg, ATOM), turned=True)
            case Transpose():
                return self.transposed(self.inside(formula.arg, ATOM))
            case InverseFormula():
                return self.inverse(self.inside(formula.arg, ATOM))
            case Root():
                return self.root(formula.arg)
            case Norm():
                return self.norm(formula.arg)
            case Call():
                return self.call(formula)
            case AppliedFormula():
                inside = ", ".join(map(self, formula.args))
                return f"{self.inside(formula.function, TIGHT)}({inside})"
            case Composition():
                return f" {self.compose} ".join(self.inside(f, TIGHT) for f in formula.functions)
            case Kronecker():
                sides = (  # it is associative
                    self(f) if isinstance(f, Kronecker) else self.inside(f, TIGHT)
                    for f in (formula.left, formula.right)
                )
                return f" {self.kronecker} ".join(sides)
            case Correlation():
                sides = (self.inside(f, TIGHT) for f in (formula.left, formula.right))
                return f" {self.correlation} ".join(sides)
            case Blocks():
                return self.blocks(formula)
            case Relation():
                return f"{self(formula.left)} {self.relation(formula.sign)} {self(formula.right)}"
            case Indicator():
                return self.indicator(formula.condition)
            case CasesFormula():
                return self.cases(formula)
            case ExpectedValue():
                return self.expected(formula.arg)
            case Definition():
                return self.definition(self(formula.name))
            case Partial():
                return self.partial(formula)
            case SecondPartial():
                return self.second_partial(formula)
            case HigherPartial():
                return self.higher_partial(formula)
            case Indexed():
                return self.indexed(formula)
            case IndexSum():
                return self.index_sum(formula.indices, self.inside(formula.body, ELEMENTWISE))
        raise TypeError(f"no rule for {type(formula).__name__}")

    def level(self, formula: Formula) -> int:
        """How tightly the formula holds together in this target."""
        match formula:
            case Sum() | Negative() | Relation():
                return LOOSE
            case Composition() | Kronecker() | Correlation():
                return ELEMENTWISE
            case Hadamard() | IndexSum() | ScaledFormula(body=Hadamard() | IndexSum()):
                return ELEMENTWISE
            case ScaledFormula() | ProductFormula():
                return JUXTAPOSED
            case (
                Power()
                | MatrixPower()
                | Transpose()
                | InverseFormula()
                | Quotient()
                | Partial()
                | SecondPartial()
                | HigherPartial()
            ):
                return TIGHT
            case Symbol(primes=primes, letter=letter) if primes and letter != "f":
                return TIGHT
        return ATOM

    def inside(self, formula: Formula, at_least: int) -> str:
        """The formula, in brackets if it is looser than its place."""
        text = self(formula)
        return text if self.level(formula) >= at_least else self.brackets(formula, text)

    def places(self, entry: Indexed) -> list[str]:
        """The indices of an entry, each as it is written."""
        return [each if isinstance(each, str) else self(each) for each in entry.indices]

    def sum(self, terms: Sequence[Formula]) -> str:
        text = self.inside(terms[0], LOOSE)
        for term in terms[1:]:
            if isinstance(term, Negative):
                text += f" {self.minus} {self.inside(term.arg, ELEMENTWISE)}"
            else:
                text += f" + {self.inside(term, ELEMENTWISE)}"
        return text

    def scaled(self, factors: Sequence[Formula]) -> str:
        # behind scalars a product needs no brackets of its own: (1/N) A B, 2 A ⊙ B
        bare = isinstance(factors[-1], (ProductFormula, Hadamard, IndexSum))
        return self.juxtapose(factors, ELEMENTWISE if bare else TIGHT)

    def juxtapose(self, factors: Sequence[Formula], last: int = TIGHT) -> str:
        """Factors side by side; the last one may be as loose as ``last``."""
        text = self.inside(factors[0], TIGHT if len(factors) > 1 else last)
        for at, (before, after) in enumerate(pairwise(factors), start=2):
            level = last if at == len(factors) else TIGHT
            text += self.gap(before, after) + self.inside(after, level)
        return text

    def gap(self, before: Formula, after: Formula) -> str:
        """What stands between two factors."""
        return " "

    @abstractmethod
    def brackets(self, formula: Formula, text: str) -> str: ...

    @abstractmethod
    def number(self, value: int | float) -> str: ...

    @abstractmethod
    def symbol(self, symbol: Symbol) -> str: ...

    @abstractmethod
    def ones(self) -> str: ...

    @abstractmethod
    def quotient(self, quotient: Quotient) -> str: ...

    @abstractmethod
    def power(self, base: str, exponent: Formula) -> str: ...

    @abstractmethod
    def entrywise_power(self, base: str, exponent: Formula) -> str: ...

    @abstractmethod
    def matrix_power(self, base: str, exponent: int) -> str: ...

    @abstractmethod
    def transposed(self, text: str) -> str: ...

    @abstractmethod
    def inverse(self, text: str, turned: bool = False) -> str: ...

    @abstractmethod
    def root(self, arg: Formula) -> str: ...

    @abstractmethod
    def norm(self, arg: Formula) -> str: ...

    @abstractmethod
    def call(self, call: Call) -> str: ...

    @abstractmethod
    def relation(self, sign: str) -> str: ...

    @abstractmethod
    def indicator(self, condition: Formula) -> str: ...

    @abstractmethod
    def cases(self, cases: CasesFormula) -> str: ...

    @abstractmethod
    def expected(self, arg: Formula) -> str: ...

    @abstractmethod
    def definition(self, name: str) -> str: ...

    @abstractmethod
    def partial(self, partial: Partial) -> str: ...

    @abstractmethod
    def second_partial(self, partial: SecondPartial) -> str: ...

    @abstractmethod
    def higher_partial(self, partial: HigherPartial) -> str: ...

    @abstractmethod
    def blocks(self, blocks: Blocks) -> str: ...

    @abstractmethod
    def indexed(self, entry: Indexed) -> str: ...

    @abstractmethod
    def index_sum(self, indices: Sequence[str], body: str) -> str: ...
