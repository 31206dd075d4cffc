"""Emitted source, run in a namespace of its own."""

from __future__ import annotations

from typing import Any


def run(source: str) -> dict[str, Any]:
    """The names that the source defines."""
    namespace: dict[str, Any] = {"__name__": "emitted"}
    exec(compile(source, "<emitted>", "exec"), namespace)  # noqa: S102  that is what is tested
    return namespace
