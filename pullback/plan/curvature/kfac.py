"""Kronecker factors of the curvature: for each weight that of its inputs and that of its δ.

With rows B of a weight, Σ over places of δ ⊗ a for each sample, expanded factors are
A = mean a aᵀ and Σ δ δᵀ over samples and places; reduced ones are the same of the mean of a and of
the sum of δ over a sample's places. Eschenhagen, Immer, Turner, Schneider and Hennig (2023), §3.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pullback.errors import NotApplicableError
from pullback.ir import Parameter
from pullback.plan.curvature.maps import BlockMap, DenseMap, KroneckerMap, StructuredMap
from pullback.plan.jacobian.factors import FactoredBlock, ParameterBlock, RowLookup
from pullback.plan.jacobian.graph_parts import GraphParts
from pullback.plan.jacobian.operators import Array


def kronecker_factored(
    rows: Iterable[GraphParts], leaves: Sequence[Parameter], reduce: bool
) -> StructuredMap:
    """B ⊗ A for each weight; a parameter of one axis has its own block exactly.

    Raises NotApplicableError, naming it, for another parameter whose slope is no sum of δ ⊗ a.
    """
    found = [_Factors(leaf, reduce) for leaf in leaves]
    places: list[Array] = []
    for part in rows:
        for each, block in zip(found, part.blocks, strict=True):
            each.add(block)
        places = places or [
            start + _order(block, leaf)
            for leaf, block, start in zip(leaves, part.blocks, part.ends, strict=False)
        ]
    return BlockMap(tuple(each.map for each in found), tuple(places))


def _order(block: ParameterBlock, leaf: Parameter) -> Array:
    """Where the entries of a parameter, as a block holds them, are among its own."""
    own = np.arange(block.size)
    if not block.turn:
        return own
    shape = [block.shape[at] for at in block.turn]
    back = np.argsort(block.turn)
    return own.reshape(shape).transpose(back).ravel()


class _Factors:
    """The sums of one parameter."""

    def __init__(self, leaf: Parameter, reduce: bool) -> None:
        self.leaf, self.reduce = leaf, reduce
        self.B: Array | float = 0.0
        self.A: Array | float = 0.0
        self.count = 0

    def add(self, block: ParameterBlock) -> None:
        """Those of some more samples."""
        if not isinstance(block, FactoredBlock):
            if len(self.leaf.axes) > 1:
                raise NotApplicableError(
                    f"{self.leaf.name!r} has no Kronecker factors: its slope is no sum of δ ⊗ a "
                    "over places; use structure='diag' or 'low-rank'"
                )
            flat = block.held.reshape(-1, block.size).astype(float)
            self.B = self.B + flat.T @ flat
            return
        delta, samples = block.delta, block.delta.shape[1]
        if self.reduce:
            delta = delta.sum(axis=2, keepdims=True)
        flat = delta.reshape(-1, delta.shape[3]).astype(float)
        self.B = self.B + flat.T @ flat
        self.A = self.A + self._inputs(block)
        self.count += samples if self.reduce else samples * block.sizes[0]

    def _inputs(self, block: FactoredBlock) -> Array:
        """Σ a aᵀ; where rows are looked up, a is zeros with a one, and this has a diagonal only."""
        held = block.held_a
        if isinstance(held, RowLookup) and not self.reduce:
            return np.bincount(held.index.ravel(), minlength=held.size).astype(float)
        a = block.a.mean(axis=1) if self.reduce else block.a.reshape(-1, block.a.shape[2])
        return np.asarray(a.T @ a, float)

    @property
    def map(self) -> StructuredMap:
        """B ⊗ A, or the block itself."""
        if not self.count:
            return DenseMap(np.asarray(self.B))
        return KroneckerMap(np.asarray(self.B), np.asarray(self.A) / self.count)
