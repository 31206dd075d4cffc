"""The Jacobian of a chain of layers with respect to parameters: a G and an a for each use.

G, the Jacobian of the output with respect to an equation that reads a parameter, is one product for
each of them, accumulated from the output down. Every node has one axis beside the batch's: what
has more is read off the graph.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from pullback.calculus import LinearMap
from pullback.ir import Node, Parameter, walk
from pullback.plan.jacobian.bind import Numbers
from pullback.plan.jacobian.blocks import Pairs, ParameterBlocks
from pullback.plan.jacobian.choice import Widths
from pullback.plan.jacobian.operators import (
    Array,
    IdentityOperator,
    MatrixOperator,
    Operator,
    as_array,
    multiply,
)
from pullback.plan.jacobian.uses import Reading, Use


class Layout:
    """Which equations read some parameters, and how: what is known before there are numbers.

    An *outer* reading is G ⊗ a, nothing summed. Of all *others* the columns are written out.
    """

    def __init__(self, numbers: Numbers, leaves: tuple[Parameter, ...]) -> None:
        sizes = [numbers.size(leaf.axes) for leaf in leaves]
        starts = dict(zip(leaves, map(int, np.cumsum([0, *sizes])), strict=False))
        self.columns = sum(sizes)
        self.outputs = numbers.size(numbers.features(numbers.local.root))
        self.links: dict[Node, list[tuple[Node, LinearMap]]] = {}
        self.readings: dict[Node, list[Reading]] = {}
        self.sizes: dict[Node, int] = {}
        for node, edges in numbers.local.edges.items():
            kept = [(arg, link) for arg, link in edges if numbers.is_of_samples(arg)]
            if kept:
                self.links[node] = kept
            for arg, link in edges if numbers.is_of_samples(node) else ():
                below = set() if numbers.is_of_samples(arg) else set(walk((arg,)))
                for leaf in (leaf for leaf in leaves if leaf in below):
                    found = Reading.of(numbers, node, leaf, arg, link, starts[leaf])
                    self.readings.setdefault(node, []).append(found)
                    self.sizes[node] = numbers.size(numbers.features(node))
        every = [each for found in self.readings.values() for each in found]
        counts = Counter(each.columns.start for each in every)
        alone = [each for each in every if counts[each.columns.start] == 1 and each.is_plain]
        self.outer = {each for each in alone if each.sizes[0] == 1}


class Parts(ParameterBlocks):
    """Every G and a of a batch, and what is made of them."""

    def __init__(self, numbers: Numbers, leaves: tuple[Parameter, ...]) -> None:
        self.numbers = numbers
        key = "layout", numbers.open_sizes
        if key not in numbers.local.plans:
            numbers.local.plans[key] = Layout(numbers, leaves)
        self.layout: Layout = numbers.local.plans[key]
        self.columns: int = self.layout.columns
        self.outputs: int = self.layout.outputs
        self.samples: int = numbers.samples
        self.dtype = numbers.output.dtype

    @property
    def output(self) -> Array:
        return self.numbers.output

    @cached_property
    def links(self) -> dict[Node, list[tuple[Node, Operator]]]:
        """The local Jacobians between equations of the samples."""
        return {
            node: [(arg, self.numbers.operator(link)) for arg, link in edges]
            for node, edges in self.layout.links.items()
        }

    @cached_property
    def uses(self) -> dict[Node, list[Use]]:
        """The uses of parameters by each equation of the samples."""
        return {
            node: [each.at(self.numbers) for each in readings]
            for node, readings in self.layout.readings.items()
        }

    @cached_property
    def held(self) -> list[tuple[Array, list[Use]]]:
        """Each G ([batch,] outputs, z), and the uses that share it."""
        reached: dict[Node, Operator] = {self.numbers.local.root: IdentityOperator(self.outputs)}
        for node in reversed(self.numbers.local.order):
            for arg, link in self.links.get(node, ()):
                part = multiply(reached[node], link)
                if arg in reached:
                    part = MatrixOperator(as_array(reached[arg]) + as_array(part))
                reached[arg] = part
        found: dict[int, tuple[Array, list[Use]]] = {}
        for node, uses in self.uses.items():
            G = reached[node]
            if id(G) not in found:
                found[id(G)] = as_array(G).astype(self.dtype, copy=False), []
            found[id(G)][1].extend(uses)
        return list(found.values())

    @cached_property
    def outer(self) -> list[tuple[Array, list[Use]]]:
        """The outer uses, those of one G together."""
        outer = self.layout.outer
        found = [(G, [use for use in uses if use.reading in outer]) for G, uses in self.held]
        return [(G, uses) for G, uses in found if uses]

    def others(self) -> Iterator[tuple[slice, Array]]:
        """The columns (batch·outputs, size) of each other parameter."""
        known = self.layout.outer
        found: dict[int, list[tuple[Array, Use]]] = {}
        for G, uses in self.held:
            for use in uses:
                if use.reading not in known:
                    found.setdefault(use.reading.columns.start, []).append((G, use))
        for each in found.values():
            columns = each[0][1].reading.columns
            size = columns.stop - columns.start
            out = np.zeros((self.numbers.samples, self.outputs, size), self.dtype)
            for G, use in each:
                use.fill(G, out)
            yield columns, out.reshape(-1, size)

    @cached_property
    def widths(self) -> Widths:
        """What the price of a way depends on."""
        layout = self.layout
        layers: list[tuple[int, int]] = []
        entries = counted = 0
        for node, readings in layout.readings.items():
            sizes = [r.columns.stop - r.columns.start for r in readings if r in layout.outer]
            if sizes:
                layers.append((layout.sizes[node], sum(sizes)))
                counted += sum(sizes)
            if any(r not in layout.outer for r in readings):
                entries += layout.sizes[node]
        links = [op.link("") for found in self.links.values() for _, op in found]
        sweep = sum(link.work // link.batch for link in links)
        rest = entries, self.columns - counted
        return Widths(self.samples, self.outputs, sweep, tuple(layers), others=rest)

    @property
    def nbytes(self) -> int:
        held = sum(G.nbytes + sum(use.local.nbytes for use in uses) for G, uses in self.held)
        return int(held + self.samples * self.outputs * self.widths.others[1] * self.dtype.itemsize)

    def diagonal(self) -> Array:
        """The squared length of each column."""
        total = np.zeros(self.columns, self.dtype)
        for G, uses in self.outer:
            each = np.broadcast_to(G, (self.numbers.samples, *G.shape[-2:]))
            for use in uses:
                use.norms(each, total)
        for columns, J in self.others():
            total[columns] = np.square(J).sum(axis=0)
        return total

    def grams(self) -> Array:
        """The block of each sample of J Jᵀ (batch, outputs, outputs)."""
        samples, outputs = self.numbers.samples, self.outputs
        total = np.zeros((samples, outputs, outputs), self.dtype)
        for G, uses in self.outer:
            inner: Any = sum(np.square(use.a).sum(axis=(1, 2)) for use in uses)
            total += (G @ np.swapaxes(G, -1, -2)) * np.reshape(inner, (-1, 1, 1))
        for _, J in self.others():
            each = J.reshape(samples, outputs, -1)
            total += each @ np.swapaxes(each, 1, 2)
        return total

    def push(self, columns: Array) -> Array:
        moved: dict[Node, Array] = {}
        for node in self.numbers.local.order:
            parts = [use.push(columns) for use in self.uses.get(node, ())]
            parts += [op.apply(moved[arg]) for arg, op in self.links.get(node, ()) if arg in moved]
            if parts:
                moved[node] = sum(parts[1:], parts[0])
        nothing = np.zeros((1, self.outputs, columns.shape[1]), columns.dtype)
        out = moved.get(self.numbers.local.root, nothing)
        every = np.broadcast_to(out, (self.samples, *out.shape[1:]))
        return np.asarray(every.reshape(-1, columns.shape[1]))

    def pull(self, columns: Array) -> Array:
        delta = {self.numbers.local.root: columns.reshape(self.samples, self.outputs, -1)}
        total = np.zeros((self.columns, columns.shape[1]), columns.dtype)
        for node in reversed(self.numbers.local.order):
            if node not in delta:
                continue
            here = delta.pop(node)
            for use in self.uses.get(node, ()):
                use.pull(here, total)
            for arg, operator in self.links.get(node, ()):
                part = operator.T.apply(here)
                delta[arg] = delta[arg] + part if arg in delta else part
        return total

    def dense(self) -> Array:
        out = np.zeros((self.samples, self.outputs, self.columns), self.dtype)
        for G, uses in self.held:
            for use in uses:
                use.fill(G, out[:, :, use.reading.columns])
        return out.reshape(-1, self.columns)

    def kernel(self, other: Parts, pairs: Pairs = "all") -> Array:
        """Σ over layers of (G₁ G₂ᵀ) ∘ (a₁ a₂ᵀ + 1), and J₁ J₂ᵀ of all other columns."""
        every = self._of_all_pairs(other)
        if pairs == "all":
            return every
        apart = every.reshape(self.samples, self.outputs, other.samples, self.outputs)
        return np.asarray(np.einsum("bmcm->mbc" if pairs == "each" else "bmcm->bc", apart))

    def _of_all_pairs(self, other: Parts) -> Array:
        B, C, m = self.samples, other.samples, self.outputs
        total = np.zeros((B, m, C, m), self.dtype)
        for (G, mine), (H, theirs) in zip(self.outer, other.outer, strict=True):
            inner: Any = sum(u.a[:, 0] @ v.a[:, 0].T for u, v in zip(mine, theirs, strict=True))
            inner = np.broadcast_to(np.asarray(inner, total.dtype), (B, C))
            if G.ndim == H.ndim == 2:  # the same for all samples: a Kronecker product
                total += inner[:, None, :, None] * (G @ H.T)[None, :, None, :]
                continue
            left, right = (np.broadcast_to(g, (n, *g.shape[-2:])) for g, n in ((G, B), (H, C)))
            product = left.reshape(B * m, -1) @ right.reshape(C * m, -1).T
            total += product.reshape(B, m, C, m) * inner[:, None, :, None]
        found = total.reshape(B * m, C * m)
        for (_, J), (_, K) in zip(self.others(), other.others(), strict=True):
            found += J @ K.T
        return found
