"""What a command answers with: what was guessed about the data, and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pullback.cli.fitting import show


def print_notes(notes: Sequence[str]) -> None:
    """What was guessed about the data, a line each."""
    for note in notes:
        show(f"note: {note}")


def print_json(found: dict[str, Any], notes: Sequence[str] = ()) -> None:
    """One JSON object; with what was guessed about the data, where anything was."""
    told = {"notes": list(notes)} if notes else {}
    print(json.dumps({**found, **told}, ensure_ascii=False, indent=2))
