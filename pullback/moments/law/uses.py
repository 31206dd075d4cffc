"""How often each weight is used, and along which of its axes."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from pullback.errors import NotApplicableError
from pullback.ir import Axis, Named, Node, Parameter
from pullback.ir.linear import LinearTerm
from pullback.ir.source import bare, sources


@dataclass(frozen=True)
class WeightUse:
    """What of a weight's axes an equation sums over, and which of its rows it takes."""

    equation: Named
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
                    here[leaf.name] = WeightUse(equation, gone if term.read else frozenset(), rows)
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


def check_not_repeated(uses: Uses, equations: Sequence[Named]) -> None:
    """Raises NotApplicableError where a weight meets itself, and its uses are not as good as new.

    Ways through the network that use it equally often add up, as at the skips of layers that share
    weights; without such, its powers leave the limit from about √n uses on, at n units. A loop that
    is one equation has a law: the two-time recursion. Source: Bar et al. 2025 (√n).
    """
    for name in several(uses):
        widths = [prod(axis.size or 1 for axis in use.summed) for use in uses[name] if use.summed]
        if not widths:
            continue
        times = _in_turn(name, {use.equation for use in uses[name]}, equations)
        if times > 1 and times**2 > max(widths):
            raise NotApplicableError(
                f"{name} is used {times} times in turn at a width of {max(widths)}: uses are as "
                f"good as new up to about {int(max(widths) ** 0.5)} times"
            )


def _in_turn(name: str, here: Container[Node], equations: Sequence[Named]) -> int:
    """How often a way to the output uses a weight, at most.

    Raises NotApplicableError where two ways from one equation use it equally often.
    """
    ways: dict[Node, dict[int, tuple[Named, ...]]] = {}  # from each node: by how often, which uses
    for equation in reversed(equations):
        own = (equation,) if equation in here else ()
        behind = ways.get(equation, {0: ()})
        for node in sources(equation.arg):
            found = ways.setdefault(node, {})
            for count, used in behind.items():
                new = (*own, *used)
                if found.setdefault(count + len(own), new) != new and isinstance(node, Named):
                    raise NotApplicableError(
                        f"ways behind {node.name} use {name} equally often and add up"
                    )
    return max((count for found in ways.values() for count in found), default=0)
