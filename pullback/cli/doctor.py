"""``pullback doctor``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pullback.cli import options

_TRAINING = "Training"


def doctor(
    model: Annotated[str, typer.Argument(help="file.py:name, a torch module or a Network.")],
    data: options.Data = "digits",
    target: options.Target = None,
    header: options.Header = None,
    drop: options.Drop = None,
    keep: options.Keep = None,
    missing: options.Missing = None,
    task: options.Task = None,
    drop_unlabelled: options.DropUnlabelled = False,
    loss: Annotated[
        str | None,
        typer.Option(
            help="MSELoss, cross_entropy, … (default: the file's loss, or by the data).",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(
            help="SGD, Adam, … (default: the file's optimizer, or Adam).",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option("--lr", help="Learning rate, for --optimizer.", rich_help_panel=_TRAINING),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(help="Passes over the data (default: 20 or more).", rich_help_panel=_TRAINING),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(help="Samples in a batch (default: 32).", rich_help_panel=_TRAINING),
    ] = None,
    seconds: Annotated[
        float, typer.Option(help="Processor time for training at most.", rich_help_panel=_TRAINING)
    ] = 6.0,
    seed: options.Seed = 0,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Say why a torch module does not learn, with fixes that were tried in training.

    The file may define loss, optimizer, batch_size and epochs too. Data are taken
    unscaled. Exit code 1 if there is something to fix.
    """
    from pullback.cli.answer import print_json, print_notes
    from pullback.cli.consulted import consulted
    from pullback.cli.fitting import show
    from pullback.doctor.front import diagnose
    from pullback.doctor.source import Origin, Written

    asked: dict[str, Any] = dict(
        loss=loss, optimizer=optimizer, rate=rate, epochs=epochs, batch_size=batch_size
    )
    unlabelled = "drop" if drop_unlabelled else "refuse"
    table: dict[str, Any] = dict(target=target, header=header, task=task, unlabelled=unlabelled)
    table |= dict(drop=drop or (), keep=keep or (), missing=missing or ())
    given, notes = consulted(model, data, table, asked)
    file, _, name = model.rpartition(":")
    names = {each: Origin(file, each) for each in ("loss", "optimizer", "batch_size", "epochs")}
    written = Written({**names, "module": Origin(file, name)})
    found = diagnose(**given, seconds=seconds, seed=seed, progress=not quiet, written=written)
    if json:
        print_json(found.to_dict(), notes)
    else:
        print_notes(notes)
        show(found.text())
    raise typer.Exit(0 if found.healthy else 1)
