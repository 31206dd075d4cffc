"""The samples and parameters at which a network and its module are compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from pullback.interop.rows import Array
from pullback.ir import Input
from pullback.net.network import Network

Arrays = Mapping[str, Array]
BATCHES = (3, 7)
_PLACES = 2  # of whole numbers whose range nothing says


@dataclass(frozen=True)
class ComparedPoint:
    """Samples, one array an input, and parameters at which the two are compared."""

    where: str
    xs: tuple[Array, ...]
    params: Arrays


def points(
    net: Network, params: Arrays, examples: tuple[Array, ...] | None, any_index: bool = True
) -> Iterator[ComparedPoint]:
    """The example, inputs of several sizes in several batches, other parameters, and 0.

    There is no 0 for batch statistics: what they leave of equal samples is rounding. Whole numbers
    are any that there are, or, if not ``any_index``, those of the example.
    """
    rng = np.random.default_rng(0)
    few, more = BATCHES
    shapes = [tuple(axis.size or 4 for axis in each.axes[1:]) for each in net.xs.values()]
    if examples is not None:
        shapes = [each.shape[1:] for each in examples]
    held = {name: value.astype(np.float64) for name, value in params.items()}
    if examples is not None:
        yield ComparedPoint("on the example", examples, held)

    seen = {} if examples is None or any_index else dict(zip(net.xs, examples, strict=True))

    def one(leaf: Input, shape: tuple[int, ...], scale: float) -> Array:
        if leaf.whole and leaf.name in seen:
            given = seen[leaf.name].reshape(-1, *shape[1:])
            return np.asarray(given[rng.integers(len(given), size=shape[0])])
        if leaf.whole:
            return np.asarray(rng.integers(net.index_sizes.get(leaf.name, _PLACES), size=shape))
        return np.asarray(scale * rng.normal(size=shape))

    def drawn(batch: int, scale: float) -> tuple[Array, ...]:
        leaves = zip(net.xs.values(), shapes, strict=True)
        return tuple(one(leaf, (batch, *shape), scale) for leaf, shape in leaves)

    first, *rest = drawn(few, 1.0)
    batch = (np.array(sorted(first, key=np.sum)), *rest)  # in both orders
    yield ComparedPoint(f"on a random batch of {few}", batch, held)
    yield ComparedPoint(f"on a random batch of {few}", tuple(x[::-1] for x in batch), held)
    yield ComparedPoint(f"on a random batch of {more}, large", drawn(more, 30.0), held)
    yield ComparedPoint("on a random batch of 2, small", drawn(2, 1e-3), held)
    if not net.several:
        yield ComparedPoint("on a batch of 1", drawn(1, 1.0), held)
    zeros = tuple(np.zeros_like(x) for x in drawn(few, 1.0))
    if not net.several:
        yield ComparedPoint("at x = 0", zeros, held)
    # what is frozen stays: the module holds no other statistics
    other = {
        spec.name: np.asarray(rng.normal(size=spec.shape) / np.sqrt(spec.n_in))
        if spec.trained
        else held[spec.name]
        for spec in net.specs
    }
    yield ComparedPoint(f"with other parameters, on a batch of {more}", drawn(more, 1.0), other)
    if net.several:
        return
    unbiased = {
        spec.name: np.zeros(spec.shape) if spec.kind == "bias" else other[spec.name]
        for spec in net.specs
    }
    yield ComparedPoint("at x = 0 without biases", zeros, unbiased)
