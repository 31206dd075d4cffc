"""``pullback explore``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pullback.cli import options
from pullback.errors import ConfigError


def explore(
    data: Annotated[
        str | None,
        typer.Argument(help="A .csv, .parquet or .npz file to study networks on.", show_default=""),
    ] = None,
    net: options.Net = None,
    target: options.Target = None,
    shape: options.Shape = None,
    port: Annotated[
        int | None, typer.Option(help="Port of 127.0.0.1 (default: the first free from 8150).")
    ] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open a browser.")] = False,
    export: Annotated[
        Path | None, typer.Option(help="Write the playground to this file instead, to send around.")
    ] = None,
) -> None:
    """Open a page on which one picks a network, sees what follows, and watches it train."""
    given = {"net": net, "data": data, "target": target, "shape": shape}
    given = {name: value for name, value in given.items() if value is not None}
    if export is not None:
        if given:
            raise ConfigError(
                "--export writes the playground, whose networks and data are picked in the page; "
                f"leave {', '.join(map(_option, given))} out"
            )
        _export(export)
        return
    from pullback.explore.server import serve

    serve(port, not no_open, _brought(given) if given else None)


def _option(name: str) -> str:
    return "the file with data" if name == "data" else f"--{name}"


def _brought(given: dict[str, Any]) -> dict[str, Any]:
    """The same, once it has been read: what is wrong is said here and not on the page."""
    from pullback.cli.subject import sizes
    from pullback.explore.brought import Brought

    if "net" not in given and "data" not in given:
        raise ConfigError(f"{_option(next(iter(given)))} goes with --net file.py:name or a file")
    if "shape" in given:
        given |= {"shape": tuple(sizes(given["shape"]))}
    Brought(**given).form()
    return given


def _export(path: Path) -> None:
    from rich.console import Console
    from rich.progress import Progress

    from pullback.explore.export import export

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Deriving programs")
        written = export(path, lambda done, of: progress.update(task, completed=done, total=of))
    size = written.stat().st_size / 1e6
    typer.echo(f"{written}: {size:.2f} MB; open it in a browser, or send it to anybody")
