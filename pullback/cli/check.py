"""``pullback check``."""

from __future__ import annotations

from typing import Annotated

import typer

from pullback.cli import options


def check(
    data: options.Data = "digits",
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
    loss: options.Loss = None,
    l2: options.L2 = None,
    init: options.Init = None,
    seed: options.Seed = 0,
    samples: Annotated[int, typer.Option(help="Number of samples to check on.")] = 32,
    tolerance: Annotated[float, typer.Option(help="Largest relative error allowed.")] = 1e-6,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Compare the gradient that runs with complex steps; exit code 1 unless it is right."""
    from pullback.cli.answer import print_json, print_notes
    from pullback.cli.fitting import show
    from pullback.cli.gradient import check_each
    from pullback.cli.work import Wanted, prepare
    from pullback.errors import positive, whole

    whole("samples", samples)
    positive("tolerance", tolerance)
    wanted = Wanted(
        data,
        target,
        header,
        drop,
        0.2,
        scale,
        layers,
        activation,
        net,
        loss,
        l2,
        init,
        seed,
        keep,
        missing,
        task,
        drop_unlabelled,
    )
    work = prepare(wanted)
    X, Y = work.train
    params = work.start(seed)
    found = check_each(work.net, params, X[:samples], Y[:samples], tolerance, seed, not quiet)
    if json:
        print_json(found.to_dict(), work.notes)
    else:
        print_notes(work.notes)
        show(found.text())
    raise typer.Exit(0 if found.ok else 1)
