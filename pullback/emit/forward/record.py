"""What compiled forward passes take: enough to call them without the equations they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

# the function of a tuple of Python's, and those of (worker, workers, rows, table)
CALL, RUN, SCORE = "pullback_predict", "pullback_forward", "pullback_scores"


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
        return cls(*_names(data), tuple(map(int, data["outputs"])), *_numbers(data))


@dataclass(frozen=True)
class Scoring:
    """The same of a loss, for which each block sums up so many numbers, ``sums``."""

    inputs: tuple[str, ...]
    parameters: tuple[str, ...]
    sums: int
    room: int
    block: int
    work: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Scoring:
        """The record of ``to_dict``; raises KeyError, TypeError or ValueError for anything else."""
        return cls(*_names(data), int(data["sums"]), *_numbers(data))


def _names(data: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    inputs, parameters = (tuple(map(str, data[key])) for key in ("inputs", "parameters"))
    return inputs, parameters


def _numbers(data: Mapping[str, Any]) -> tuple[int, int, int]:
    room, block, work = (int(data[key]) for key in ("room", "block", "work"))
    return room, block, work
