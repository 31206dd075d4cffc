"""What a compiled forward pass takes: enough to call it without the equations it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

# the function of a tuple of Python's, and that of (worker, workers, rows, table)
CALL, RUN = "pullback_predict", "pullback_forward"


@dataclass(frozen=True)
class Forward:
    """The arrays that it takes, in this order, behind the output with the sizes ``outputs``.

    A worker works in ``room`` numbers, on ``block`` samples at once, each of which is some ``work``
    multiplications.
    """

    inputs: tuple[str, ...]
    parameters: tuple[str, ...]
    outputs: tuple[int, ...]
    room: int
    block: int
    work: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Forward:
        """The record of ``to_dict``; raises KeyError, TypeError or ValueError for anything else."""
        inputs, parameters = (tuple(map(str, data[key])) for key in ("inputs", "parameters"))
        outputs = tuple(map(int, data["outputs"]))
        room, block, work = (int(data[key]) for key in ("room", "block", "work"))
        return cls(inputs, parameters, outputs, room, block, work)
