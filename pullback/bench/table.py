"""A comparison in the terminal: one block a network, one line a task, at most 80 columns."""

from __future__ import annotations

from itertools import groupby

from rich.console import Console, ConsoleRenderable, Group
from rich.table import Table

from pullback.bench.record import OURS, Comparison, Row
from pullback.report.numbers import times

WIDTH = 80
_SHORT = {"torch.compile": "compile", "jax.jit": "jit", "jax.scan": "scan"}


def show(found: Comparison, console: Console | None = None) -> None:
    """Print the verdict, the table, and the remarks."""
    console = console or Console(highlight=False)
    console = Console(
        file=console.file, width=min(console.width, WIDTH), highlight=False, soft_wrap=False
    )
    console.print(found.verdict(), style="bold")
    console.print(f"{found.machine}; medians of {found.rounds}", style="dim")
    if found.rows:
        console.print(_table(found))
    for remark in found.remarks():
        console.print(remark, markup=False)


def _table(found: Comparison) -> ConsoleRenderable:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    table.add_column(f"{OURS} µs", justify="right", style="#0072B2")
    for peer in found.others:
        table.add_column(_SHORT.get(peer, peer), justify="right")
    for (network, batch), rows in groupby(found.rows, lambda r: (r.task.network, r.task.batch)):
        table.add_section()
        table.add_row(f"[bold]{network}[/], {batch} samples")
        for row in rows:
            table.add_row(*_cells(row, found.others))
    explained = f"The others: how many times as long as {OURS} a step takes."
    return Group("", table, "", explained)


def _cells(row: Row, others: list[str]) -> list[str]:
    ours = row.seconds.get(OURS)
    shown = "" if ours is None else f"{1e6 * ours:,.1f}"
    ratios = [row.ratio(peer) for peer in others]
    name = f"  {row.task.activation}, {row.task.optimizer}"
    return [name, shown, *("" if each is None else times(each) for each in ratios)]
