"""The derivation of an expression; what a network's needs does not load for it."""

from __future__ import annotations

from collections.abc import Sequence

from pullback.derive.derivation import Derivation
from pullback.derive.roots import Roots
from pullback.derive.steps.expression import ExpressionSteps, Layout
from pullback.net.expression import Expression
from pullback.net.structure import Symmetric


def derive_expression(
    subject: Expression,
    wrt: str | Sequence[str],
    order: int,
    symmetric: Symmetric,
    layout: Layout = "numerator",
) -> Derivation:
    """The steps to its derivatives by some variables.

    Raises ConfigError for an unknown order or convention, UnknownNameError for an unknown layout,
    ExpressionError with a caret for a variable that does not occur, and for a product whose
    derivative is too long to be read.
    """
    found = ExpressionSteps(subject, wrt, order, symmetric, layout)
    roots = Roots(
        subject.node,
        found.derivatives,
        subject.leaves,
        found.directions,
        meetings=subject.meetings,
        measures=subject.measures,
    )
    steps = tuple(found.steps)
    return Derivation(repr(subject), "matrix", found.note, steps, roots, None, subject, symmetric)
