"""The Jacobian with respect to parameters: δ ⊗ a for every weight, never multiplied out unasked.

G, the Jacobian of the output with respect to a layer's z, is one product for each layer,
accumulated from the output down. A Gram matrix then needs only Σ (G Gᵀ) ∘ (a aᵀ + 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pullback.errors import ShapeError, whole
from pullback.ir import Node, Parameter
from pullback.net.vector import ravel
from pullback.plan.jacobian import decompose
from pullback.plan.jacobian.base import Jacobian
from pullback.plan.jacobian.bind import Numbers
from pullback.plan.jacobian.blocks import Block
from pullback.plan.jacobian.choice import Ways, ways
from pullback.plan.jacobian.operators import Array, Factor, Identity, Matrix, as_array, multiply


@dataclass(frozen=True, eq=False, repr=False)
class ParameterJacobian(Jacobian):
    """(batch·outputs, parameters), held as a G and an a for each layer."""

    numbers: Numbers
    leaves: tuple[Parameter, ...]

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return self.numbers.samples

    @cached_property
    def outputs(self) -> int:
        """How many outputs each sample has."""
        return self.numbers.size(self.numbers.features(self.numbers.graph.root))

    @property
    def output(self) -> Array:  # type: ignore[override]
        return self.numbers.output

    @cached_property
    def _starts(self) -> dict[str, int]:
        sizes = [self.numbers.size(leaf.axes) for leaf in self.leaves]
        starts = np.cumsum([0, *sizes])
        return {leaf.name: int(at) for leaf, at in zip(self.leaves, starts, strict=False)}

    @cached_property
    def columns(self) -> int:
        """How many parameters there are, counted one by one."""
        return sum(self.numbers.size(leaf.axes) for leaf in self.leaves)

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return self.samples * self.outputs, self.columns

    @property
    def T(self) -> TransposedJacobian:
        return TransposedJacobian(self)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The block of each use of a parameter."""
        found = []
        for node, edges in self.numbers.graph.edges.items():
            for leaf, factor in edges:
                if isinstance(leaf, Parameter):
                    start = self._starts[leaf.name]
                    found.append(Block.of(self.numbers, node, leaf, factor, start))
        return tuple(found)

    @cached_property
    def layers(self) -> list[tuple[Array, list[Block]]]:
        """For each layer G ([batch,] outputs, out), and the blocks that share it."""
        reached: dict[Node, Factor] = {self.numbers.graph.root: Identity(self.outputs)}
        for node in reversed(self.numbers.graph.order):
            for arg, symbolic in self.numbers.graph.edges.get(node, ()):
                if isinstance(arg, Parameter):
                    continue
                part = multiply(reached[node], self.numbers.factor(symbolic))
                if arg in reached:
                    part = Matrix(as_array(reached[arg]) + as_array(part))
                reached[arg] = part
        shared: dict[int, tuple[Array, list[Block]]] = {}
        for block in self.blocks:
            held = reached[block.node]
            if id(held) not in shared:
                shared[id(held)] = as_array(held).astype(self.output.dtype, copy=False), []
            shared[id(held)][1].append(block)
        return list(shared.values())

    def __matmul__(self, V: Any) -> Array:
        vector = ravel(V)[0] if isinstance(V, Mapping) else np.asarray(V)
        columns = _as_columns(vector, self.columns, "J @ V: V")
        moved: dict[Node, Array] = {}
        uses: dict[Node, list[Block]] = {}
        for block in self.blocks:
            uses.setdefault(block.node, []).append(block)
        for node in self.numbers.graph.order:
            edges = self.numbers.graph.edges.get(node, ())
            parts = [block.push(columns) for block in uses.get(node, ())]
            parts += [self.numbers.factor(f).apply(moved[a]) for a, f in edges if a in moved]
            if parts:
                moved[node] = sum(parts[1:], parts[0])
        nothing = np.zeros((1, self.outputs, columns.shape[1]), columns.dtype)
        out = moved.get(self.numbers.graph.root, nothing)
        out = np.broadcast_to(out, (self.samples, *out.shape[1:])).reshape(-1, columns.shape[1])
        return out[:, 0] if vector.ndim == 1 else out

    def pull(self, U: Any) -> Array:
        """Jᵀ U for U (batch·outputs), (batch·outputs, k) or (batch, outputs)."""
        columns, vector = self._rows(U, "J.T @ U: U")
        delta = {self.numbers.graph.root: columns.reshape(self.samples, self.outputs, -1)}
        total = np.zeros((self.columns, columns.shape[1]), columns.dtype)
        uses: dict[Node, list[Block]] = {}
        for block in self.blocks:
            uses.setdefault(block.node, []).append(block)
        for node in reversed(self.numbers.graph.order):
            if node not in delta:
                continue
            here = delta.pop(node)
            for block in uses.get(node, ()):
                block.pull(here, total)
            for arg, symbolic in self.numbers.graph.edges.get(node, ()):
                if not isinstance(arg, Parameter):
                    part = self.numbers.factor(symbolic).T.apply(here)
                    delta[arg] = delta[arg] + part if arg in delta else part
        return total[:, 0] if vector else total

    def dense(self) -> Array:
        out = np.zeros((self.samples, self.outputs, self.columns), self.output.dtype)
        for G, blocks in self.layers:
            for block in blocks:
                block.fill(G, out)
        return out.reshape(self.shape)

    def gram(self) -> Array:
        if self.plan("gram").chosen == "written out":
            J = self.dense()
            product: Array = J @ J.T
            return product
        return cross_gram(self, self)

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
        total = np.zeros(self.columns, self.output.dtype)
        for G, blocks in self.layers:
            each = np.broadcast_to(G, (self.samples, *G.shape[-2:]))
            for block in blocks:
                block.norms(each, total)
        return total

    def plan(self, consumer: str = "dense") -> Ways:  # type: ignore[override]
        """The ways to an operation with their costs, and the one that is taken."""
        return ways(
            consumer, self.samples, self.outputs, self._sweep, self._widths, self.shares_parameters
        )

    @cached_property
    def shares_parameters(self) -> bool:
        """Does a parameter stand in several equations, so that their parts of J overlap?"""
        starts = [block.columns.start for block in self.blocks]
        return len(set(starts)) < len(starts)

    def grams(self) -> Array:
        """The block of each sample of J Jᵀ (batch, outputs, outputs)."""
        if self.shares_parameters:
            rows = self.dense().reshape(self.samples, self.outputs, -1)
            return rows @ np.swapaxes(rows, 1, 2)
        total = np.zeros((self.samples, self.outputs, self.outputs), self.output.dtype)
        for G, blocks in self.layers:
            inner: Any = sum(
                b.scale**2 if b.a is None else np.square(b.a).sum(axis=1) for b in blocks
            )
            total += (G @ np.swapaxes(G, -1, -2)) * np.reshape(inner, (-1, 1, 1))
        return total

    @cached_property
    def _widths(self) -> tuple[tuple[int, int], ...]:
        """(out, parameters) of each layer."""
        found: dict[Node, list[int]] = {}
        for block in self.blocks:
            out = self.numbers.size(self.numbers.features(block.node))
            size = block.columns.stop - block.columns.start
            found.setdefault(block.node, [out, 0])[1] += size
        return tuple((out, size) for out, size in found.values())

    @cached_property
    def _sweep(self) -> int:
        """The fma of one row carried back through the whole network, for one sample."""
        factors = (
            self.numbers.factor(symbolic)
            for edges in self.numbers.graph.edges.values()
            for arg, symbolic in edges
            if not isinstance(arg, Parameter)
        )
        links = [factor.link("") for factor in factors]
        return sum(link.work // link.batch for link in links)

    def _rows(self, value: Any, what: str) -> tuple[Array, bool]:
        array = np.asarray(value)
        if array.shape == (self.samples, self.outputs):
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


def cross_gram(one: ParameterJacobian, other: ParameterJacobian) -> Array:
    """J₁ J₂ᵀ of one network at two batches: Σ over layers of (G₁ G₂ᵀ) ∘ (a₁ a₂ᵀ + 1)."""
    if one.shares_parameters:
        return np.asarray(one.dense() @ other.dense().T)
    B, C, m = one.samples, other.samples, one.outputs
    total = np.zeros((B, m, C, m), one.output.dtype)
    for (G, mine), (H, theirs) in zip(one.layers, other.layers, strict=True):
        inner: Any = sum(a.kernel(b) for a, b in zip(mine, theirs, strict=True))
        inner = np.broadcast_to(np.asarray(inner, total.dtype), (B, C))
        if G.ndim == H.ndim == 2:  # the same for all samples: a Kronecker product
            total += inner[:, None, :, None] * (G @ H.T)[None, :, None, :]
            continue
        left, right = (np.broadcast_to(g, (n, *g.shape[-2:])) for g, n in ((G, B), (H, C)))
        product = left.reshape(B * m, -1) @ right.reshape(C * m, -1).T
        total += product.reshape(B, m, C, m) * inner[:, None, :, None]
    return total.reshape(B * m, C * m)


def _as_columns(array: Array, size: int, what: str) -> Array:
    columns = array[:, None] if array.ndim == 1 else array
    if columns.ndim != 2 or len(columns) != size:
        raise ShapeError(f"{what} has shape {array.shape}; expected ({size}) or ({size}, k)")
    return columns if columns.dtype.kind == "f" else columns.astype(np.float64)
