"""The gradient check, parameter by parameter, so that a bar can say how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from pullback.ir.evaluate import evaluate
from pullback.laws import GradientCheck, gradient_check
from pullback.run.checks import checked_data
from pullback.run.network import Network, Parameters


def check_each(
    net: Network, params: Parameters, X: Any, Y: Any, tolerance: float, seed: int, progress: bool
) -> GradientCheck:
    """What ``pb.check`` finds, with a progress bar on stderr if that is a terminal."""
    x, target = checked_data(net, np.asarray(X).astype(np.float64), Y)
    _, grads = net.value_and_grad(params, x, target)

    def loss(at: Mapping[str, Any]) -> Any:
        return evaluate(net.total, {**params, **at, "x": x, "target": target})[()]

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("checking {task.description}"),
        BarColumn(bar_width=None),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not (progress and console.is_terminal),
    )
    parts: list[GradientCheck] = []
    with bar:
        task = bar.add_task("", total=len(params))
        for name, value in params.items():
            bar.update(task, description=name)
            part = gradient_check(
                loss, {name: grads[name]}, {name: value}, tolerance=tolerance, seed=seed
            )
            parts.append(part)
            bar.advance(task)
    errors = {name: error for part in parts for name, error in part.errors.items()}
    worst = max((part.worst for part in parts), key=lambda each: each.error)
    return GradientCheck(parts[0].method, tolerance, errors, worst)
