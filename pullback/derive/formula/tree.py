"""The formula tree: what stands on the page, before a target (LaTeX, text) writes it down.

Formulas know nothing of nodes or axes. They are frozen and compared by value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Literal

Colour = Literal["forward", "backward", "parameter", "data", "loss", "plain"]


@dataclass(frozen=True)
class Formula:
    """Something that can be written down."""

    @cached_property  # a formula is compared with others again and again
    def parts(self) -> tuple[Formula, ...]:
        """The formulas that stand directly inside this one."""
        inside: list[Formula] = []
        for field in fields(self):
            value = getattr(self, field.name)
            for each in value if isinstance(value, tuple) else (value,):
                inside += [each] if isinstance(each, Formula) else []
        return tuple(inside)


@dataclass(frozen=True)
class Number(Formula):
    """A number that is not negative; a minus is a formula of its own."""

    value: int | float


@dataclass(frozen=True)
class Symbol(Formula):
    """A letter or word with an index, as W₁.

    ``colour`` says what kind of quantity it is and ``key`` which; ``place`` is where it first
    appears in the program, and orders sums and products. ``sides`` are what goes down and what goes
    across, where that is known: "" is neither.
    """

    letter: str
    index: str | Symbol = ""
    primes: int = 0
    colour: Colour = "plain"
    key: str = ""
    place: int = 0
    sides: tuple[str, str] | None = None
    symmetric: bool = False
    diagonal: bool = False


@dataclass(frozen=True)
class Ones(Formula):
    """The column of ones, which sums or repeats."""


@dataclass(frozen=True)
class Negative(Formula):
    arg: Formula


@dataclass(frozen=True)
class Sum(Formula):
    terms: tuple[Formula, ...]


@dataclass(frozen=True)
class ScaledFormula(Formula):
    """Scalars in front of a body, or their product alone; the order of scalars is free."""

    scalars: tuple[Formula, ...]
    body: Formula | None = None


@dataclass(frozen=True)
class ProductFormula(Formula):
    """A matrix product; the order is fixed."""

    factors: tuple[Formula, ...]


@dataclass(frozen=True)
class Hadamard(Formula):
    """The elementwise product ⊙."""

    factors: tuple[Formula, ...]


@dataclass(frozen=True)
class Quotient(Formula):
    """Elementwise, or of scalars."""

    over: Formula
    under: Formula


@dataclass(frozen=True)
class Power(Formula):
    """Elementwise, or of a scalar; ``marked`` where X³ beside X X X would leave it open."""

    base: Formula
    exponent: Formula
    marked: bool = False


@dataclass(frozen=True)
class MatrixPower(Formula):
    """A square matrix times itself, X³ for X X X; the inverse of that below 0."""

    base: Formula
    exponent: int


@dataclass(frozen=True)
class Root(Formula):
    """The square root, elementwise."""

    arg: Formula


@dataclass(frozen=True)
class Transpose(Formula):
    arg: Formula


@dataclass(frozen=True)
class InverseFormula(Formula):
    """The inverse of a matrix."""

    arg: Formula


@dataclass(frozen=True)
class Norm(Formula):
    """The root of the sum of all squares."""

    arg: Formula


@dataclass(frozen=True)
class Call(Formula):
    """A function by its name among the primitives or by a name of its own; ``over`` is an index."""

    function: str
    args: tuple[Formula, ...]
    over: str = ""


@dataclass(frozen=True)
class AppliedFormula(Formula):
    """A function that is a symbol itself, as f₂(a₁) or f′(z)."""

    function: Formula
    args: tuple[Formula, ...]


@dataclass(frozen=True)
class Composition(Formula):
    """f ∘ g."""

    functions: tuple[Formula, ...]


@dataclass(frozen=True)
class Kronecker(Formula):
    """The Kronecker product A ⊗ B."""

    left: Formula
    right: Formula


@dataclass(frozen=True)
class Correlation(Formula):
    """The correlation W ⋆ X: the kernel on the left goes over what is on the right."""

    left: Formula
    right: Formula


@dataclass(frozen=True)
class Blocks(Formula):
    """Blocks in one bracket: beside one another, or one above another."""

    blocks: tuple[Formula, ...]
    stacked: bool = False


@dataclass(frozen=True)
class Relation(Formula):
    left: Formula
    sign: str
    right: Formula


@dataclass(frozen=True)
class Indicator(Formula):
    """1 where the condition holds, else 0."""

    condition: Formula


@dataclass(frozen=True)
class CasesFormula(Formula):
    """Values with their conditions; the last has none."""

    branches: tuple[tuple[Formula, Formula | None], ...]

    @property
    def parts(self) -> tuple[Formula, ...]:
        return tuple(part for branch in self.branches for part in branch if part is not None)


@dataclass(frozen=True)
class ExpectedValue(Formula):
    """E of something random; ``sides`` are what goes down and across in it, where that is known."""

    arg: Formula
    sides: tuple[str, str] | None = None


@dataclass(frozen=True)
class Definition(Formula):
    """A new name on its left side: let R = …"""

    name: Formula


@dataclass(frozen=True)
class Partial(Formula):
    """∂of/∂by."""

    of: Formula
    by: Formula
    key: str = ""


@dataclass(frozen=True)
class SecondPartial(Formula):
    """∂²of/∂first ∂second."""

    of: Formula
    first: Formula
    second: Formula


@dataclass(frozen=True)
class HigherPartial(Formula):
    """∂ⁿof/∂… of the order that the number of variables is."""

    of: Formula
    by: tuple[Formula, ...]


@dataclass(frozen=True)
class Indexed(Formula):
    """One entry of a tensor; ``raised`` puts the index of its symbol, the layer, above.

    An index is a letter, or a formula of letters; an entry outside the tensor is 0.
    """

    symbol: Formula
    indices: tuple[str | Formula, ...]
    raised: bool = False


@dataclass(frozen=True)
class IndexSum(Formula):
    """Σ over some indices."""

    indices: tuple[str, ...]
    body: Formula


def walk(formula: Formula) -> Iterator[Formula]:
    """The formula and everything inside it."""
    waiting = [formula]
    while waiting:
        yield (found := waiting.pop())
        waiting += reversed(found.parts)


def placed(formula: Formula, letter: str, index: Formula) -> Formula:
    """The formula with an index in the place of a free letter."""

    def part(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(part, value))
        return placed(value, letter, index) if isinstance(value, Formula) else value

    if formula == Symbol(letter):
        return index
    changes = {field.name: part(getattr(formula, field.name)) for field in fields(formula)}
    if isinstance(formula, Indexed):
        changes["indices"] = tuple(index if i == letter else part(i) for i in formula.indices)
    return replace(formula, **changes)


def bound_letters(formula: Formula) -> set[str]:
    """The letters that a Σ or a function over an index inside a formula has for itself."""
    sums = (part.indices for part in walk(formula) if isinstance(part, IndexSum))
    calls = {part.over for part in walk(formula) if isinstance(part, Call) and part.over}
    return calls.union(*sums)


def free_letters(formula: Formula) -> set[str]:
    """The letters of indices that a formula has from outside."""
    own = {formula.letter} if isinstance(formula, Symbol) and not formula.key else set()
    found = own.union(*map(free_letters, formula.parts))
    match formula:
        case Indexed(indices=indices):
            return found | {each for each in indices if isinstance(each, str)}
        case IndexSum(indices=indices):
            return found - {*indices}
        case Call(function, over=over) if function in _REDUCING:
            return found - {over}
    return found


_REDUCING = {"max", "argmax", "logsumexp"}
