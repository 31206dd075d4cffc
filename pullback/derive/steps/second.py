"""The Hessian of a network times a direction: the change of every equation along it.

Pearlmutter, Fast Exact Multiplication by the Hessian, Neural Computation 6 (1994).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from pullback.calculus import linearise
from pullback.calculus.sweep import moved_terms
from pullback.derive.formula.alphabet import DOT
from pullback.derive.formula.tree import Formula, Partial, Symbol
from pullback.derive.program import DerivedProgram
from pullback.ir import Add, Constant, Input, Named, Node, Parameter, as_printed, simplify, walk


@dataclass(frozen=True)
class Changes:
    """The change of each equation, by its name, when the parameters move along directions."""

    directions: dict[Node, Input]
    of: dict[Named, Named]

    @property
    def products(self) -> dict[str, Named]:
        """H v by the name of the parameter."""
        return {
            named.label.place: change
            for named, change in self.of.items()
            if named.role == "gradient"
        }


def hessian_vector_products(
    gradients: Mapping[str, Named],
    parameters: Mapping[str, Parameter],
    form: Callable[..., tuple[Node, ...]] = simplify,
) -> Changes:
    """The changes of the gradients and of whatever they are computed from, in a normal form."""
    directions: dict[Node, Input] = {
        p: Input(f"v_{name.replace('.', '_')}", p.axes) for name, p in parameters.items()
    }
    return Changes(directions, _changes(gradients.values(), directions, form))


def _changes(
    roots: Iterable[Named],
    directions: Mapping[Node, Input],
    form: Callable[..., tuple[Node, ...]],
) -> dict[Named, Named]:
    """One forward sweep; the change of an equation is an equation."""
    targets = tuple(roots)
    change: dict[Node, Node] = {**directions}
    named: list[Named] = []
    for node in walk(targets):
        parts = () if node in change else tuple(moved_terms(linearise(node), change))
        if node in change or (not parts and node not in targets):
            continue
        total: Node = Constant(0.0, node.axes) if not parts else parts[0]
        total = Add(parts) if len(parts) > 1 else total
        if isinstance(node, Named):
            total = Named(f"change.{node.name}", total, node.role)
            named.append(node)
        change[node] = total
    found = form(*named, *(change[node] for node in named))[len(named) :]
    return {
        node: each if isinstance(each, Named) else Named(f"change.{node.name}", each, node.role)
        for node, each in zip(named, found, strict=True)
    }


def hessian_lines(program: DerivedProgram) -> tuple[list[tuple[Named, Named]], dict[Node, Formula]]:
    """Each equation of a program with its change, in order, and the symbols with a dot."""
    gradients = {each.node.label.place: each.node for each in program.role("gradient")}
    leaves = {n.name: n for n in walk(gradients.values()) if isinstance(n, Parameter)}
    parameters = {name: leaves[name] for name in gradients if name in leaves}
    changes = hessian_vector_products(gradients, parameters, as_printed)
    known = program.notation.symbols
    symbols: dict[Node, Formula] = {}
    for parameter, direction in changes.directions.items():
        symbols[direction] = _dotted(known[parameter])
    in_order = [each.node for each in program.equations if each.node in changes.of]
    for node in in_order:
        symbols[changes.of[node]] = _dotted(known[node])
    return [(node, changes.of[node]) for node in in_order], symbols


def _dotted(symbol: Formula) -> Symbol:
    """ż for z; of a gradient it is H v at that parameter."""
    if isinstance(symbol, Partial):
        assert isinstance(symbol.by, Symbol)
        plain = replace(symbol.by, colour="plain", key="", place=0)
        return Symbol("(H v)", plain, colour="backward")
    assert isinstance(symbol, Symbol)
    return replace(symbol, letter=symbol.letter + DOT, key=f"change.{symbol.key}")
