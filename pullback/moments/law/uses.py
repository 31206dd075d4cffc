"""How often each weight is used, and along which of its axes."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from pullback.errors import NotApplicableError
from pullback.ir import Axis, Named, Node, Parameter
from pullback.ir.linear import LinearTerm
from pullback.ir.source import bare


@dataclass(frozen=True)
class WeightUse:
    """What of a weight's axes an equation sums over, and which of its rows it takes."""

    summed: frozenset[Axis]
    rows: frozenset[Node]


Uses = Mapping[str, Sequence[WeightUse]]


def uses_of(
    terms: Mapping[Named, tuple[LinearTerm, ...] | None], fixed: Container[str]
) -> dict[str, list[WeightUse]]:
    """The uses of each weight that is drawn, one for each equation."""
    found: dict[str, list[WeightUse]] = {}
    for equation, several in terms.items():
        here: dict[str, WeightUse] = {}
        for term in several or ():
            for node in term.parameters:
                leaf = bare(node)
                if isinstance(leaf, Parameter) and leaf.name not in fixed:
                    pairs = zip(leaf.axes, node.axes, strict=True)
                    gone = frozenset(old for old, new in pairs if new not in equation.axes)
                    rows = frozenset(p for p in term.given if {*p.axes} & {*node.axes})
                    here[leaf.name] = WeightUse(gone if term.read else frozenset(), rows)
        for name, use in here.items():
            found.setdefault(name, []).append(use)
    return found


def several(uses: Uses) -> list[str]:
    """The weights of which the same rows are used more than once."""
    return [name for name, each in uses.items() if len(each) > len({use.rows for use in each})]


def check_not_transposed(uses: Uses) -> None:
    """Raises NotApplicableError where a weight and its transpose are both used."""
    for name, each in uses.items():
        if len({use.summed for use in each if use.summed}) > 1:
            raise NotApplicableError(f"{name} is used as it is and transposed")
