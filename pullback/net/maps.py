"""Linear maps with numbers in them at one sample: applied by their structure, place by place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from pullback.calculus import LinearMap, Routes
from pullback.ir import Axes, Input, Node, Parameter
from pullback.ir.sizes import Sizes
from pullback.net.inputs import free
from pullback.net.program import Arrays, Compiled, compile_program

Array = np.ndarray[Any, np.dtype[Any]]
Values = Mapping[Node, tuple[Array, Axes]]  # by tensor, with the axes along which it lies

_BY_BLAS = 2**14  # so many products are worth a call of the matrix product


@dataclass(frozen=True, eq=False)
class MapProgram:
    """One program for the tensors of some linear maps, and for other nodes beside them."""

    compiled: Compiled
    tensors: Mapping[Node, str]  # by what they are called in the program, where it computes them

    @classmethod
    def of(
        cls,
        maps: Iterable[LinearMap],
        beside: Mapping[str, Node],
        title: str,
        leaves: Sequence[Input | Parameter] = (),
    ) -> MapProgram:
        """The program; every map has to have a tensor."""
        held = dict.fromkeys(link.tensor for link in maps if link.tensor is not None)
        tensors = {tensor: f"tensor.{at}" for at, tensor in enumerate(held)}
        roots = {**beside, **{key: tensor for tensor, key in tensors.items()}}
        return cls(compile_program(roots, title, leaves=leaves), tensors)

    def __call__(self, params: Arrays, inputs: Arrays) -> tuple[dict[str, Array], Values]:
        """Everything by its key, and the tensors without the axis of the one sample."""
        found = self.compiled(params, inputs)
        return found, {each: one(found[key], each.axes) for each, key in self.tensors.items()}


def one(value: Array, axes: Axes) -> tuple[Array, Axes]:
    """A value of one sample without the axis of the samples."""
    kept = free(axes)
    lost = tuple(at for at, axis in enumerate(axes) if axis not in kept)
    return np.squeeze(value, lost), kept


def pulled(link: LinearMap, values: Values, rows: Array, sizes: Sizes) -> Array:
    """Rows (k, out…) times a map: (k, into…), each without the axis of the samples.

    Along what the map leaves alone nothing is summed, and nothing at all if it is an identity.
    """
    assert link.tensor is not None
    tensor, along = values[link.tensor]
    out, into = free(link.out), free(link.into)
    index = {axis: at for at, axis in enumerate(out, 1)}
    tied, called = link.tied, dict(link.names)
    there = [called.get(axis, axis) if axis not in tied else tied[axis] for axis in into]
    for axis in there:
        index.setdefault(axis, 1 + len(index))
    carried = {*along, *out}
    result = [index[axis] for axis in there if axis in carried]
    operands: tuple[Any, ...] = ([index[a] for a in along], rows, [0, *range(1, 1 + len(out))])
    many = tensor.size * rows.size > _BY_BLAS
    found = np.asarray(np.einsum(tensor, *operands, [0, *result], optimize=many))
    lacking = [at for at, axis in enumerate(there, 1) if axis not in carried]
    if not lacking:
        return found
    shape = (len(rows), *(sizes.of(axis) for axis in into))
    return np.broadcast_to(np.expand_dims(found, lacking), shape)


def along(ways: Routes, values: Values, rows: Array, sizes: Sizes) -> Array:
    """Rows (k, out) times ∂end/∂start, (k, in): back along all ways, each map applied once."""
    start, end = ([sizes.of(axis) for axis in free(node.axes)] for node in (ways.start, ways.end))
    arriving: dict[Node, Array] = {ways.end: rows.reshape(-1, *end)}
    for node, into in reversed(tuple(ways.into.items())):
        if (delta := arriving.pop(node, None)) is not None:
            for source, link in into:
                part = pulled(link, values, delta, sizes)
                arriving[source] = arriving[source] + part if source in arriving else part
    found = arriving.get(ways.start)
    return np.zeros((len(rows), prod(start))) if found is None else found.reshape(len(rows), -1)
