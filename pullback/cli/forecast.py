"""``pullback forecast``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pullback.cli import options


def forecast(
    data: Annotated[
        str | None,
        typer.Argument(help="digits, or a file; without it x ~ N(0, 1), classes in turn."),
    ] = None,
    target: options.Target = None,
    header: options.Header = None,
    drop: options.Drop = None,
    keep: options.Keep = None,
    missing: options.Missing = None,
    task: options.Task = None,
    drop_unlabelled: options.DropUnlabelled = False,
    scale: options.Scale = True,
    layers: options.Layers = None,
    activation: options.Activation = None,
    net: options.Net = None,
    shape: options.Shape = None,
    loss: options.Loss = None,
    scheme: Annotated[
        str | None, typer.Option(help="glorot, he, … (default: glorot, or a module's own weights).")
    ] = None,
    draws: Annotated[int, typer.Option(help="Networks drawn by Monte Carlo; 0: none.")] = 0,
    devices: options.Devices = None,
    seed: options.Seed = 0,
    svg: Annotated[Path | None, typer.Option(help="Write δ against depth to this file.")] = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Say how δ is distributed at every layer before training, and which init fixes it."""
    from pullback.cli.answer import print_json, print_notes
    from pullback.cli.fitting import show
    from pullback.cli.output import output, store
    from pullback.cli.work import Wanted, forecastable
    from pullback.errors import whole
    from pullback.files import write_atomically
    from pullback.moments import forecast as forecast_of
    from pullback.moments.answer.record import METHODS
    from pullback.moments.answer.svg import to_svg
    from pullback.net.recipe import scheme_named

    whole("draws", draws, least=0)
    output(svg, data, net)
    chosen = None if scheme is None else scheme_named(scheme)
    wanted = Wanted(
        data or "",
        target,
        header,
        drop,
        0.2,
        scale,
        layers,
        activation,
        net,
        loss,
        None,
        None,
        seed,
        keep,
        missing,
        task,
        drop_unlabelled,
        shape,
    )
    network, own, X, Y, notes = forecastable(wanted)
    methods = METHODS if draws else METHODS[:-1]
    found = forecast_of(
        network, X, Y, chosen or own, methods, max(draws, 1), seed, not quiet, devices=devices
    )
    if svg is not None:
        picture = to_svg(found.plot()).encode()
        store(svg, lambda file: write_atomically(file, picture))
    if json:
        print_json(found.to_dict(), notes)
    else:
        print_notes(notes)
        show(found.text())
