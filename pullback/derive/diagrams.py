"""The equations of a derivation as tensor diagrams, under the names that the formulas have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pullback import diagram
from pullback.derive.formula.text import Text
from pullback.derive.roots import Roots
from pullback.derive.steps.listing import EquationList, Line
from pullback.ir import Input, Parameter, as_printed

if TYPE_CHECKING:
    from pullback.net.network import Network

_POWERS = {"gradient": "", "jacobian": "", "hessian": "²", "second": "²", "third": "³"}


def network_diagram(net: Network, width: int) -> diagram.Diagram:
    """Every equation of a network, forward and back, with all its axes, the batch among them."""
    leaves: tuple[Input | Parameter, ...] = (*net.inputs, *net.parameters.values())
    listing = EquationList.of(net.equations.values(), leaves=leaves)
    write = Text()
    symbols = {node: write(symbol) for node, symbol in listing.notation.symbols.items()}
    roots = [(symbols[each.node], each.node) for each in listing.equations]
    return diagram.diagram_of(roots, f"the equations of {net!r}", symbols, width)


def expression_diagram(
    subject: str, lines: Sequence[Line], program: Roots, width: int
) -> diagram.Diagram:
    """The value and the derivatives of an expression; of the lines, the value's says its name."""
    write = Text()
    names = {name: write(line.left) for line in lines for name in line.names}
    value, roots = names["value"], dict(program.nodes)
    called = {"value": value}
    for kind, several in program.derivatives.items():
        power = _POWERS.get(kind)
        for variables in several:
            key = ".".join((kind, *variables))
            by = "".join(f"∂{name}" for name in variables)
            called[key] = names[key] if power is None else f"∂{power}{value}/{by}"
    printed = as_printed(*roots.values())
    named = [(called[name], node) for name, node in zip(roots, printed, strict=True)]
    return diagram.diagram_of(named, f"the derivatives of {subject}", width=width)
