"""How long a derivative would be: a product has a term for each way to choose factors to derive."""

from __future__ import annotations

from collections.abc import Collection

from pullback.errors import ExpressionError
from pullback.ir import Contract, Node, Rename, walk

MOST_FACTORS = 64  # of a product that is derived: as many terms stand in its gradient
MOST_TERMS = 400  # of a derivative, which are simplified together


def check_length(root: Node, wrt: Collection[Node], order: int) -> None:
    """Raise ExpressionError where a derivative by ``wrt`` has more terms than a person would read.

    >>> from pullback.ir import Axis, Input
    >>> x = Input("x", (Axis("n"),))
    >>> check_length(Contract((x, x), ()), {x}, order=2)
    """
    counts: dict[Node, int] = {}  # the factors of a product that depend on the variables
    for node in walk([root]):
        inside = sum(counts[arg] for arg in node.args)
        counts[node] = inside if isinstance(node, Contract | Rename) else min(inside, 1)
        if node in wrt:
            counts[node] = 1
    most = max(counts.values())
    if most > MOST_FACTORS or most**order > MOST_TERMS:
        raise ExpressionError(
            f"a product of {most} factors has {most**order:,} terms in its derivative of order "
            f"{order}; up to {MOST_FACTORS} factors and {MOST_TERMS} terms are written. Numbers "
            "have no such limit: e.derivative(…) gives them"
        )
