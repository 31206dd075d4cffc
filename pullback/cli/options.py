"""Options that several commands share: which data, which network, how it is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_DATA, _NETWORK, _TRAINING = "Data", "Network", "Training"
_MACHINES = "Devices and machines"

Data = Annotated[str, typer.Argument(help="digits, or a .csv, .parquet or .npz file.")]
Target = Annotated[
    str | None,
    typer.Option(help="Column to predict (default: the last).", rich_help_panel=_DATA),
]
Header = Annotated[
    bool | None,
    typer.Option(
        "--header/--no-header",
        help="First line of a .csv names the columns (default: it is compared with the rest).",
        rich_help_panel=_DATA,
        show_default=False,
    ),
]
Drop = Annotated[
    list[str] | None,
    typer.Option(help="Column to leave out; may be repeated.", rich_help_panel=_DATA),
]
Keep = Annotated[
    list[str] | None,
    typer.Option(
        help="Column to keep, though it looks like an id; may be repeated.", rich_help_panel=_DATA
    ),
]
Missing = Annotated[
    list[str] | None,
    typer.Option(
        help="Value that means none, beside NA, ? and empty; may be repeated.",
        rich_help_panel=_DATA,
    ),
]
Task = Annotated[
    str | None,
    typer.Option(
        help="classification or regression (default: by the target).", rich_help_panel=_DATA
    ),
]
DropUnlabelled = Annotated[
    bool,
    typer.Option("--drop-unlabelled", help="Leave out rows without target.", rich_help_panel=_DATA),
]
Test = Annotated[
    float, typer.Option(help="Share of the samples held out for testing.", rich_help_panel=_DATA)
]
Scale = Annotated[
    bool,
    typer.Option(help="Columns get mean 0 and deviation 1.", rich_help_panel=_DATA),
]
Layers = Annotated[
    str | None,
    typer.Option(help="Widths from features to outputs: 64,32,10.", rich_help_panel=_NETWORK),
]
Activation = Annotated[
    str | None,
    typer.Option(help="A name, or a formula in x (default: tanh).", rich_help_panel=_NETWORK),
]
Net = Annotated[
    str | None,
    typer.Option(
        help="A .toml file, or file.py:name of a network or torch module.", rich_help_panel=_NETWORK
    ),
]
Shape = Annotated[
    str | None,
    typer.Option(help="Sizes of a sample for a torch module: 1,28,28.", rich_help_panel=_NETWORK),
]
Loss = Annotated[
    str | None,
    typer.Option(help="cross_entropy, … (default: by the data).", rich_help_panel=_NETWORK),
]
L2 = Annotated[
    float | None,
    typer.Option(help="(l2/2) Σ weight² (default: 1e-4).", rich_help_panel=_NETWORK),
]
Init = Annotated[
    str | None,
    typer.Option(help="glorot, he, … (default: by activation).", rich_help_panel=_NETWORK),
]
Epochs = Annotated[
    int, typer.Option(help="Passes over the training data.", rich_help_panel=_TRAINING)
]
Rate = Annotated[
    float | None,
    typer.Option("--lr", help="Learning rate (default: 0.05 for sgd).", rich_help_panel=_TRAINING),
]
Momentum = Annotated[
    float | None,
    typer.Option(help="Momentum, 0 to below 1 (default: 0.9).", rich_help_panel=_TRAINING),
]
Batch = Annotated[
    int, typer.Option("--batch-size", help="Samples in a batch.", rich_help_panel=_TRAINING)
]
Optimizer = Annotated[
    str, typer.Option(help="sgd, adam, adamw, lbfgs, …", rich_help_panel=_TRAINING)
]
Schedule = Annotated[
    str,
    typer.Option(
        help="Learning rate over time: constant, cosine, one_cycle, step, warm_up.",
        rich_help_panel=_TRAINING,
    ),
]
ClipNorm = Annotated[
    float | None,
    typer.Option(help="Shorten longer gradients to this norm.", rich_help_panel=_TRAINING),
]
EarlyStopping = Annotated[
    int | None,
    typer.Option(
        help="Stop after so many epochs without a better validation loss; keep the best.",
        rich_help_panel=_TRAINING,
    ),
]
Validation = Annotated[
    float | None,
    typer.Option(
        help="Share of the training samples to validate on (default: 0.2 with early stopping).",
        rich_help_panel=_TRAINING,
    ),
]
Seed = Annotated[int, typer.Option(help="Random seed.")]
Engine = Annotated[
    str, typer.Option(help="auto, compiled, numpy or jax.", rich_help_panel=_MACHINES)
]
Devices = Annotated[
    int | None,
    typer.Option(help="How many devices of each process jax takes.", rich_help_panel=_MACHINES),
]
Coordinator = Annotated[
    str | None,
    typer.Option(
        help="HOST:PORT of process 0 (default: found under SLURM, Open MPI, Kubernetes).",
        rich_help_panel=_MACHINES,
    ),
]
Processes = Annotated[
    int | None, typer.Option(help="How many train together.", rich_help_panel=_MACHINES)
]
Process = Annotated[
    int | None, typer.Option(help="Which of them this is, from 0.", rich_help_panel=_MACHINES)
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(help="Write the training to this file each epoch.", rich_help_panel=_TRAINING),
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Go on from the checkpoint.", rich_help_panel=_TRAINING),
]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]
