"""The Jacobian with respect to parameters: δ ⊗ a for every weight, never multiplied out unasked.

G, the Jacobian of the output with respect to a layer's z, is one product for each layer,
accumulated from the output down. A Gram matrix then needs only Σ (G Gᵀ) ∘ (a aᵀ + 1).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pullback.errors import ShapeError, UnknownNameError, nearest, whole
from pullback.ir import Node, Parameter, walk
from pullback.net.vector import ravel
from pullback.plan.jacobian import decompose
from pullback.plan.jacobian.base import Jacobian
from pullback.plan.jacobian.bind import Numbers
from pullback.plan.jacobian.choice import Ways, ways
from pullback.plan.jacobian.operators import (
    Array,
    IdentityOperator,
    MatrixOperator,
    Operator,
    as_array,
    multiply,
)
from pullback.plan.jacobian.uses import Use


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
        return self.numbers.size(self.numbers.features(self.numbers.local.root))

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
    def uses(self) -> tuple[Use, ...]:
        """Every use of a parameter by an equation of the samples."""
        found = []
        for node, edges in self.numbers.local.edges.items():
            for arg, link in edges if self.numbers.is_of_samples(node) else ():
                if self.numbers.is_of_samples(arg):
                    continue
                below = set(walk((arg,)))
                for leaf in (leaf for leaf in self.leaves if leaf in below):
                    start = self._starts[leaf.name]
                    found.append(Use.of(self.numbers, node, leaf, arg, link, start))
        return tuple(found)

    @cached_property
    def _uses_at(self) -> dict[Node, list[Use]]:
        found: dict[Node, list[Use]] = {}
        for use in self.uses:
            found.setdefault(use.node, []).append(use)
        return found

    @cached_property
    def _links(self) -> dict[Node, list[tuple[Node, Operator]]]:
        """The local Jacobians between equations of the samples."""
        return {
            node: [
                (arg, self.numbers.operator(link))
                for arg, link in edges
                if self.numbers.is_of_samples(arg)
            ]
            for node, edges in self.numbers.local.edges.items()
        }

    @cached_property
    def _of_uses(self) -> list[tuple[Array, list[Use]]]:
        """For each layer G ([batch,] outputs, out), and the uses that share it."""
        reached: dict[Node, Operator] = {self.numbers.local.root: IdentityOperator(self.outputs)}
        for node in reversed(self.numbers.local.order):
            for arg, link in self._links.get(node, ()):
                part = multiply(reached[node], link)
                if arg in reached:
                    part = MatrixOperator(as_array(reached[arg]) + as_array(part))
                reached[arg] = part
        shared: dict[int, tuple[Array, list[Use]]] = {}
        for use in self.uses:
            held = reached[use.node]
            if id(held) not in shared:
                shared[id(held)] = as_array(held).astype(self.output.dtype, copy=False), []
            shared[id(held)][1].append(use)
        return list(shared.values())

    @cached_property
    def _apart(self) -> set[int]:
        """Where the columns start of which each is G ⊗ a of one layer."""
        counts = Counter(use.start for use in self.uses)
        return {use.start for use in self.uses if use.is_outer and counts[use.start] == 1}

    @cached_property
    def layers(self) -> list[tuple[Array, list[Use]]]:
        """For each layer G ([batch,] outputs, out), and the blocks G ⊗ a that share it."""
        found = [(G, [u for u in uses if u.start in self._apart]) for G, uses in self._of_uses]
        return [(G, uses) for G, uses in found if uses]

    def others(self) -> Iterator[tuple[slice, Array]]:
        """The columns (batch·outputs, size) of each parameter that is used in another way."""
        uses: dict[int, list[tuple[Array, Use]]] = {}
        for G, each in self._of_uses:
            for use in each:
                if use.start not in self._apart:
                    uses.setdefault(use.start, []).append((G, use))
        for found in uses.values():
            columns, size = found[0][1].columns, found[0][1].size
            out = np.zeros((self.samples, self.outputs, size), self.output.dtype)
            for G, use in found:
                use.fill(G, out)
            yield columns, out.reshape(-1, size)

    def __matmul__(self, V: Any) -> Array:
        vector = self.direction(V) if isinstance(V, Mapping) else np.asarray(V)
        columns = _as_columns(vector, self.columns, "J @ V: V")
        moved: dict[Node, Array] = {}
        for node in self.numbers.local.order:
            parts = [use.push(columns) for use in self._uses_at.get(node, ())]
            parts += [op.apply(moved[arg]) for arg, op in self._links.get(node, ()) if arg in moved]
            if parts:
                moved[node] = sum(parts[1:], parts[0])
        nothing = np.zeros((1, self.outputs, columns.shape[1]), columns.dtype)
        out = moved.get(self.numbers.local.root, nothing)
        out = np.broadcast_to(out, (self.samples, *out.shape[1:])).reshape(-1, columns.shape[1])
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
        delta = {self.numbers.local.root: columns.reshape(self.samples, self.outputs, -1)}
        total = np.zeros((self.columns, columns.shape[1]), columns.dtype)
        for node in reversed(self.numbers.local.order):
            if node not in delta:
                continue
            here = delta.pop(node)
            for use in self._uses_at.get(node, ()):
                use.pull(here, total)
            for arg, operator in self._links.get(node, ()):
                part = operator.T.apply(here)
                delta[arg] = delta[arg] + part if arg in delta else part
        return total[:, 0] if vector else total

    def dense(self) -> Array:
        out = np.zeros((self.samples, self.outputs, self.columns), self.output.dtype)
        for G, uses in self._of_uses:
            for use in uses:
                use.fill(G, out[:, :, use.columns])
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
        for G, uses in self.layers:
            each = np.broadcast_to(G, (self.samples, *G.shape[-2:]))
            for use in uses:
                use.norms(each, total)
        for columns, J in self.others():
            total[columns] = np.square(J).sum(axis=0)
        return total

    def plan(self, consumer: str = "dense") -> Ways:  # type: ignore[override]
        """The ways to an operation with their costs, and the one that is taken."""
        return ways(consumer, self.samples, self.outputs, self._sweep, *self._widths)

    def grams(self) -> Array:
        """The block of each sample of J Jᵀ (batch, outputs, outputs)."""
        total = np.zeros((self.samples, self.outputs, self.outputs), self.output.dtype)
        for G, uses in self.layers:
            inner: Any = sum(np.square(use.a).sum(axis=1) for use in uses)
            total += (G @ np.swapaxes(G, -1, -2)) * np.reshape(inner, (-1, 1, 1))
        for _, J in self.others():
            rows = J.reshape(self.samples, self.outputs, -1)
            total += rows @ np.swapaxes(rows, 1, 2)
        return total

    @cached_property
    def _widths(self) -> tuple[tuple[tuple[int, int], ...], tuple[int, int]]:
        """(out, parameters) of each layer, and of all other uses together."""
        layers: dict[Node, list[int]] = {}
        others: dict[Node, int] = {}
        size = 0
        for use in self.uses:
            out = self.numbers.size(self.numbers.features(use.node))
            if use.start in self._apart:
                layers.setdefault(use.node, [out, 0])[1] += use.size
                size += use.size
            else:
                others[use.node] = out
        found = tuple((out, size) for out, size in layers.values())
        return found, (sum(others.values()), self.columns - size)

    @cached_property
    def _sweep(self) -> int:
        """The fma of one row carried back through the whole network, for one sample."""
        links = [op.link("") for found in self._links.values() for _, op in found]
        return sum(link.work // link.batch for link in links)

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


def cross_gram(one: ParameterJacobian, other: ParameterJacobian) -> Array:
    """J₁ J₂ᵀ of one network at two batches: Σ over layers of (G₁ G₂ᵀ) ∘ (a₁ a₂ᵀ + 1).

    What is no layer's weight or bias adds J₁ J₂ᵀ of its own columns.
    """
    B, C, m = one.samples, other.samples, one.outputs
    total = np.zeros((B, m, C, m), one.output.dtype)
    for (G, mine), (H, theirs) in zip(one.layers, other.layers, strict=True):
        inner: Any = sum(use.a @ same.a.T for use, same in zip(mine, theirs, strict=True))
        inner = np.broadcast_to(np.asarray(inner, total.dtype), (B, C))
        if G.ndim == H.ndim == 2:  # the same for all samples: a Kronecker product
            total += inner[:, None, :, None] * (G @ H.T)[None, :, None, :]
            continue
        left, right = (np.broadcast_to(g, (n, *g.shape[-2:])) for g, n in ((G, B), (H, C)))
        product = left.reshape(B * m, -1) @ right.reshape(C * m, -1).T
        total += product.reshape(B, m, C, m) * inner[:, None, :, None]
    found = total.reshape(B * m, C * m)
    for (_, J), (_, K) in zip(one.others(), other.others(), strict=True):
        found += J @ K.T
    return found


def _as_columns(array: Array, size: int, what: str) -> Array:
    columns = array[:, None] if array.ndim == 1 else array
    if columns.ndim != 2 or len(columns) != size:
        raise ShapeError(f"{what} has shape {array.shape}; expected ({size}) or ({size}, k)")
    return columns if columns.dtype.kind == "f" else columns.astype(np.float64)
