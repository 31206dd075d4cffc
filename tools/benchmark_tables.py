"""A stored benchmark as a table in Markdown: verdict, microseconds, machine, who is left out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def table(path: Path) -> str:
    """The table of what `pullback bench --json` wrote; or how to write it, where nothing is."""
    if not path.is_file():
        name = f"docs/benchmarks/{path.name}"
        return f"*Not measured yet: `pullback bench --json {name}` writes the numbers.*"
    found = json.loads(path.read_text(encoding="utf-8"))
    peers = list(dict.fromkeys(peer for row in found["rows"] for peer in row["microseconds"]))
    lines = [
        f"| {' | '.join(['network', 'batch', '', *peers])} |",
        "|---|---:|---|" + "---:|" * len(peers),
        *(f"| {' | '.join(_cells(row, peers))} |" for row in found["rows"]),
    ]
    about = (
        f"Microseconds a step, or a call that predicts; medians of {found['rounds']}. "
        f"Machine: {found['machine']}."
    )
    if not found["complete"]:
        about += " Stopped before the end."
    absent = [
        f"{each['peer']}{' on ' + each['where'] if each['where'] else ''} is left out: "
        f"{each['reason']}."
        for each in found["absent"]
    ]
    return "\n\n".join([f"**{found['verdict']}**", "\n".join(lines), about, *absent])


def _cells(row: Mapping[str, Any], peers: list[str]) -> list[str]:
    seconds = row["microseconds"]
    fastest = min((each for peer, each in seconds.items() if peer != "floor"), default=None)
    return [
        row["network"],
        str(row["batch"]),
        row["manner"],
        *(_shown(seconds.get(peer), seconds.get(peer) == fastest) for peer in peers),
    ]


def _shown(microseconds: float | None, fastest: bool) -> str:
    if microseconds is None:
        return "–"
    text = f"{microseconds:.3g}" if microseconds < 100 else f"{microseconds:,.0f}"
    return f"**{text}**" if fastest else text
