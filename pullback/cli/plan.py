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
        str | None,
        typer.Option(
            help="Bytes at a time, as 200MB: of the plan, or, for a network, of a step of training."
        ),
    ] = None,
    batch: Annotated[
        int, typer.Option(help="Samples of a step of training, where --memory limits it.")
    ] = 32,
    json: options.Json = False,
) -> None:
    """Find the cheapest order for a product of Jacobians, beside forward and reverse mode.

    With --net and --memory: what a step of training keeps, and what it computes again.
    """
    from pullback.cli.answer import print_json
    from pullback.cli.fitting import show
    from pullback.errors import ConfigError
    from pullback.net.limit import bytes_of
    from pullback.net.recipe import widths_in
    from pullback.plan.chain.planner import plan_chain

    if (layers is None) == (net is None):
        raise ConfigError("give either --layers 1000,50,600 or --net file.py:name")
    mode = "dense" if edges is None else "matrix_free"
    works = None if edges is None else _numbers("--edges", edges)
    limit = None if memory is None else bytes_of("--memory", memory)
    if net is None:
        found = plan_chain(widths_in("--layers", layers or ""), works, mode, consumer, limit)
    elif edges is not None:
        raise ConfigError("--edges goes with --layers; a network has its own factors")
    elif limit is not None:
        found = _memory_of(net, shape, batch, limit)
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


def _memory_of(net: str, shape: str | None, batch: int, limit: int) -> Any:
    """The plan of a step of training in float32."""
    from pullback.cli.subject import subject
    from pullback.plan.memory.front import plan_memory

    network = subject(None, None, None, net, shape)
    sizes = {n: (batch, *(a.size or 1 for a in x.axes[1:])) for n, x in network.xs.items()}
    return plan_memory(network, sizes, limit, dtype="float32")


def _numbers(option: str, text: str) -> list[int]:
    from pullback.errors import ConfigError

    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"{option} is {text!r}; expected whole numbers as 1000,50,600") from None
