"""What the compiled engine says of a network that it cannot take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pullback.errors import NotApplicableError
from pullback.ir.axis import show

if TYPE_CHECKING:
    from pullback.emit.values import Lowered


def refusal(found: str) -> NotApplicableError:
    """The error that names what was found, and what runs it."""
    return NotApplicableError(
        f"the compiled engine cannot take this network yet, for {found}: "
        "engine='numpy' runs it, and engine='auto' finds that out by itself"
    )


def check_axes(program: Lowered) -> None:
    """Raise it for a program in which more than the number of samples is known only by the data."""
    if len(program.sizes) != 1:
        raise refusal(f"the axes {show(tuple(program.sizes))} have no known length")
    for key, value in program.parameters.items():
        if any(axis.size is None for axis in value.axes):
            raise refusal(f"{key} has the axes {show(value.axes)}")
