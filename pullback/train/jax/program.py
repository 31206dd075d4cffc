"""A step of training as one function of jax: the emitted programs, and the state they change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from math import prod
from typing import Any

from pullback.interop.extras import library
from pullback.net.inputs import BATCH
from pullback.net.network import Network
from pullback.train.jax.gradient import emitted, taught
from pullback.train.jax.placement import Placement
from pullback.train.metrics import right
from pullback.train.optim import Optimizer, equations

Shapes = tuple[tuple[str, tuple[int, ...]], ...]  # of all parameters, by name
Function = Callable[..., Any]


@lru_cache(maxsize=16)
def training_step(
    net: Network, optimizer: Optimizer, shapes: Shapes, placement: Placement, half: bool
) -> Function:
    """step(state, batch, rows, rate, number): the next state, the loss, and the places got right.

    ``state`` holds the trained weights as a vector, the optimiser's slots, all other parameters,
    and whether every loss so far was finite: after one that was not, nothing changes any more.
    ``rows`` are the samples of the batch that are none of its padding, or None for all of them.
    """
    jax = library("jax", "jax")
    trained = {name: shape for name, shape in shapes if name in net.trained}
    forward_and_back = taught(net, trained, placement, half)
    _, update = emitted("update", equations(replace(optimizer, learning_rate=1.0)))

    def step(state: Any, batch: Any, rows: Any, rate: Any, number: Any) -> Any:
        vector, others = state["vector"], state["others"]
        batch = batch if rows is None else picked(net, batch, rows)
        values, slope = forward_and_back({**others, **unravelled(vector, trained)}, batch)
        slope = jax.numpy.pad(slope, (0, vector.size - slope.size))
        slots = {name: state["slots"][name] for name in optimizer.slots}
        rule = {"weight": vector, "gradient": slope, "rate": rate, "step": number, **slots}
        new = update({}, rule)
        going = state["going"] & jax.numpy.isfinite(values["loss"])
        next_state = {
            "vector": new["weight"],
            "slots": {name: new[name] for name in slots},
            "others": others | {name: values[key] for name, key in net.update_keys.items()},
        }
        held = {key: state[key] for key in next_state}
        chosen = jax.tree.map(lambda a, b: jax.numpy.where(going, a, b), next_state, held)
        return (
            {**_placed(chosen, placement), "going": going},
            values["loss"],
            hits(net, values["output"], batch, going),
        )

    return jax.jit(step, donate_argnums=0)  # type: ignore[no-any-return]


@lru_cache(maxsize=16)
def scoring(net: Network, shapes: Shapes) -> Function:
    """score(state, batch): the loss of a batch, and how many places it gets right."""
    jax = library("jax", "jax")
    _, forward = emitted("scoring", {"output": net.output, "loss": net.total}, net.inputs)
    trained = {name: shape for name, shape in shapes if name in net.trained}

    def score(state: Any, batch: Any) -> Any:
        values = forward({**state["others"], **unravelled(state["vector"], trained)}, batch)
        return values["loss"], hits(net, values["output"], batch, True)

    return jax.jit(score)  # type: ignore[no-any-return]


def unravelled(vector: Any, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """The parameters that a vector holds one after another."""
    found, at = {}, 0
    for name, shape in shapes.items():
        found[name] = vector[at : at + prod(shape)].reshape(shape)
        at += prod(shape)
    return found


def picked(net: Network, batch: Mapping[str, Any], rows: Any) -> dict[str, Any]:
    """The batch without the samples that only fill it up."""
    axes = {leaf.name: leaf.axes for leaf in net.inputs}
    return {
        name: array.take(rows, axis=axes[name].index(BATCH)) if BATCH in axes[name] else array
        for name, array in batch.items()
    }


def hits(net: Network, output: Any, batch: Mapping[str, Any], going: Any) -> Any:
    """How many places are classified right, none of those that weigh nothing."""
    if not net.criterion.is_scored:
        return 0
    found = right(net.criterion, output, batch["target"])
    if "sample_weight" in batch:
        weight = batch["sample_weight"]
        found = found & (weight > 0).reshape(weight.shape + (1,) * (found.ndim - 1))
    return (found & going).sum()


def _placed(state: Mapping[str, Any], placement: Placement) -> dict[str, Any]:
    """The state where it lies between two steps."""
    jax = library("jax", "jax")

    def held(tree: Any, sharding: Any) -> Any:
        return jax.lax.with_sharding_constraint(tree, sharding) if tree else tree

    return {
        "vector": jax.lax.with_sharding_constraint(state["vector"], placement.vectors),
        "slots": held(state["slots"], placement.vectors),
        "others": held(state["others"], placement.whole),
    }
