"""What an array library calls what every one of them has."""

from __future__ import annotations

from dataclasses import dataclass

from pullback.emit.expression.scalar import Language


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
    at: str = "a[p]"  # the entries of an array a at places p
    added: str  # what is added to an array z at places p, in place or
    adds_in_place: bool = True  # as a new array
    held: str = "a"  # an array that is not differentiated
    traced: str = ""  # is an array a a placeholder, whose numbers are not known?
    pads_from_last: bool = False  # does it take the last axis's padding first, in one tuple?
