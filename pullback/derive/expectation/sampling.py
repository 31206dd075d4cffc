"""The same expectations by simulation: draws of the Gaussian tensors, and their standard error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.derive.expectation.law import RandomTensor
from pullback.errors import AxisError
from pullback.ir import Axis, Input, Node
from pullback.ir.build import spread
from pullback.ir.lift import lifted
from pullback.ir.scalar.primitives import Array
from pullback.net.expression import compile_nodes

_DRAW = Axis("draw ")  # no name that a person can give
_NUMBERS = 2_000_000  # drawn at once
SIMULATED = 20_000  # draws of what has neither a closed form nor a quadrature

Draws = Callable[[int], Array]


@dataclass(frozen=True)
class Simulation:
    """A mean over draws: its value, its standard error of the same shape, and how many draws."""

    value: Any
    error: Any
    draws: int

    def __repr__(self) -> str:
        if np.ndim(self.value) == 0:
            return f"{float(self.value):.6g} ± {float(self.error):.2g} ({self.draws:,} draws)"
        return f"{self.value}\n± {self.error} ({self.draws:,} draws)"


def drawing(
    node: Node,
    laws: Mapping[Node, RandomTensor],
    leaves: tuple[Input, ...],
    arrays: Mapping[str, Array],
    shapes: Mapping[str, tuple[int, ...]],
    seed: int,
) -> Draws:
    """A function that gives so many values of a node, on a new first axis, each from new draws."""
    rng = np.random.default_rng(seed)
    fixed = tuple(leaf for leaf in leaves if leaf not in laws)
    try:
        moved = {leaf: Input(law.leaf.name, (_DRAW, *leaf.axes)) for leaf, law in laws.items()}
        (many,) = lifted([node], moved)
        if _DRAW not in many.axes:
            raise AxisError("nothing is drawn")
        compute = compile_nodes((*fixed, *moved.values()), (spread(many, (_DRAW, *node.axes)),))
        at_once = True
    except AxisError:  # an inverse is of one matrix at a time
        compute = compile_nodes((*fixed, *(law.leaf for law in laws.values())), (node,))
        at_once = False

    def draws(count: int) -> Array:
        tensors = {
            law.leaf.name: law.draws(count, arrays, shapes[law.leaf.name], rng)
            for law in laws.values()
        }
        if at_once:
            return compute({**arrays, **tensors})[0]
        rows = ({name: array[at] for name, array in tensors.items()} for at in range(count))
        return np.stack([compute({**arrays, **row})[0] for row in rows])

    return draws


def average_of(draws: Draws, count: int, size: int, order: int, central: bool) -> Simulation:
    """The mean of draws, or their second moments, about the mean or not, with the axes twice."""
    step = max(1, min(count, _NUMBERS // max(size, 1)))
    centre: Any = 0.0
    values = [draws(min(step, count - at)) for at in range(0, count, step)]
    if order == 2 and central:
        centre = sum(each.sum(axis=0) for each in values) / count
    total: Any = 0.0
    squares: Any = 0.0
    shape = values[0].shape[1:]
    for each in values:
        found = each - centre
        if order == 2:
            flat = found.reshape(len(found), -1)
            found = (flat[:, :, None] * flat[:, None, :]).reshape(len(found), *shape, *shape)
        total, squares = total + found.sum(axis=0), squares + (found**2).sum(axis=0)
    mean = total / count
    spread_ = np.maximum(squares / count - mean**2, 0.0)
    if order == 2 and central and count > 1:
        mean = mean * count / (count - 1)
    return Simulation(mean[()], np.sqrt(spread_ / max(count - 1, 1))[()], count)
