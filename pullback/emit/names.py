"""Names of nodes as identifiers of a programming language: ``gradient.0.weight`` is ``dW0``."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Container
from dataclasses import dataclass

from pullback.ir import Label

# what emitted source calls without importing it
_CALLED = {"abs", "dict", "len", "max", "min", "range", "zip"}
_STEMS = {"weight": "W", "bias": "b"}
_NUMBERED = re.compile(r"([^\W\d]\w*)\.(\d.*)", re.DOTALL)


@dataclass(frozen=True)
class Reserved:
    """Identifiers that an emitter keeps for itself: some words, and all that look like ``shape``.

    >>> "A17" in Reserved(frozenset({"np"}), r"A[0-9]+")
    True
    """

    words: frozenset[str]
    shape: str

    def __contains__(self, name: object) -> bool:
        return name in self.words or re.fullmatch(self.shape, str(name)) is not None


class Names:
    """Gives each name an identifier of its own.

    >>> names, z = Names(), Label("z", "0")
    >>> [names.of(n) for n in ("0.weight", z, z.delta, z.gradient("weight"), "2.block.1.bias")]
    ['W0', 'z0', 'delta0', 'dW0', 'b2_block_1']
    """

    def __init__(self, reserved: Container[str] = frozenset()) -> None:
        self._reserved = reserved
        self._taken = set(keyword.kwlist) | _CALLED

    def of(self, name: Label | str) -> str:
        """A new identifier that reminds of a name."""
        return self.fresh(identifier(name))

    def fresh(self, stem: str) -> str:
        """An identifier that nobody has yet."""
        candidate, count = stem, 1
        while candidate in self._taken or candidate in self._reserved:
            count += 1
            candidate = f"{stem}_{count}"
            if candidate in self._reserved:  # it begins as a reserved one does
                stem, candidate, count = f"v{stem}", f"v{stem}", 1
        self._taken.add(candidate)
        return candidate


def identifier(name: Label | str) -> str:
    """An identifier that reminds of an equation or a parameter, whatever its name is."""
    if isinstance(name, Label) and name.role == "gradient" and not name.text:
        return "d" + identifier(name.place)
    text = str(name)
    if (parameter := Label.of_parameter(text)).part in _STEMS:
        text = _STEMS[parameter.part] + parameter.path
    elif (numbered := _NUMBERED.fullmatch(text)) is not None:
        text = numbered[1] + numbered[2]
    # as Python itself reads identifiers: letters that it takes for the same are the same here
    text = unicodedata.normalize("NFKC", text)
    text = re.sub(r"\W", "_", text)
    return text if text.isidentifier() else f"v{text}"
