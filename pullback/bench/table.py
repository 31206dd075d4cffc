"""A comparison in the terminal: one block a network, one line a task, at most 80 columns."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pullback.bench.record import OURS, BenchmarkRow, Comparison
from pullback.report.words.numbers import count, times

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
    for number, ((network, batch, work), rows) in enumerate(found.grouped().items()):
        each = "a step" if work == "training" else "a call"
        console.print()
        console.print(f"[bold]{escape(network)}[/], {count(batch, 'sample')} {each}")
        console.print(_table(rows, found.others, header=number == 0))
    if found.rows:
        console.print(f"\nThe others: how many times as long as {OURS} they take.\n", style="dim")
    for remark in found.remarks():
        console.print(remark, markup=False)


def _table(rows: list[BenchmarkRow], others: list[str], header: bool) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_header=header)
    table.add_column("", width=16)
    table.add_column(f"{OURS} µs", justify="right", style="#0072B2", width=11)
    for peer in others:
        table.add_column(_SHORT.get(peer, peer), justify="right", width=7)
    for row in rows:
        table.add_row(*_cells(row, others))
    return table


def _cells(row: BenchmarkRow, others: list[str]) -> list[str]:
    ours = row.seconds.get(OURS)
    shown = "" if ours is None else f"{1e6 * ours:,.1f}"
    ratios = [row.ratio(peer) for peer in others]
    name = f"  {row.task.manner}"
    return [name, shown, *("" if each is None else times(each) for each in ratios)]
