"""Bytes that somebody else wrote: what is looked at before they are believed."""

from pullback.foreign.guard import reading, regular_file
from pullback.foreign.memory import available_memory, room_for

__all__ = ["available_memory", "reading", "regular_file", "room_for"]
