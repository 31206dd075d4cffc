"""The neural tangent kernel as one expression, and jax's devices that compute it.

Σ_θ ∂f(x)/∂θ ∂f(x′)/∂θ is a product like any other: which of its factors meet first is decided
where it is computed, and δ ⊗ a is not multiplied out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from pullback.calculus.written_out import free_name
from pullback.errors import NotApplicableError
from pullback.ir import Add, Contract, Input, Node, Rename, simplify, walk
from pullback.ir.lift import lifted
from pullback.net.checks import checked_inputs, checked_parameters, dtype_of
from pullback.net.inputs import BATCH
from pullback.net.modes import one_by_one
from pullback.net.network import Network
from pullback.net.program import Array
from pullback.plan.jacobian.on_devices import slopes
from pullback.train.jax.device_program import DeviceProgram
from pullback.train.jax.placement import Placement


def kernel_on_devices(
    net: Network, params: Mapping[str, Any], X1: Any, X2: Any, placement: Placement
) -> Array:
    """(batch₁·outputs, batch₂·outputs), each device the rows of its part of the first batch."""
    one_by_one(net)
    if not net.trained:
        raise NotApplicableError(
            f"{net.model!r} has no parameters to differentiate with respect to"
        )
    first, second = checked_inputs(net, X1), checked_inputs(net, X2)
    held = checked_parameters(net, params, dtype_of({**first, **second}, params))
    program, called = _program(net, placement)
    counts = [len(next(iter(each.values()))) for each in (first, second)]
    # both batches have one axis, and so one length: the shorter one is filled up
    first, second = (
        {n: _filled(x, max(counts)) for n, x in each.items()} for each in (first, second)
    )
    again = {called[name]: value for name, value in second.items()}
    found = program(held, {**first, **again})["kernel"]
    half = found.ndim // 2
    kernel: Array = found[: counts[0]].take(np.arange(counts[1]), half)
    return kernel.reshape(prod(kernel.shape[:half]), -1)


def kernel_of(net: Network) -> tuple[Node, dict[str, Input]]:
    """The kernel (batch, outputs…, batch, outputs…), and the second batch's inputs by name."""
    again = {name: replace(leaf, name=f"{name}, again") for name, leaf in net.xs.items()}
    instead: dict[Node, Node] = {net.xs[name]: leaf for name, leaf in again.items()}
    each = [slopes(net.output, net.parameters[name]) for name in net.trained]
    taken = {axis for node in walk(each) for axis in node.axes}
    names = tuple((axis, free_name(axis, taken)) for axis in net.output.axes)
    axes = (*net.output.axes, *(other for _, other in names))
    terms = tuple(Contract((J, Rename(lifted((J,), instead)[0], names)), axes) for J in each)
    (kernel,) = simplify(terms[0] if len(terms) == 1 else Add(terms))
    return kernel, again


@lru_cache(maxsize=16)
def _program(net: Network, placement: Placement) -> tuple[DeviceProgram, dict[str, str]]:
    kernel, again = kernel_of(net)
    leaves = (*net.xs.values(), *again.values())
    called = {name: leaf.name for name, leaf in again.items()}
    return DeviceProgram({"kernel": kernel}, leaves, BATCH, placement, called.values()), called


def _filled(x: Array, count: int) -> Array:
    return np.pad(x, [(0, count - len(x)), *[(0, 0)] * (x.ndim - 1)], "edge")
