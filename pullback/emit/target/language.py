"""What the array libraries have in common: how one is written, and what a function computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pullback.emit.expression.scalar import Language
from pullback.emit.values import Lowered


@dataclass(frozen=True, kw_only=True)
class ArrayLanguage(Language):
    """An array library: its imports, and how it reduces and turns an array a over places o."""

    module: str
    imports: tuple[str, ...]
    axis: str  # the keyword of an axis
    max_over: str
    logsumexp: str
    permute: str
    cast: str  # an array a to the type d
    pad: str
    # adds g to z at the places i, or at f of its last axes from the k-th on as one
    add_at: str
    adds_in_place: bool = True
    pads_from_last: bool = False  # does it take the last axis's padding first, in one tuple?


@dataclass(frozen=True)
class Task:
    """One function to emit: what it computes and how it is called.

    ``value`` is the result that is given back alone, ``keys`` names the entries of the dict that
    comes back with it, each with its result. ``comments`` stand behind the lines that compute
    an equation, by the identifier.
    """

    name: str
    doc: str
    program: Lowered
    keys: Mapping[str, str]
    value: str | None = None
    comments: Mapping[str, str] = field(default_factory=dict)

    @property
    def arguments(self) -> str:
        """The arguments of the function: params first if there are parameters."""
        first = ["params"] if self.program.parameters else []
        return ", ".join([*first, *(value.name for value in self.program.inputs.values())])
