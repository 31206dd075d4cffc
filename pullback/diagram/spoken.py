"""A diagram in words, for whoever cannot see it: every product with its indices."""

from __future__ import annotations

from collections.abc import Sequence

from pullback.diagram.tensor_network import DiagramLine, TensorNetwork
from pullback.ir import Axes, Axis


def spoken(lines: Sequence[DiagramLine]) -> str:
    """Each line as an equation between entries.

    >>> from pullback.diagram import diagram_of
    >>> from pullback.ir import Contract, Input
    >>> i, j = Axis("i"), Axis("j")
    >>> A, x = Input("A", (i, j)), Input("x", (j,))
    >>> spoken(diagram_of([("y", Contract((A, x), (i,)))], "A x").lines)
    'y[i] = sum over j of x[j] A[i, j]'
    """
    return "; ".join(map(_line, lines))


def _line(line: DiagramLine) -> str:
    left = _entry(line.name or "result", [axis.name for axis in line.axes])
    terms = [_term(term, line.axes) for term in line.terms] or ["0"]
    return f"{left} = {' + '.join(terms)}".replace("+ −", "− ")


def _term(term: TensorNetwork, axes: Axes) -> str:
    names, taken = dict[int, str](), {axis.name for axis in axes}
    same = []
    for at, wire in enumerate(term.wires):
        if wire.free:
            first, *others = (axes[place].name for place in wire.free)
            names[at] = first
            same += [f"[{first} = {other}]" for other in others]
            continue
        axis: Axis = wire.axis
        while axis.name in taken:
            axis = axis.primed
        names[at] = axis.name
        taken.add(axis.name)
    legs = {end: names[at] for at, wire in enumerate(term.wires) for end in wire.ends}
    summed = [names[at] for at, wire in enumerate(term.wires) if not wire.free]
    factors = [
        _entry(tensor.label, [legs[at, leg] for leg in range(len(tensor.legs))])
        for at, tensor in enumerate(term.tensors)
    ]
    size = abs(term.coefficient)
    told = [*([f"{size:.12g}"] if size != 1 or not (factors or same) else []), *factors, *same]
    over = f"sum over {', '.join(summed)} of " if summed else ""
    return f"{'−' if term.coefficient < 0 else ''}{over}{' '.join(told) or '1'}"


def _entry(name: str, indices: Sequence[str]) -> str:
    return f"{name}[{', '.join(indices)}]" if indices else name
