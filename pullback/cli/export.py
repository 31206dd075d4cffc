"""``pullback export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pullback.cli import options

_ENDINGS = {"onnx": ".onnx", "torch": ".pt2"}


def export(
    network: Annotated[Path, typer.Argument(help="A file that train --save wrote.")],
    to: Annotated[str, typer.Option(help="onnx or torch.")] = "onnx",
    out: Annotated[
        Path | None, typer.Option(help="The file (default: beside it, as .onnx or .pt2).")
    ] = None,
    json: options.Json = False,
) -> None:
    """Write a saved network for ONNX or torch, with its scaling and the target's units inside."""
    from pullback.cli.answer import print_json
    from pullback.cli.fitting import show
    from pullback.cli.output import output, store
    from pullback.errors import unknown
    from pullback.files import write_atomically
    from pullback.interop.written import onnx_bytes, torch_bytes
    from pullback.train.deployed import deployed
    from pullback.train.saved import load

    if to not in _ENDINGS:
        raise unknown("format", to, _ENDINGS)
    target = network.with_suffix(_ENDINGS[to]) if out is None else out
    output(target, network)
    saved = load(network)
    net, params, gives = deployed(saved)
    made = saved.preprocessing
    features = [] if made is None else list(made.features)
    facts = {} if made is None else {"features": features, "preprocessing": made.to_dict()}
    write = onnx_bytes if to == "onnx" else torch_bytes
    content = write(net, params, {**facts, "output": gives})
    store(target, lambda file: write_atomically(file, content))
    if json:
        print_json({"file": str(target), "features": features, "output": gives})
        return
    takes = f"{len(features)} features: {', '.join(features[:8])}" if features else "x"
    show(f"{target}: takes {takes}{', …' if features[8:] else ''}; gives {gives}")
    if made is not None and made.columns and len(features) != len(made.columns):
        show("categories and dates come as features; the file's metadata say how they are made")
