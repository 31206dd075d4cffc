"""``pullback train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pullback.cli import options


def train(
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
    rate: options.Rate = 0.05,
    momentum: options.Momentum = 0.9,
    batch_size: options.Batch = 32,
    seed: options.Seed = 0,
    save: Annotated[
        Path | None, typer.Option(help="Write the network to this .safetensors file.")
    ] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Then say where a step's time goes.")
    ] = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train a network and say how well it does on samples that it has not seen."""
    from pullback.bench.profile import profile_steps
    from pullback.cli.output import output, store
    from pullback.cli.result import print_json, print_notes, print_table, summary
    from pullback.cli.waiting import waiting
    from pullback.cli.work import Wanted, prepare
    from pullback.cli.writing import note, write
    from pullback.train.fit import fit
    from pullback.train.optim import SGD

    output(save, data, net)
    optimizer = SGD(rate, momentum=momentum)
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
    X, Y = work.train
    result = fit(
        work.net,
        X,
        Y,
        params=work.net.init(seed, work.scheme),
        optimizer=optimizer,
        epochs=epochs,
        batch_size=min(batch_size, len(X)),
        validation=work.test,
        seed=seed,
        progress=not quiet,
    )
    if not result.history.get("loss"):
        raise typer.Abort  # interrupted within the first epoch
    found, notes = summary(work, result), work.notes
    if save is not None:
        notes = (*notes, *filter(None, [note(work)]))
        store(save, lambda file: write(file, work, result.params, found))
    steps = None
    if profile:
        rounds = 7
        with waiting(3 + rounds, not quiet) as tell:
            steps = profile_steps(
                work.net, X, Y, result.params, optimizer, batch_size, seed, rounds, tell=tell
            )
    if json:
        profiled = {} if steps is None else {"profile": steps.to_dict()}
        print_json({**work.facts, **found, "history": result.history, **profiled}, notes)
        return
    print_notes(notes)
    print_table(found, work.preprocessing.target.name, save)
    if steps is not None:
        print(f"\n{steps.text()}")
