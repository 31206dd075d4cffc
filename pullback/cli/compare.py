"""``pullback compare``."""

from __future__ import annotations

from typing import Annotated

import typer

from pullback.cli import options


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(help="Saved networks, two or more; with commas: seeds of one run."),
    ],
    on: Annotated[
        str | None,
        typer.Option(help="File with the target, on whose rows all are scored, side by side."),
    ] = None,
    header: options.Header = None,
    json: options.Json = False,
) -> None:
    """Say which of several trained networks is better, with intervals; or that it cannot be told.

    Without --on each run needs two seeds or more, and their test scores are compared.
    """
    from pullback.cli.answer import print_json
    from pullback.cli.fitting import show
    from pullback.train.comparison import compared

    found = compared([each.split(",") for each in runs], on, header)
    if json:
        print_json(found.to_dict())
    else:
        show(found.text())
