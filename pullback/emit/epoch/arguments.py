"""What a compiled epoch takes: enough to call it without the equations that it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["real", "whole"]
Size = int | str  # a number, or the name of an argument


@dataclass(frozen=True)
class Argument:
    """An argument of ``run``: an array of this shape, or a number where the shape is None."""

    name: str
    kind: Kind
    shape: tuple[Size, ...] | None = None

    @property
    def given(self) -> str:
        """The name under which it comes: an array comes by its address."""
        return self.name if self.shape is None else f"{self.name}_at"

    def as_array(self) -> str:
        """The line that makes an array of the address."""
        assert self.shape is not None
        sizes = f"{self.shape[0]}," if len(self.shape) == 1 else ", ".join(map(str, self.shape))
        return f"{self.name} = carray({self.given}, ({sizes}))"

    def c_type(self, dtype: str) -> str:
        """Its type for C where the weights have this dtype.

        >>> Argument("vector", "real", (10,)).c_type("float32")
        'float32*'
        """
        if self.shape is None:
            return "int64" if self.kind == "whole" else "float64"
        return "int64*" if self.kind == "whole" else f"{dtype}*"


@dataclass(frozen=True)
class Epoch:
    """The source of ``run``, what it takes, and the functions of mathematics that it needs."""

    source: str
    arguments: tuple[Argument, ...]
    slots: tuple[str, ...]  # of the optimiser
    parameters: Mapping[str, tuple[str, str]]  # what each and its gradient are called
    data: tuple[str, ...]  # the inputs of which each batch takes its rows
    functions: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Epoch:
        """The record of ``to_dict``; raises KeyError, TypeError or ValueError for anything else."""
        return cls(
            str(data["source"]),
            tuple(
                Argument(a["name"], a["kind"], None if a["shape"] is None else tuple(a["shape"]))
                for a in data["arguments"]
            ),
            tuple(data["slots"]),
            {key: (names[0], names[1]) for key, names in data["parameters"].items()},
            tuple(data["data"]),
            tuple(data["functions"]),
        )
