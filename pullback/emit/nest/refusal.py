"""What the compiled engine says of a network that it cannot take."""

from __future__ import annotations

from pullback.errors import NotApplicableError


def refusal(found: str) -> NotApplicableError:
    """The error that names what was found, and what runs it."""
    return NotApplicableError(
        f"the compiled engine cannot take this network yet, for {found}: "
        "engine='numpy' runs it, and engine='auto' finds that out by itself"
    )
