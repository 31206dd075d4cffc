"""``pullback bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pullback.cli import options


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="The three smaller, by SGD.")] = False,
    only: Annotated[
        str | None,
        typer.Option(help="One network: 784,128,64,10, or lenet, resnet8, transformer, gru."),
    ] = None,
    net: options.Net = None,
    shape: options.Shape = None,
    work: Annotated[
        str | None,
        typer.Option(help="training, predicting (default: both; of one network, training)."),
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
    repeat: Annotated[
        int,
        typer.Option(help="Run it all again until no median moves by 3 %, at most so often."),
    ] = 1,
    threads: Annotated[
        str | None,
        typer.Option(help="Threads of each peer; 'best': one or all (default: all processors)."),
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="A table with a row a network, for a text.")
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Write the numbers to this file, too.")] = None,
    quiet: options.Quiet = False,
) -> None:
    """Time training steps and predictions beside torch, jax and scikit-learn."""
    import json as as_json
    from contextlib import suppress

    from pullback.bench.benchmark import Benchmark
    from pullback.bench.peers import PEERS
    from pullback.bench.table import show
    from pullback.bench.task import ACTIVATIONS, OPTIMIZERS, WORKS
    from pullback.cli.output import output, store
    from pullback.cli.waiting import waiting
    from pullback.errors import whole
    from pullback.files import write_atomically

    whole("rounds", rounds)
    whole("repeat", repeat)
    counts = _threads(threads)
    chosen = _chosen("peer", peers, PEERS)
    acts = _chosen("activation", activations, ACTIVATIONS)
    rules = _chosen("optimizer", optimizers or ("sgd" if quick else None), OPTIMIZERS)
    everything = not (quick or only or net)
    works = _chosen("work", work or (None if everything else "training"), WORKS)
    tasks = _tasks(quick, only, net, shape, batch_size, works, acts, rules)
    output(json)
    with Benchmark(chosen, rounds, counts) as benchmark:
        # after Ctrl-C what was measured so far is shown
        steps = repeat * benchmark.steps(len(tasks))
        with waiting(steps, not quiet) as tell, suppress(KeyboardInterrupt):
            if repeat > 1:
                benchmark.run_until_settled(tasks, repeat, tell)
            else:
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


def _threads(text: str | None) -> list[int]:
    """The numbers of threads that each peer is tried with."""
    from pullback.errors import whole
    from pullback.machine.threads import processors

    if text is None:
        return [processors()]
    if text == "best":
        return sorted({1, processors()})
    return [whole("threads", int(text) if text.lstrip("-").isdigit() else text)]


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
    named: str | None,
    net: str | None,
    shape: str | None,
    batch_size: int | None,
    works: tuple[str, ...],
    activations: tuple[str, ...],
    optimizers: tuple[str, ...],
) -> list[Any]:
    from pullback.bench.choice import given, only, usual
    from pullback.cli.subject import sizes
    from pullback.errors import ConfigError, whole

    batch = None if batch_size is None else whole("batch_size", batch_size)
    if named is not None and net is not None:
        raise ConfigError("give either --only, one of the usual networks, or --net, your own")
    if net is not None:
        sample = None if shape is None else tuple(sizes(shape))
        return given(net, sample, batch, works, optimizers)
    if named is not None:
        return only(named, batch, works, activations, optimizers)
    tasks = usual(works, activations, optimizers, quick)
    return tasks if batch is None else [task.resized(batch) for task in tasks]
