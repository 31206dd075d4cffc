"""The Jacobian of any graph with respect to parameters: δ and a of every use, kept or multiplied.

One sweep back for all outputs gives every δ; the sum over places of δ ⊗ a is built for those
parameters only where that is cheaper than to keep its factors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from math import prod
from typing import Any

import numpy as np

from pullback.calculus import pushforward
from pullback.ir import Input, Node, Parameter, simplify
from pullback.ir.build import spread
from pullback.ir.lift import lifted
from pullback.net.program import Compiled, compile_program
from pullback.plan.jacobian.blocks import Pairs, ParameterBlocks
from pullback.plan.jacobian.choice import Widths, is_kept
from pullback.plan.jacobian.factors import (
    FactoredBlock,
    ParameterBlock,
    RowLookup,
    WrittenBlock,
    kept_product,
    product,
)
from pullback.plan.jacobian.operators import Array
from pullback.plan.jacobian.terms import ROWS, SlopeTerm, terms_of


class GraphParts(ParameterBlocks):
    """Every δ and a of a batch, and what is made of them.

    With a ``seed`` (rows, batch, …) it is that of some products of the output, each sample's rows
    times its outputs, in the place of the outputs.
    """

    def __init__(
        self,
        output: Node,
        leaves: Sequence[Parameter],
        held: Mapping[str, Array],
        inputs: Mapping[str, Array],
        xs: Sequence[Input],
        seed: Array | None = None,
    ) -> None:
        self.leaves, self.xs = tuple(leaves), tuple(xs)
        self.root, self.params, self.inputs, self.seed = output, held, inputs, seed
        self.terms = terms_of(output, self.leaves, self.xs)
        sizes = [held[leaf.name].size for leaf in self.leaves]
        self.ends = np.cumsum([0, *sizes])
        self.columns = int(self.ends[-1])

    @cached_property
    def output(self) -> Array:
        found: Array = _forward(self.root, self.xs)(self.params, self.inputs)["output"]
        return found

    @property
    def samples(self) -> int:  # type: ignore[override]
        return len(self.output)

    @property
    def outputs(self) -> int:  # type: ignore[override]
        return prod(self.output.shape[1:]) if self.seed is None else len(self.seed)

    @property
    def dtype(self) -> Any:
        return self.output.dtype

    @cached_property
    def blocks(self) -> list[ParameterBlock]:
        """The block of each parameter, for each of the outputs or of the cotangents."""
        if self.seed is not None:
            return self._blocks(self.seed)
        eye = np.eye(self.outputs, dtype=self.dtype).reshape(-1, 1, *self.output.shape[1:])
        return self._blocks(np.broadcast_to(eye, (self.outputs, *self.output.shape)))

    def _blocks(self, seed: Array) -> list[ParameterBlock]:
        """Those for some cotangents (rows, batch, …) of the output."""
        found = self.terms(self.params, self.inputs, seed)
        return [self._block(term, found, seed.shape[:2]) for term in self.terms.terms]

    def _block(
        self, term: SlopeTerm, found: Mapping[str, Array], lead: tuple[int, int]
    ) -> ParameterBlock:
        if term.whole:
            return WrittenBlock(found[term.whole].reshape(*lead, -1))
        shape = self.params[term.leaf.name].shape
        held = tuple(shape[term.leaf.axes.index(axis)] for axis in (*term.out, *term.inner))
        out = prod(held[: len(term.out)])
        deltas, factors = [], []
        for pair in term.pairs:
            delta = found[pair.delta]
            deltas.append(delta.reshape(*lead, prod(delta.shape[2 : 2 + pair.places]), out))
            a = self.inputs[pair.index].transpose(pair.order) if pair.index else found[pair.a]
            factors.append(a.reshape(lead[1], deltas[-1].shape[2], -1))
        delta = deltas[0] if len(deltas) == 1 else np.concatenate(deltas, axis=2)
        a = factors[0] if len(factors) == 1 else np.concatenate(factors, axis=1)
        if term.pairs[0].index:
            return FactoredBlock(
                delta, RowLookup(a[..., 0], prod(held[len(term.out) :])), held, term.turn
            )
        return FactoredBlock(delta, a, held, term.turn)

    @cached_property
    def kept(self) -> list[bool]:
        """Are the factors of a parameter kept for a product of two samples?"""
        own = self.samples, self.outputs
        return [
            isinstance(block, FactoredBlock)
            and is_kept(*own, *block.sizes, looks_up=block.looks_up)
            for block in self.blocks
        ]

    @property
    def nbytes(self) -> int:
        largest = max(b.size for b in self.blocks)
        held = sum(block.nbytes for block in self.blocks)
        return int(held + self.samples * self.outputs * largest * self.dtype.itemsize)

    def push(self, columns: Array) -> Array:
        program = _push_program(self.root, self.leaves, self.xs)
        given = dict(self.inputs)
        for leaf, start, end in zip(self.leaves, self.ends, self.ends[1:], strict=False):
            shape = (columns.shape[1], *self.params[leaf.name].shape)
            given[_change(leaf.name)] = columns[start:end].T.reshape(shape).astype(self.dtype)
        moved = program(self.params, given)["change"]
        return np.ascontiguousarray(moved.reshape(columns.shape[1], -1).T)

    def pull(self, columns: Array) -> Array:
        rows = columns.T.reshape(-1, *self.output.shape).astype(self.dtype, copy=False)
        each = [block.own(block.pull()) for block in self._blocks(rows)]
        return np.concatenate(each, axis=1).T

    def dense(self) -> Array:
        out = np.empty((self.samples, self.outputs, self.columns), self.dtype)
        for block, start, end in zip(self.blocks, self.ends, self.ends[1:], strict=False):
            out[:, :, start:end] = block.own(block.held).swapaxes(0, 1)
        return out.reshape(-1, self.columns)

    def kernel(self, other: GraphParts, pairs: Pairs = "all") -> Array:
        total: Any = 0.0
        for one, two, kept in zip(self.blocks, other.blocks, self.kept, strict=True):
            if kept and isinstance(one, FactoredBlock) and isinstance(two, FactoredBlock):
                total = total + kept_product(one, two, pairs)
            else:
                total = total + product(one, two, pairs)
        if pairs != "all":
            return np.asarray(total)
        found: Array = total.reshape(self.samples * self.outputs, other.samples * other.outputs)
        return found

    def grams(self) -> Array:
        total = np.zeros((self.samples, self.outputs, self.outputs), self.dtype)
        for block, kept in zip(self.blocks, self.kept, strict=True):
            if kept and isinstance(block, FactoredBlock):
                delta = block.delta.swapaxes(0, 1)
                met = block.within()[:, None] @ delta
                rows, other = (x.reshape(*x.shape[:2], -1) for x in (met, delta))
            else:
                rows = other = block.held.swapaxes(0, 1)
            total += rows @ other.swapaxes(1, 2)
        return total

    def diagonal(self) -> Array:
        found = []
        for block in self.blocks:
            if isinstance(block, FactoredBlock) and block.sizes[0] == 1:
                squares = np.square(block.delta[:, :, 0]).sum(axis=0)
                norms = (squares.T @ np.square(block.a[:, 0])).reshape(-1)
            else:
                norms = np.square(block.held).sum(axis=(0, 1))
            found.append(block.own(norms[None])[0])
        return np.concatenate(found)

    @cached_property
    def widths(self) -> Widths:
        shared = []
        entries = 0
        for block, kept in zip(self.blocks, self.kept, strict=True):
            if isinstance(block, FactoredBlock):
                entries += block.delta[0, 0].size
                if kept:
                    shared.append(block.sizes)
        rest = self.columns - sum(out * n_in for _, out, n_in in shared)
        sweep = entries
        return Widths(self.samples, self.outputs, sweep, (), tuple(shared), (entries, rest))


def _change(name: str) -> str:
    return f"change of {name}"


@lru_cache(maxsize=32)
def _forward(output: Node, inputs: tuple[Input, ...]) -> Compiled:
    (root,) = simplify(output)
    return compile_program({"output": root}, "The output.", leaves=inputs)


@lru_cache(maxsize=32)
def _push_program(
    output: Node, leaves: tuple[Parameter, ...], inputs: tuple[Input, ...]
) -> Compiled:
    """J V for columns V (k, …) of each parameter."""
    tangents: dict[Node, Node] = {leaf: Input(_change(leaf.name), leaf.axes) for leaf in leaves}
    columns: dict[Node, Node] = {
        tangent: Input(tangent.name, (ROWS, *tangent.axes))
        for tangent in tangents.values()
        if isinstance(tangent, Input)
    }
    (moved,) = lifted([pushforward(output, tangents)], columns)
    (root,) = simplify(spread(moved, (ROWS, *output.axes)))
    given = (*inputs, *(each for each in columns.values() if isinstance(each, Input)))
    return compile_program({"change": root}, "J V for each column.", leaves=given)
