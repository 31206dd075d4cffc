"""``pullback explore``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def explore(
    port: Annotated[
        int | None, typer.Option(help="Port of 127.0.0.1 (default: the first free from 8150).")
    ] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open a browser.")] = False,
    export: Annotated[
        Path | None, typer.Option(help="Write the playground to this file instead, to send around.")
    ] = None,
) -> None:
    """Open a page on which one picks a network, sees what follows, and watches it train."""
    if export is not None:
        _export(export)
        return
    from pullback.explore.server import serve

    serve(port, not no_open)


def _export(path: Path) -> None:
    from rich.console import Console
    from rich.progress import Progress

    from pullback.explore.export import export

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Deriving programs")
        written = export(path, lambda done, of: progress.update(task, completed=done, total=of))
    size = written.stat().st_size / 1e6
    typer.echo(f"{written}: {size:.2f} MB; open it in a browser, or send it to anybody")
