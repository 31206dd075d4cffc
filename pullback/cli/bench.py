"""``pullback bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pullback.cli import options


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="The three smaller, by SGD.")] = False,
    only: Annotated[
        str | None, typer.Option(help="One network by its widths: 784,128,64,10.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Samples in a batch (default: by the network).")
    ] = None,
    peers: Annotated[
        str | None,
        typer.Option(help="floor, pullback, torch, torch.compile, jax.jit, jax.scan, sklearn."),
    ] = None,
    activations: Annotated[str, typer.Option(help="relu, tanh.")] = "relu,tanh",
    optimizers: Annotated[str | None, typer.Option(help="sgd, momentum, adam.")] = None,
    rounds: Annotated[int, typer.Option(help="How often each peer is timed.")] = 9,
    threads: Annotated[
        int | None, typer.Option(help="Threads of each peer (default: all processors).")
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="A table with a row a network, for a text.")
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Write the numbers to this file, too.")] = None,
    quiet: options.Quiet = False,
) -> None:
    """Time training steps beside torch, jax and scikit-learn, and beside the products alone."""
    import json as as_json
    from contextlib import suppress

    from pullback.bench.benchmark import Benchmark
    from pullback.bench.peers import PEERS
    from pullback.bench.table import show
    from pullback.bench.task import ACTIVATIONS, OPTIMIZERS
    from pullback.cli.output import output, store
    from pullback.cli.waiting import waiting
    from pullback.errors import whole
    from pullback.files import write_atomically
    from pullback.machine.threads import processors

    whole("rounds", rounds)
    count = processors() if threads is None else whole("threads", threads)
    chosen = _chosen("peer", peers, PEERS)
    acts = _chosen("activation", activations, ACTIVATIONS)
    rules = _chosen("optimizer", optimizers or ("sgd" if quick else None), OPTIMIZERS)
    tasks = _tasks(quick, only, batch_size, acts, rules)
    output(json)
    with Benchmark(chosen, rounds, count) as benchmark:
        # after Ctrl-C what was measured so far is shown
        with waiting(benchmark.steps(len(tasks)), not quiet) as tell, suppress(KeyboardInterrupt):
            benchmark.run(tasks, tell)
        found = benchmark.found
    if json is not None:
        text = as_json.dumps(found.to_dict(), ensure_ascii=False, indent=1) + "\n"
        store(json, lambda file: write_atomically(file, text.encode()))
    if markdown:
        print(found.markdown())
    else:
        show(found)
    raise typer.Exit(0 if found.complete else 130)


def _chosen(kind: str, text: str | None, known: Any) -> tuple[str, ...]:
    """Names that are given with commas between them, or all."""
    from pullback.errors import unknown

    names = tuple(known) if text is None else tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in known:
            raise unknown(kind, name, known)
    return names


def _tasks(
    quick: bool,
    only: str | None,
    batch_size: int | None,
    activations: tuple[str, ...],
    optimizers: tuple[str, ...],
) -> list[Any]:
    from pullback.bench.task import CASES, TrainingTask
    from pullback.errors import whole
    from pullback.net.recipe import widths_in

    cases = list(CASES[:3] if quick else CASES)
    if only is not None:
        widths = tuple(widths_in("--only", only))
        cases = [case for case in CASES if case[0] == widths] or [(widths, 64)]
    if batch_size is not None:
        size = whole("batch_size", batch_size)
        cases = [(widths, size) for widths, _ in cases]
    return [
        TrainingTask(widths, batch, activation, optimizer)
        for widths, batch in cases
        for activation in activations
        for optimizer in optimizers
    ]
