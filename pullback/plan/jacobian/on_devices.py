"""Jacobians multiplied out by jax, each device for its part of the samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from pullback.calculus import pushforward
from pullback.calculus.written_out import written_out
from pullback.ir import Axes, Input, Node, Parameter, simplify
from pullback.ir.build import spread
from pullback.net.inputs import BATCH
from pullback.net.program import Array
from pullback.train.jax.device_program import DeviceProgram
from pullback.train.jax.placement import Placement


def on_devices(
    output: Node,
    wrt: Sequence[Input | Parameter],
    inputs: Sequence[Input],
    held: Mapping[str, Array],
    batch: Mapping[str, Array],
    placement: Placement,
) -> tuple[Array, Array]:
    """The output, and its Jacobian (batch, outputs, entries of all that it is with respect to)."""
    found = _program(output, (*wrt,), (*inputs,), placement)(held, batch)
    out = found.pop("output")
    rows = (len(out), int(np.prod(out.shape[1:])))
    return out, np.concatenate([each.reshape(*rows, -1) for each in found.values()], axis=2)


def slopes(output: Node, leaf: Input | Parameter) -> Node:
    """∂output/∂leaf of each sample: the output's axes, then the leaf's own, under other names."""
    each: Axes = (BATCH,) if BATCH in leaf.axes else ()
    tangent = Input("\0tangent", leaf.axes)
    whole, inner = written_out(pushforward(output, {leaf: tangent}), tangent, each)
    return simplify(spread(whole, (*output.axes, *(prime for _, prime in inner))))[0]


@lru_cache(maxsize=16)
def _program(
    output: Node,
    wrt: tuple[Input | Parameter, ...],
    inputs: tuple[Input, ...],
    placement: Placement,
) -> DeviceProgram:
    roots = {f"by {leaf.name}": slopes(output, leaf) for leaf in wrt}
    return DeviceProgram({**roots, "output": spread(output, output.axes)}, inputs, BATCH, placement)
