"""The variables of an expression on the page: their symbols, and lengths by the names of axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pullback.derive.formula.entries import IndexForm
from pullback.derive.formula.forms import MatrixForm
from pullback.derive.formula.symbols import letter_and_index
from pullback.derive.formula.tree import Formula, Symbol
from pullback.derive.steps.equations import natural
from pullback.ir import Axes, Axis, Input, Node
from pullback.net.expression import Expression


class VariableMatrices(MatrixForm):
    """Matrix form in which an axis without a size is as long as its name says."""

    def size(self, axis: Axis) -> Formula:
        if axis.size is not None:
            return super().size(axis)
        return Symbol(axis.unprimed.name, sides=("", ""))


class VariableEntries(IndexForm):
    """Index form whose letters are the axes' own names where they are letters."""

    def within(self, axes: Axes, letters: Mapping[Axis, str] | None = None) -> IndexForm:
        own = dict(self.letters if letters is None else letters)
        taken = {*own.values(), *self.letters.values()}
        rest = []
        for axis in axes:
            own_name = len(axis.unprimed.name) == 1 and axis in (
                axis.unprimed,
                axis.unprimed.primed,
            )
            if own_name and axis.name not in taken:
                own[axis] = axis.name
                taken.add(axis.name)
            else:
                rest.append(axis)
        more = super().within(tuple(rest), own).letters
        return VariableEntries(self.symbols, self.batch, more, self.dropped, self.raised)

    def size(self, axis: Axis) -> Formula:
        """|n| is how long n is; n alone is an index here."""
        return super().size(axis) if axis.size is not None else Symbol(f"|{axis.name}|")


def variable_symbols(
    expression: Expression, wrt: Sequence[Input], value: Symbol, first: Sequence[Input] = ()
) -> dict[Node, Formula]:
    """Each variable by its own name; beta_1 is β₁.

    Their places are those of the alphabet, behind the ones that come ``first``: in whatever order
    they are declared, the same is printed.
    """
    taken = {(value.letter, "")}
    found: dict[Node, Formula] = {}
    for place, leaf in enumerate(sorted(expression.leaves, key=lambda leaf: _order(leaf, first))):
        letter, index = letter_and_index(leaf.name)
        primes = 0
        while (letter + "′" * primes, index) in taken:
            primes += 1
        taken.add((letter + "′" * primes, index))
        found[leaf] = Symbol(
            letter,
            index,
            primes,
            colour="parameter" if leaf in wrt else "data",
            key=leaf.name,
            place=place,
            sides=sides_of(leaf.axes),
            symmetric=expression.structure(leaf.name) in ("sym", "diag"),
            diagonal=expression.structure(leaf.name) == "diag",
        )
    return found


def _order(leaf: Input, first: Sequence[Input]) -> tuple[object, ...]:
    """A before a before B, and x2 before x10."""
    return leaf not in first, natural(leaf.name.casefold()), leaf.name


def sides_of(axes: Axes) -> tuple[str, str] | None:
    """What goes down and what goes across in a variable, if no more than that."""
    if len(axes) > 2:
        return None
    down, across, *_ = (*(axis.unprimed.name for axis in axes), "", "")
    return down, across
