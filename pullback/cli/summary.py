"""``pullback summary``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pullback.cli import options


def summary(
    network: Annotated[
        Path | None, typer.Argument(help="A file that train --save wrote; or --net, or --layers.")
    ] = None,
    layers: options.Layers = None,
    activation: options.Activation = None,
    net: options.Net = None,
    shape: options.Shape = None,
    json: options.Json = False,
) -> None:
    """Say what each layer does, its output, parameters and multiply-adds."""
    from pullback.cli.answer import print_json
    from pullback.cli.fitting import show
    from pullback.cli.subject import subject
    from pullback.report.summary import summary as summary_of

    found = summary_of(subject(network, layers, activation, net, shape))
    if json:
        print_json(found.to_dict())
    else:
        show(found.text())
