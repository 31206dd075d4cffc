"""``pullback report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pullback.cli import options


def report(
    context: typer.Context,
    data: options.Data = "digits",
    target: options.Target = None,
    header: options.Header = None,
    drop: options.Drop = None,
    keep: options.Keep = None,
    missing: options.Missing = None,
    task: options.Task = None,
    drop_unlabelled: options.DropUnlabelled = False,
    test: options.Test = 0.2,
    scale: options.Scale = True,
    layers: options.Layers = None,
    activation: options.Activation = None,
    net: options.Net = None,
    loss: options.Loss = None,
    l2: options.L2 = None,
    init: options.Init = None,
    epochs: options.Epochs = 30,
    rate: options.Rate = None,
    momentum: options.Momentum = None,
    batch_size: options.Batch = 32,
    seed: options.Seed = 0,
    out: Annotated[Path, typer.Option(help="Where the page goes.")] = Path("report.html"),
    title: Annotated[str | None, typer.Option(help="Page title.")] = None,
    quiet: options.Quiet = False,
) -> None:
    """Train a network and tell its whole story on one HTML page that works offline.

    Exit code 1 if training diverged.
    """
    from pullback.cli.again import command
    from pullback.cli.answer import print_notes
    from pullback.cli.fitting import show
    from pullback.cli.optimiser import chosen
    from pullback.cli.output import output, store
    from pullback.cli.work import Wanted, prepare
    from pullback.report.page import write
    from pullback.report.sections.story import TrainingPlan, gather
    from pullback.report.words.verdicts import headline
    from pullback.train.optim import Optimizer

    output(out, data, net)
    optimizer = chosen("sgd", rate, momentum)
    assert isinstance(optimizer, Optimizer)
    wanted = Wanted(
        data,
        target,
        header,
        drop,
        test,
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
    schedule = TrainingPlan(
        epochs, optimizer, batch_size, work.scheme, seed, not quiet, work.weights
    )
    story = gather(
        work.net,
        *work.train,
        schedule,
        test=work.test,
        classes=work.classes or None,
        image_shape=work.image_shape,
        features=work.features,
    )
    store(out, lambda file: write(story, file, title, command(context)))
    print_notes(work.notes)
    show(headline(story))
    show(f"{out}: {out.stat().st_size / 1e6:.1f} MB; open it in a browser")
    raise typer.Exit(1 if story.diverged else 0)
