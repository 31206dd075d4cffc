"""``Roots``: the nodes of a value and of its derivatives, by what they are taken by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pullback.ir import Input, Node, Parameter
from pullback.ir.pick import Meeting

Leaf = Input | Parameter
Variables = tuple[str, ...]  # one, or the two of a block of the Hessian


@dataclass(frozen=True)
class Roots:
    """What the code computes, and its arguments in order; directions are those of H v.

    ``derivatives`` are kept by their kind and then by the variables that they are taken by. The
    inputs that stand in ``together`` are one argument, as X is of the network's own methods, and
    ``labels`` may be class numbers. ``meetings`` are of slices that tell how long an axis is, and
    ``measures`` constants that say it.
    """

    value: Node | None = None
    derivatives: Mapping[str, Mapping[Variables, Node]] = field(default_factory=dict)
    leaves: tuple[Leaf, ...] = ()
    directions: tuple[Input, ...] = ()
    together: tuple[str, ...] = ()
    labels: str | None = None
    meetings: tuple[Meeting, ...] = ()
    measures: tuple[Node, ...] = ()

    @property
    def nodes(self) -> dict[str, Node]:
        """All of it by name: value, gradient.w, hessian.w.b."""
        found = {} if self.value is None else {"value": self.value}
        for kind, several in self.derivatives.items():
            found |= {".".join((kind, *variables)): node for variables, node in several.items()}
        return found
