"""φ(Q) φ(K)ᵀ V is bracketed by its sizes: neither direction builds the larger square."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest

import pullback as pb
from pullback.emit.expression.brackets import pairs
from pullback.ir import Axis, Contract, Node, Rename, fn, symbol
from pullback.ir.build import scalar_map
from pullback.nn import Block, Scope


@dataclass(frozen=True)
class LinearAttention(Block):
    """exp(X) exp(X)ᵀ X, written as one product (Katharopoulos et al. 2020, equation 5)."""

    def build(self, x: Node, at: Scope) -> Node:
        batch, tokens, features = x.axes
        keys, values = at.axis("keys", tokens.size), at.axis("values", features.size)
        phi = scalar_map(fn("exp")(symbol(0)), x)
        renamed = Rename(phi, ((tokens, keys),))
        value = Rename(x, ((tokens, keys), (features, values)))
        return at.z(Contract((phi, renamed, value), (batch, tokens, values)))


@pytest.mark.parametrize(("tokens", "width"), [(900, 3), (3, 900)])
def test_the_larger_square_is_never_built(tokens: int, width: int) -> None:
    net = pb.Network(LinearAttention(), pb.MSELoss(), x=f"tokens={tokens} features={width}")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2, tokens, width))
    expected = np.exp(X) @ (np.exp(X).mT @ X)
    np.testing.assert_allclose(net.predict({}, X), expected, rtol=1e-9, atol=1e-9)
    net.value_and_grad({}, X, X)
    tracemalloc.start()
    net.predict({}, X)
    net.value_and_grad({}, X, X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 900 * 900 * 8


def test_the_order_changes_where_there_are_as_many_tokens_as_features() -> None:
    def first(tokens: int, width: int) -> tuple[int, int]:
        q, k, d, e = Axis("q", tokens), Axis("k", tokens), Axis("d", width), Axis("e", width)
        return pairs([(q, d), (k, d), (k, e)], (q, e))[0]

    assert [first(tokens, 16) for tokens in (8, 15, 17, 64)] == [(0, 1), (0, 1), (1, 2), (1, 2)]
