"""``pullback plan``."""

from __future__ import annotations

from typing import Annotated

import typer

from pullback.cli import options


def plan(
    layers: Annotated[str, typer.Option(help="Widths from input to output: 1000,50,600.")],
    consumer: Annotated[
        str,
        typer.Option(
            help="What is wanted: dense, pair, jvp, vjp, gram, normal, solve, svd, logdet, "
            "diagonal."
        ),
    ] = "dense",
    edges: Annotated[
        str | None,
        typer.Option(help="fma of one product with each factor, if they are programs."),
    ] = None,
    memory: Annotated[
        int | None, typer.Option(help="Bytes that the plan may hold at a time.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Find the cheapest order for a product of Jacobians, beside forward and reverse mode."""
    from pullback.cli.fitting import show
    from pullback.cli.result import print_json
    from pullback.net.recipe import widths_in
    from pullback.plan.chain.planner import plan_chain

    mode = "dense" if edges is None else "matrix_free"
    works = None if edges is None else _numbers("--edges", edges)
    found = plan_chain(widths_in("--layers", layers), works, mode, consumer, memory)
    if json:
        print_json(found.to_dict())
    else:
        show(found.text())


def _numbers(option: str, text: str) -> list[int]:
    from pullback.errors import ConfigError

    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"{option} is {text!r}; expected whole numbers as 1000,50,600") from None
