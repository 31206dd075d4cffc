"""``pullback plan``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pullback.cli import options


def plan(
    layers: Annotated[
        str | None, typer.Option(help="Widths from input to output: 1000,50,600.")
    ] = None,
    net: options.Net = None,
    shape: options.Shape = None,
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
    from pullback.cli.answer import print_json
    from pullback.cli.fitting import show
    from pullback.errors import ConfigError
    from pullback.net.recipe import widths_in
    from pullback.plan.chain.planner import plan_chain

    if (layers is None) == (net is None):
        raise ConfigError("give either --layers 1000,50,600 or --net file.py:name")
    mode = "dense" if edges is None else "matrix_free"
    works = None if edges is None else _numbers("--edges", edges)
    if net is None:
        found = plan_chain(widths_in("--layers", layers or ""), works, mode, consumer, memory)
    elif edges is not None or memory is not None:
        raise ConfigError("--edges and --memory go with --layers; a network has its own factors")
    else:
        found = _of_network(net, shape, consumer)
    if json:
        print_json(found.to_dict())
    else:
        show(found.text())


def _of_network(net: str, shape: str | None, consumer: str) -> Any:
    """The plan of a network's Jacobian at one x ~ N(0, 1); it depends on shapes alone."""
    import numpy as np

    from pullback.cli.subject import subject
    from pullback.plan.jacobian.front import jacobian

    network = subject(None, None, None, net, shape)
    x = np.random.default_rng(0).standard_normal([axis.size or 1 for axis in network.x.axes[1:]])
    return jacobian(network, network.init(seed=0), x).plan(consumer)


def _numbers(option: str, text: str) -> list[int]:
    from pullback.errors import ConfigError

    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"{option} is {text!r}; expected whole numbers as 1000,50,600") from None
