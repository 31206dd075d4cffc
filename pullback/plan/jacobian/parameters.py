"""The Jacobian with respect to parameters: δ ⊗ a for every weight, never multiplied out unasked.

J v and Jᵀ u are one sweep. A Gram matrix needs only Σ (δ δᵀ) ∘ (a aᵀ + 1) for a layer that a sample
uses once, and the same summed over pairs of places for one that it uses at several.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.errors import ShapeError, UnknownNameError, nearest, whole
from pullback.ir import Parameter
from pullback.net.vector import ravel
from pullback.plan.jacobian import decompose
from pullback.plan.jacobian.base import Jacobian
from pullback.plan.jacobian.blocks import Pairs, ParameterBlocks
from pullback.plan.jacobian.choice import Ways, ways
from pullback.plan.jacobian.operators import Array


@dataclass(frozen=True, eq=False, repr=False)
class ParameterJacobian(Jacobian):
    """(batch·outputs, parameters), held as a G and an a for each layer."""

    parts: ParameterBlocks
    leaves: tuple[Parameter, ...]

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return self.parts.samples

    @property
    def outputs(self) -> int:
        """How many outputs each sample has."""
        return self.parts.outputs

    @property
    def output(self) -> Array:  # type: ignore[override]
        return self.parts.output

    @property
    def columns(self) -> int:
        """How many parameters there are, counted one by one."""
        return self.parts.columns

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return self.samples * self.outputs, self.columns

    @property
    def T(self) -> TransposedJacobian:
        return TransposedJacobian(self)

    def __matmul__(self, V: Any) -> Array:
        vector = self.direction(V) if isinstance(V, Mapping) else np.asarray(V)
        columns = _as_columns(vector, self.columns, "J @ V: V")
        out = self.parts.push(columns)
        return out[:, 0] if vector.ndim == 1 else out

    def direction(self, V: Mapping[str, Any]) -> Array:
        """A direction by name as one vector; a frozen parameter may stand in it."""
        for leaf in self.leaves:
            if leaf.name not in V:
                raise UnknownNameError(f"V lacks {leaf.name!r}: {nearest(leaf.name, V)}")
        return ravel({leaf.name: V[leaf.name] for leaf in self.leaves})[0]

    def pull(self, U: Any) -> Array:
        """Jᵀ U for U (batch·outputs), (batch·outputs, k) or (batch, outputs)."""
        columns, vector = self._rows(U, "J.T @ U: U")
        total = self.parts.pull(columns)
        return total[:, 0] if vector else total

    def dense(self) -> Array:
        return self.parts.dense()

    def gram(self) -> Array:
        if self.plan("gram").chosen == "written out":
            J = self.dense()
            product: Array = J @ J.T
            return product
        return self.parts.kernel(self.parts)

    def normal(self) -> Array:
        """Jᵀ J (parameters, parameters)."""
        J = self.dense()
        out: Array = J.T @ J
        return out

    def solve(self, r: Any, damping: float | None = None) -> Array:
        columns, vector = self._rows(r, "solve: r")
        amount = decompose.as_damping(damping)
        rows, cols = self.shape
        if not amount and rows < cols:
            raise decompose.singular(rows, cols, rows)
        if self.plan("solve").chosen == "small side":
            found = self._small_side(columns, amount)
        else:
            found = decompose.solve((self.dense(),), columns, amount)
        return found[:, 0] if vector else found

    def _small_side(self, r: Array, damping: float) -> Array:
        """Jᵀ (J Jᵀ + λ I)⁻¹ r with the structured Gram matrix, where its rounding is harmless."""
        gram = self.gram()
        if not decompose.safe(gram, damping):
            return decompose.solve((self.dense(),), r, damping)
        return self.pull(decompose.positive(gram, damping, r))

    def svd(self, k: int | None = None) -> tuple[Array, Array, Array]:
        most = min(self.shape) if k is None else whole("k", k)
        if most > min(self.shape):
            raise ShapeError(f"k is {k}; a Jacobian {self.shape} has {min(self.shape)} values")
        U, s, Vt = decompose.svd((self.dense(),))
        return U[:, :most], s[:most], Vt[:most]

    def logdet(self) -> Any:
        rows, cols = self.shape
        if rows > cols or self.plan("logdet").chosen == "written out":
            return decompose.log_volume(self.dense())
        sign, value = np.linalg.slogdet(self.gram())
        return value / 2 if sign > 0 else np.array(-np.inf, self.output.dtype)[()]

    def diagonal(self) -> Array:
        if self.plan("diagonal").chosen == "written out":
            squares: Array = np.square(self.dense()).sum(axis=0)
            return squares
        return self.parts.diagonal()

    def plan(self, consumer: str = "dense") -> Ways:  # type: ignore[override]
        """The ways to an operation with their costs, and the one that is taken."""
        return ways(consumer, self.parts.widths)

    def grams(self) -> Array:
        """The block of each sample of J Jᵀ (batch, outputs, outputs)."""
        return self.parts.grams()

    def _rows(self, value: Any, what: str) -> tuple[Array, bool]:
        array = np.asarray(value)
        if array.shape in ((self.samples, self.outputs), self.output.shape):
            array = array.reshape(-1)
        return _as_columns(array, self.shape[0], what), array.ndim == 1


@dataclass(frozen=True, eq=False, repr=False)
class TransposedJacobian(Jacobian):
    """Jᵀ (parameters, batch·outputs)."""

    of: ParameterJacobian

    @property
    def T(self) -> ParameterJacobian:
        return self.of

    @property
    def output(self) -> Array:  # type: ignore[override]
        return self.of.output

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return self.of.shape[::-1]

    def __matmul__(self, V: Any) -> Array:
        return self.of.pull(V)

    def dense(self) -> Array:
        return self.of.dense().T

    def gram(self) -> Array:
        return self.of.normal()

    def solve(self, r: Any, damping: float | None = None) -> Array:
        array = np.asarray(r)
        columns = _as_columns(array, self.shape[0], "solve: r")
        found = decompose.solve((self.dense(),), columns, decompose.as_damping(damping))
        return found[:, 0] if array.ndim == 1 else found

    def svd(self, k: int | None = None) -> tuple[Array, Array, Array]:
        U, s, Vt = self.of.svd(k)
        return Vt.T, s, U.T

    def logdet(self) -> Any:
        return self.of.logdet()

    def diagonal(self) -> Array:
        return np.diagonal(self.of.gram()).copy()

    def plan(self, consumer: str = "dense") -> Ways:  # type: ignore[override]
        other = {"gram": "normal", "normal": "gram", "jvp": "vjp", "vjp": "jvp"}
        return self.of.plan(other.get(consumer, consumer))


def cross_gram(one: ParameterJacobian, other: ParameterJacobian, pairs: Pairs = "all") -> Array:
    """J₁ J₂ᵀ of one network at two batches, for the pairs of outputs that are wanted."""
    return one.parts.kernel(other.parts, pairs)


def _as_columns(array: Array, size: int, what: str) -> Array:
    columns = array[:, None] if array.ndim == 1 else array
    if columns.ndim != 2 or len(columns) != size:
        raise ShapeError(f"{what} has shape {array.shape}; expected ({size}) or ({size}, k)")
    return columns if columns.dtype.kind == "f" else columns.astype(np.float64)
