"""The gradient check with a bar that says how far it is."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from pullback.laws import GradientCheck
from pullback.net.network import Network, Parameters
from pullback.train.check import check


def check_each(
    net: Network, params: Parameters, X: Any, Y: Any, tolerance: float, seed: int, progress: bool
) -> GradientCheck:
    """What ``pb.check`` finds, with a progress bar on stderr if that is a terminal."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("checking {task.description}"),
        BarColumn(bar_width=None),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not (progress and console.is_terminal),
    )
    with bar:
        task = bar.add_task("", total=len(params))

        def before(name: str) -> None:
            bar.update(task, description=name, completed=list(params).index(name))

        return check(net, params, X, Y, tolerance, seed, before=before)
