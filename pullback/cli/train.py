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
    optimizer: options.Optimizer = "sgd",
    rate: options.Rate = None,
    momentum: options.Momentum = None,
    schedule: options.Schedule = "constant",
    clip_norm: options.ClipNorm = None,
    batch_size: options.Batch = 32,
    validation: options.Validation = None,
    early_stopping: options.EarlyStopping = None,
    checkpoint: options.Checkpoint = None,
    resume: options.Resume = False,
    engine: options.Engine = "auto",
    devices: options.Devices = None,
    coordinator: options.Coordinator = None,
    processes: options.Processes = None,
    process: options.Process = None,
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
    """Train a network and test it on samples that training has not seen.

    With --engine jax the same command on several machines trains one network on all of them.
    Exit code 1 if training diverged.
    """
    from pullback.cli.answer import print_json, print_notes
    from pullback.cli.fitting import show
    from pullback.cli.joined import joined
    from pullback.cli.optimiser import chosen
    from pullback.cli.output import output, store
    from pullback.cli.result import echo, print_table, summary
    from pullback.cli.training import apart, trained
    from pullback.cli.waiting import waiting
    from pullback.cli.work import Wanted, prepare
    from pullback.cli.writing import note, write
    from pullback.errors import ConfigError, whole
    from pullback.report.profile import profile_steps
    from pullback.train.optim import FullBatch, Optimizer

    output(save, data, net)
    whole("epochs", epochs)
    whole("batch_size", batch_size)
    # what makes no sense is refused before any work; the steps are counted later
    rule = chosen(optimizer, rate, momentum, clip_norm, schedule, steps=1000)
    if early_stopping is not None:
        whole("early_stopping", early_stopping)
    if profile and isinstance(rule, FullBatch):
        raise ConfigError(f"--profile times steps, and {optimizer} takes all samples at once")
    first = joined(engine, coordinator, processes, process) == 0  # that one prints and writes
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
    fitted, held = apart(work, validation, early_stopping, seed)
    steps = epochs * -(-len(fitted[0]) // batch_size)
    rule = chosen(optimizer, rate, momentum, clip_norm, schedule, steps)
    told = echo(work, rule, epochs, batch_size)
    if first and not json:
        print_notes(work.notes)
        show("\n".join(f"{name:<11}{value}" for name, value in told.items()))
    result = trained(
        work,
        fitted,
        held,
        rule,
        epochs=epochs,
        batch_size=batch_size,
        early_stopping=early_stopping,
        seed=seed,
        progress=not quiet,
        options=dict(checkpoint=checkpoint, resume=resume, engine=engine, devices=devices),
    )
    if result.interrupted and not result.history.get("loss"):
        raise typer.Abort  # within the first epoch
    if not first:
        raise typer.Exit(1 if result.diverged else 0)
    found, notes = summary(work, result, fitted, held), work.notes
    if save is not None:
        unsaved = tuple(filter(None, [note(work)]))
        notes = (*notes, *unsaved)
        if not json:
            print_notes(unsaved)
        store(save, lambda file: write(file, work, result.params, found))
    profiled = None
    if profile and isinstance(rule, Optimizer):
        rounds = 7
        with waiting(3 + rounds, not quiet) as tell:
            profiled = profile_steps(
                work.net, *fitted, result.params, rule, batch_size, seed, rounds, tell=tell
            )
    if json:
        more = {} if profiled is None else {"profile": profiled.to_dict()}
        everything = {**work.facts, **told, **found, "history": result.history, **more}
        print_json(everything, notes)
    else:
        print_table(found, work.preprocessing.target.name, result.diverged, save)
        if profiled is not None:
            show(f"\n{profiled.text()}")
    raise typer.Exit(1 if result.diverged else 0)
