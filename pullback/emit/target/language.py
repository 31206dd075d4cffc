"""What the array libraries have in common: how one is written, and what a function computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pullback.emit.expression.scalar import Language
from pullback.emit.values import Lowered

TOGETHER = "inputs"  # the argument that holds several inputs


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
    whole: str  # the type of whole numbers
    pad: str
    argmax: str
    triangle: str  # the places of the upper triangle among those of a square of n rows
    # adds g to z at the places i, or at f of its last axes from the k-th on as one
    add_at: str
    put_at: str = ""  # the same at the places q of the first axes, where that is written otherwise
    adds_in_place: bool = True
    matmul: str = "a @ b"
    einsum: str = ""  # of the subscripts p; empty is the module's own
    scan: str = ""  # the function that repeats another, where there is no loop
    at: str = "a[p]"  # the entries of an array a at places p
    held: str = "a"  # an array that is not differentiated
    traced: str = ""  # is an array a a placeholder, whose numbers are not known?
    pads_from_last: bool = False  # does it take the last axis's padding first, in one tuple?


@dataclass(frozen=True)
class Task:
    """One function to emit: what it computes and how it is called.

    ``value`` is the result that is given back alone, ``keys`` names the entries of the dict that
    comes back with it, each with its result. ``comments`` stand behind the lines that compute
    an equation, by the identifier. Those of the inputs whose keys stand in ``together`` come as one
    argument, a tuple in this order or a dict by key. The input ``labels`` holds rows, one for each
    class, and may come as class numbers.
    """

    name: str
    doc: str
    program: Lowered
    keys: Mapping[str, str]
    value: str | None = None
    comments: Mapping[str, str] = field(default_factory=dict)
    together: tuple[str, ...] = ()
    labels: str | None = None

    @property
    def arguments(self) -> str:
        """The arguments of the function: params first if there are parameters."""
        first = ["params"] if self.program.parameters else []
        first += [TOGETHER] if self.together else []
        inputs = self.program.inputs.items()
        return ", ".join([*first, *(v.name for key, v in inputs if key not in self.together)])

    @property
    def apart(self) -> list[str]:
        """The line that takes inputs that come as one argument apart."""
        if not self.together:
            return []
        names = ", ".join(self.program.inputs[key].name for key in self.together)
        by_key = f"[{TOGETHER}[key] for key in {list(self.together)!r}]"
        return [f"{names} = {by_key} if isinstance({TOGETHER}, dict) else {TOGETHER}"]
