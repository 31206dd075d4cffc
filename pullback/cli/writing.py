"""What ``train --save`` writes: the network with its preprocessing, or its parameters alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pullback.cli.work import Work
from pullback.errors import ConfigError
from pullback.nn.plain import to_plain
from pullback.train import checkpoint
from pullback.train.saved import save


def note(work: Work) -> str:
    """What is to be said where a file cannot hold the network."""
    try:
        to_plain(work.net.model)
        to_plain(work.net.criterion)
    except ConfigError:
        return "the network has code of its own: the file holds its parameters alone"
    return ""


def write(file: Path, work: Work, params: Any, facts: dict[str, Any]) -> None:
    """The file; raises StorageError where it cannot be written."""
    facts = {**work.facts, **facts}
    if note(work):
        checkpoint.save(file, params, **facts)
        return
    del facts["preprocessing"]
    save(file, work.net, params, work.preprocessing, **facts)
