"""``plan_memory``: what a step of training takes, and how it keeps below a limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from typing import Any

from pullback.errors import (
    ConfigError,
    ShapeError,
    UnknownNameError,
    require,
    shown,
    unknown,
    whole,
)
from pullback.ir.axis import bind
from pullback.ir.sizes import Sizes
from pullback.net.checks import called, checked_dtype
from pullback.net.limit import as_bytes, bytes_of
from pullback.net.network import Network
from pullback.notebook import can_animate
from pullback.plan.memory.record import MemoryPlan, limits_of, rung

Shape = tuple[int, ...]


def plan_memory(
    net: Network,
    X_shape: Any,
    limit: int | str = "200 MB",
    *,
    dtype: Any = "float64",
    progress: bool = True,
) -> MemoryPlan:
    """What a step of training on X of this shape (batch, …) keeps, and what it computes again.

    ``limit`` is bytes, or a text as "200 MB" or "1.5 GiB"; ``fit`` and ``value_and_grad`` keep
    below it with ``memory=limit``. Of several inputs ``X_shape`` is a dict of shapes by name.
    Elementwise functions and norms are computed again before products are: they are cheap. The
    cheapest order is searched for exactly where that ends, on blocks of about 20 equations
    (Dijkstra's search over what is in memory); otherwise block by block and by rules (Kirisame et
    al., ICLR 2021), which need not be the best. Planning takes seconds; a bar shows how it goes.
    Raises ConfigError for a limit that is none or below the least that a step needs, ShapeError or
    UnknownNameError for a shape that the network does not take.

    >>> import pullback as pb
    >>> net = pb.Network(pb.Sequential(pb.Linear(8, 32), pb.Tanh(), pb.Linear(32, 1)),
    ...                  loss=pb.MSELoss())
    >>> pb.plan_memory(net, (1000, 8)).fits
    True
    """
    require("net", net, Network, "a network such as Network(model, loss)")
    most, held = bytes_of("limit", limit), checked_dtype(dtype)
    given = _given(net, X_shape)
    shapes = _shapes(net, given)
    planner = net.limited_training.planner(shapes, held)
    if most < planner.full.peak and (least := planner.least.peak) > most:
        raise ConfigError(
            f"limit is {as_bytes(most)}; a step on X {_text(given)} needs at least "
            f"{as_bytes(least)} ({least:,} bytes): raise it, or make the batch smaller"
        )
    limits, rungs = limits_of(planner, most), []
    with _bar(len(limits), progress) as advance:
        for each in reversed(limits):  # what is found for one may be the best for a larger one
            if (plan := planner.within(each)) is not None:
                rungs.append(rung(each, plan))
            advance()
    found = planner.within(most)
    assert found is not None
    costs, program = planner.work.costs, planner.work.program
    title = f"A step of training on X {_text(given)} in {held.name}, at most {as_bytes(most)}"
    return MemoryPlan(
        title,
        most,
        sum(map(costs.bytes, program.inputs.values())),
        sum(costs.bytes(program.results[name]) for name in net.trained),
        sum(held.itemsize * prod(spec.shape) for spec in net.specs),
        planner,
        found,
        tuple(reversed(rungs)),
    )


def _given(net: Network, X_shape: Any) -> dict[str, Shape]:
    """The shape of each input by name."""
    if isinstance(X_shape, Mapping):
        for name in X_shape:
            if name not in net.xs:
                raise unknown("input", str(name), net.xs)
        if missing := [name for name in net.xs if name not in X_shape]:
            raise UnknownNameError(f"X_shape lacks the input {missing[0]!r}")
        return {name: _shape(f"X_shape[{name!r}]", X_shape[name]) for name in net.xs}
    if len(net.xs) > 1:
        raise ShapeError(f"X_shape is one shape; this network takes {', '.join(net.xs)}: a dict")
    return {name: _shape("X_shape", X_shape) for name in net.xs}


def _shape(what: str, shape: Any) -> Shape:
    if isinstance(shape, str | bytes) or not hasattr(shape, "__iter__"):
        raise ShapeError(f"{what} is {shown(shape)}; expected whole numbers as (32, 3, 32, 32)")
    return tuple(whole(f"an entry of {what}", n) for n in shape)


def _shapes(net: Network, given: Mapping[str, Shape]) -> dict[str, Shape]:
    """The shape of every leaf of a step."""
    sizes = Sizes()
    for name, shape in given.items():
        sample = net.shapes.get(name, ())
        flat = (*shape[:1], prod(shape[1:])) if sample and shape[1:] == tuple(sample) else shape
        bind(f"{called(net, name)} as X_shape has it", flat, net.xs[name].axes, sizes)
    leaves = {leaf.name: tuple(map(sizes.of, leaf.axes)) for leaf in net.inputs}
    return {**{spec.name: spec.shape for spec in net.specs}, **leaves}


def _text(given: Mapping[str, Shape]) -> str:
    texts = [str(shape) for shape in given.values()]
    return texts[0] if len(texts) == 1 else ", ".join(f"{n} {s}" for n, s in given.items())


@contextmanager
def _bar(total: int, enabled: bool) -> Iterator[Callable[[], None]]:
    """What to call when one more limit has been planned for; a bar in a terminal or notebook."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if not (enabled and can_animate(console)):
        yield lambda: None
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("plans", total=total)
        yield lambda: bar.advance(task)
