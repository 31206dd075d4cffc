"""The derivation of an expression; what a network's needs does not load for it."""

from __future__ import annotations

from collections.abc import Sequence

from pullback.derive.derivation import Derivation
from pullback.derive.roots import Roots
from pullback.derive.steps.expression import ExpressionSteps, Layout
from pullback.errors import ExpressionError
from pullback.ir import Contract, Node, walk
from pullback.net.expression import Expression
from pullback.net.structure import Symmetric

MOST_FACTORS = 64  # of a product that is derived: as many terms stand in its gradient
MOST_TERMS = 400  # of a derivative, which are simplified together


def derive_expression(
    subject: Expression,
    wrt: str | Sequence[str],
    order: int,
    symmetric: Symmetric,
    layout: Layout = "numerator",
) -> Derivation:
    """The steps to its derivatives by some variables.

    Raises ConfigError for an order or a convention that there is not, UnknownNameError for another
    layout, ExpressionError with a caret for a variable that does not occur, and for a product whose
    derivative is too long to be read.
    """
    _check_length(subject, order)
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


def _check_length(subject: Expression, order: int) -> None:
    """Raise ExpressionError where a product has more factors than a person would read terms of."""
    counts: dict[Node, int] = {}
    for node in walk([subject.node]):
        inside = [counts[arg] if isinstance(arg, Contract) else 1 for arg in node.args]
        counts[node] = sum(inside) if isinstance(node, Contract) else 1
    most = max(counts.values())
    if most > MOST_FACTORS or most**order > MOST_TERMS:
        raise ExpressionError(
            f"a product of {most} factors has {most**order:,} terms in its derivative of order "
            f"{order}; up to {MOST_FACTORS} factors and {MOST_TERMS} terms are written. Numbers "
            "have no such limit: e.derivative(…) gives them"
        )
