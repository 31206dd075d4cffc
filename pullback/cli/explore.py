"""``pullback explore``."""

from __future__ import annotations

from typing import Annotated

import typer


def explore(
    port: Annotated[
        int | None, typer.Option(help="Port of 127.0.0.1 (default: the first free from 8150).")
    ] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open a browser.")] = False,
) -> None:
    """Open a page on which one picks a network, sees what follows, and watches it train."""
    from pullback.explore.server import serve

    serve(port, not no_open)
