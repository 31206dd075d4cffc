"""Options that several commands share: which data, which network, how it is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

_DATA, _NETWORK, _TRAINING = "Data", "Network", "Training"

Data = Annotated[
    str, typer.Argument(help="digits, or a file that ends in .npz, .csv or .parquet.")
]
Target = Annotated[
    Optional[str],  # noqa: UP045  typer reads it
    typer.Option(help="The column to predict; the last one by default.", rich_help_panel=_DATA),
]
