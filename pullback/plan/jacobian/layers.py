"""What a Jacobian with respect to parameters is made of: a G and an a for each use, and J Jᵀ of it.

G, the Jacobian of the output with respect to an equation that reads a parameter, is one product for
each of them, accumulated from the output down.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from pullback.ir import Node, Parameter, walk
from pullback.plan.jacobian.bind import Numbers
from pullback.plan.jacobian.choice import Widths
from pullback.plan.jacobian.operators import (
    Array,
    IdentityOperator,
    MatrixOperator,
    Operator,
    as_array,
    multiply,
)
from pullback.plan.jacobian.uses import Use


class Layers:
    """Every use of some parameters, by how its part of J Jᵀ is made.

    An *outer* use is G ⊗ a, nothing summed. A *shared* one, as of a weight over tokens, is summed
    over the axes S that z and a share; its part of J Jᵀ is made of those of G and of a if that is
    cheaper than from columns. Of all *others* the columns are written out.
    """

    def __init__(self, numbers: Numbers, leaves: tuple[Parameter, ...]) -> None:
        self.numbers, self.leaves = numbers, leaves
        sizes = [numbers.size(leaf.axes) for leaf in leaves]
        self._starts = dict(zip(leaves, map(int, np.cumsum([0, *sizes])), strict=False))
        self.columns = sum(sizes)
        self.outputs = numbers.size(numbers.features(numbers.local.root))
        self.dtype = numbers.output.dtype

    @cached_property
    def links(self) -> dict[Node, list[tuple[Node, Operator]]]:
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
    def uses(self) -> dict[Node, list[Use]]:
        """The uses of parameters by each equation of the samples."""
        found: dict[Node, list[Use]] = {}
        for node, edges in self.numbers.local.edges.items():
            for arg, link in edges if self.numbers.is_of_samples(node) else ():
                if self.numbers.is_of_samples(arg):
                    continue
                below = set(walk((arg,)))
                for leaf in (leaf for leaf in self.leaves if leaf in below):
                    use = Use.of(self.numbers, node, leaf, arg, link, self._starts[leaf])
                    found.setdefault(node, []).append(use)
        return found

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
    def _alone(self) -> set[int]:
        """Where the columns start of which there is one use."""
        counts = Counter(use.start for _, uses in self.held for use in uses)
        return {start for start, count in counts.items() if count == 1}

    def is_outer(self, use: Use) -> bool:
        """Is it all that its parameter does, and G ⊗ a?"""
        return use.start in self._alone and use.is_apart and use.sizes[0] == 1

    def is_shared(self, use: Use) -> bool:
        """Is it all that its parameter does, and cheaper by Gram matrices of G and a?"""
        places, out, n_in = use.sizes
        pairs = self.outputs**2
        cheaper = places**2 * (pairs * (out + 1) + n_in) < pairs * out * n_in
        return use.start in self._alone and use.is_apart and places > 1 and cheaper

    @cached_property
    def outer(self) -> list[tuple[Array, list[Use]]]:
        """The outer uses, those of one G together."""
        found = [(G, [use for use in uses if self.is_outer(use)]) for G, uses in self.held]
        return [(G, uses) for G, uses in found if uses]

    @cached_property
    def shared(self) -> list[tuple[Array, Use]]:
        """The shared uses."""
        return [(G, use) for G, uses in self.held for use in uses if self.is_shared(use)]

    def others(self, shared: bool = False) -> Iterator[tuple[slice, Array]]:
        """The columns (batch·outputs, size) of each other parameter, or of ``shared`` ones, too."""
        uses: dict[int, list[tuple[Array, Use]]] = {}
        for G, each in self.held:
            for use in each:
                if not self.is_outer(use) and (shared or not self.is_shared(use)):
                    uses.setdefault(use.start, []).append((G, use))
        for found in uses.values():
            columns, size = found[0][1].columns, found[0][1].size
            out = np.zeros((self.numbers.samples, self.outputs, size), self.dtype)
            for G, use in found:
                use.fill(G, out)
            yield columns, out.reshape(-1, size)

    @cached_property
    def widths(self) -> Widths:
        """What the price of a way depends on."""
        outer: dict[Node, list[int]] = {}
        others: dict[Node, int] = {}
        shared: list[tuple[int, int, int]] = []
        counted = 0
        for node, uses in self.uses.items():
            for use in uses:
                out = self.numbers.size(self.numbers.features(node))
                if self.is_outer(use):
                    outer.setdefault(node, [out, 0])[1] += use.size
                elif self.is_shared(use):
                    shared.append(use.sizes)
                else:
                    others[node] = out
                    continue
                counted += use.size
        layers = tuple((out, size) for out, size in outer.values())
        rest = sum(others.values()), self.columns - counted
        links = [op.link("") for found in self.links.values() for _, op in found]
        sweep = sum(link.work // link.batch for link in links)
        return Widths(self.numbers.samples, self.outputs, sweep, layers, tuple(shared), rest)

    def diagonal(self) -> Array:
        """The squared length of each column."""
        total = np.zeros(self.columns, self.dtype)
        for G, uses in self.outer:
            each = np.broadcast_to(G, (self.numbers.samples, *G.shape[-2:]))
            for use in uses:
                use.norms(each, total)
        for columns, J in self.others(shared=True):
            total[columns] = np.square(J).sum(axis=0)
        return total

    def grams(self) -> Array:
        """The block of each sample of J Jᵀ (batch, outputs, outputs)."""
        samples, outputs = self.numbers.samples, self.outputs
        total = np.zeros((samples, outputs, outputs), self.dtype)
        for G, uses in self.outer:
            inner: Any = sum(np.square(use.a).sum(axis=(1, 2)) for use in uses)
            total += (G @ np.swapaxes(G, -1, -2)) * np.reshape(inner, (-1, 1, 1))
        for G, use in self.shared:
            left, a = use.by_place(G), use.a
            rows = left.reshape(len(left), -1, left.shape[-1])
            both = (rows @ np.swapaxes(rows, 1, 2)).reshape(len(left), *2 * left.shape[1:3])
            total += np.einsum("bmtns,bts->bmn", both, a @ np.swapaxes(a, 1, 2), optimize=True)
        for _, J in self.others():
            each = J.reshape(samples, outputs, -1)
            total += each @ np.swapaxes(each, 1, 2)
        return total


def kernel(one: Layers, other: Layers) -> Array:
    """J₁ J₂ᵀ of one network at two batches: Σ over layers of (G₁ G₂ᵀ) ∘ (a₁ a₂ᵀ + 1).

    Where a layer has shared axes the product is summed over both batches' own; what is no layer's
    weight or bias adds J₁ J₂ᵀ of its own columns.
    """
    B, C, m = one.numbers.samples, other.numbers.samples, one.outputs
    total = np.zeros((B, m, C, m), one.dtype)
    for (G, mine), (H, theirs) in zip(one.outer, other.outer, strict=True):
        inner: Any = sum(u.a[:, 0] @ v.a[:, 0].T for u, v in zip(mine, theirs, strict=True))
        inner = np.broadcast_to(np.asarray(inner, total.dtype), (B, C))
        if G.ndim == H.ndim == 2:  # the same for all samples: a Kronecker product
            total += inner[:, None, :, None] * (G @ H.T)[None, :, None, :]
            continue
        left, right = (np.broadcast_to(g, (n, *g.shape[-2:])) for g, n in ((G, B), (H, C)))
        product = left.reshape(B * m, -1) @ right.reshape(C * m, -1).T
        total += product.reshape(B, m, C, m) * inner[:, None, :, None]
    for (G, u), (H, v) in zip(one.shared, other.shared, strict=True):
        left, right = u.by_place(G), v.by_place(H)
        product = left.reshape(-1, left.shape[-1]) @ right.reshape(-1, right.shape[-1]).T
        product = product.reshape(*left.shape[:3], *right.shape[:3])
        between = np.tensordot(u.a, v.a, (2, 2))
        product, between = (
            np.broadcast_to(each, (B, *each.shape[1:at], C, *each.shape[at + 1 :]))
            for each, at in ((product, 3), (between, 2))
        )
        total += np.einsum("bmtcns,btcs->bmcn", product, between, optimize=True)
    found = total.reshape(B * m, C * m)
    for (_, J), (_, K) in zip(one.others(), other.others(), strict=True):
        found += J @ K.T
    return found
