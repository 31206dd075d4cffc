"""A line that says what is being tried, in a terminal or a notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pullback.notebook import can_animate


@contextmanager
def trying(enabled: bool) -> Iterator[Callable[[str], None]]:
    """A function to call with what is tried next."""
    if not enabled:
        yield lambda _: None
        return
    from rich.console import Console

    console = Console(stderr=True)
    if not can_animate(console):
        yield lambda _: None
        return
    with console.status("training as given") as status:
        yield lambda text: status.update(f"trying: {text}")
