"""Local Jacobians that go by windows: a convolution is applied by its weight and pattern.

Written out, the matrix has an entry for each pair of places, and nearly all of them are 0. Applied,
every column is one more sample of a convolution, and every row one of its transpose.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import ceil, prod
from typing import Any

import numpy as np

from pullback.calculus import LinearMap
from pullback.ir import Axis, Contract, Input, Node, Pattern, simplify
from pullback.ir.window import windowed
from pullback.net.inputs import BATCH
from pullback.net.program import Compiled, compile_program

Array = np.ndarray[Any, np.dtype[Any]]

_VECTORS = "vectors beside the parameters"


@dataclass(frozen=True, eq=False)
class WindowedMap:
    """A map that is a product of patterns and at most one weight, the same for all samples.

    Its programs are compiled when the first vector comes.
    """

    link: LinearMap

    @classmethod
    def of(cls, link: LinearMap) -> WindowedMap | None:
        """The map, if it is of this kind and all of its axes have a length of their own."""
        tensor = link.tensor
        if tensor is None or BATCH in tensor.axes or link.tied.get(BATCH) != BATCH:
            return None
        over = {*tensor.axes, *link.into, *link.out} - {BATCH}
        if any(axis.size is None for axis in over):
            return None
        both = (_applied(link), _applied(link.T))
        return cls(link) if all(windowed(each) for each in both) else None

    @cached_property
    def size(self) -> tuple[int, int]:
        """How many rows and columns the matrix of a sample has."""
        rows, cols = (_count(each) for each in (self.link.out, self.link.into))
        return rows, cols

    @cached_property
    def _ways(self) -> tuple[Compiled, Compiled]:
        what = "Some vectors through a local Jacobian."
        program, transposed = (
            compile_program({"moved": _applied(link)}, what) for link in (self.link, self.link.T)
        )
        return program, transposed

    def __call__(
        self, parameters: Mapping[str, Array], vectors: Array, back: bool = False
    ) -> Array:
        """The map on vectors (count, cols), or ``back`` its transpose on (count, rows)."""
        link = self.link.T if back else self.link
        return _through(self._ways[back], link, parameters, vectors)

    def __getstate__(self) -> dict[str, LinearMap]:
        return {"link": self.link}  # programs are compiled again where it is read

    def __setstate__(self, state: dict[str, LinearMap]) -> None:
        object.__setattr__(self, "link", state["link"])

    @cached_property
    def work(self) -> int:
        """The fma of one product with a vector: one for each entry of each window."""
        factors = self._factors
        patterns = [part for f in factors if isinstance(f, Pattern) for part in f.parts]
        met: set[Axis] = set()
        found = 1.0
        for part in patterns:
            found *= _ones(part) / _count(met & {*part.axes})
            met |= {*part.axes}
        return ceil(found * _count(self._axes - met))

    @cached_property
    def _factors(self) -> tuple[Node, ...]:
        tensor = self.link.tensor
        assert tensor is not None
        return tensor.factors if isinstance(tensor, Contract) else (tensor,)

    @cached_property
    def _axes(self) -> set[Axis]:
        held = {axis for factor in self._factors for axis in factor.axes}
        return (held | {*self.link.into, *self.link.out}) - {BATCH}


def _applied(link: LinearMap) -> Node:
    (root,) = simplify(link @ Input(_VECTORS, link.into))
    return root


def _through(
    program: Compiled, link: LinearMap, parameters: Mapping[str, Array], vectors: Array
) -> Array:
    at, to = link.into.index(BATCH), link.out.index(BATCH)
    shape = (axis.size or 1 for axis in link.into if axis != BATCH)
    laid = vectors.reshape(len(vectors), *shape)
    given = {_VECTORS: np.moveaxis(laid, 0, at)}
    found: Array = np.moveaxis(program(parameters, given)["moved"], to, 0)
    rows: Array = found.reshape(len(vectors), _count(link.out))
    return rows


def _count(axes: Iterable[Axis]) -> int:
    """How many entries there are along some axes, for one sample."""
    return prod(axis.size or 1 for axis in axes if axis != BATCH)


def _ones(pattern: Pattern) -> int:
    """How many entries of a pattern are 1, as its equation says; ranges are not looked at."""
    if not pattern.equations:
        return _count(pattern.axes)
    (equation,) = pattern.equations
    by_size = sorted(pattern.axes, key=lambda axis: -(axis.size or 1))
    free = next((axis for axis in by_size if pattern.solved(axis) is not None), None)
    held = [axis for axis in pattern.axes if axis != free]
    index = equation if free is None else pattern.solved(free)
    assert index is not None
    value: Any = index.offset
    for axis in held:
        value = np.add.outer(value, index.of(axis) * np.arange(axis.size or 1))
    inside = value == 0 if free is None else (value >= 0) & (value < (free.size or 1))
    return int(np.count_nonzero(inside))
