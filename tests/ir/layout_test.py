"""Where numbers stand: what NumPy does to arrays."""

from __future__ import annotations

import numpy as np
import pytest

from pullback.errors import AxisError
from pullback.ir import Axis, Contract, Index, Input, Pattern, simplify
from pullback.ir.evaluate import evaluate
from pullback.ir.layout import earlier, joined, merged, placed, split, taken, window

N, C, H, W = Axis("n", 2), Axis("c", 3), Axis("h", 4), Axis("w", 5)
x = Input("x", (N, C, H, W))
X = np.random.default_rng(0).normal(size=(2, 3, 4, 5))


def value(node):
    return evaluate(node, {"x": X})


def test_axes_are_put_together_and_apart_as_by_reshape():
    flat = Axis("f", 60)
    together = merged(x, (C, H, W), flat)
    np.testing.assert_array_equal(value(together), X.reshape(2, 60))
    both = Axis("hw", 20)
    np.testing.assert_array_equal(value(merged(x, (H, W), both)), X.reshape(2, 3, 20))
    apart = Axis("a", 5), Axis("b", 4), Axis("d", 3)
    np.testing.assert_array_equal(value(split(together, flat, apart)), X.reshape(2, 5, 4, 3))
    with pytest.raises(AxisError, match="together are not as long as"):
        merged(x, (C, H), Axis("f", 13))


def test_apart_again_is_as_before():
    flat = Axis("f", 60)
    axes = Axis("c2", 3), Axis("h2", 4), Axis("w2", 5)
    (back,) = simplify(split(merged(x, (C, H, W), flat), flat, axes))
    assert not any(isinstance(factor, Pattern) for factor in back.args)
    np.testing.assert_array_equal(value(back), X)


def test_two_windows_are_one():
    o, t, p, s = Axis("o", 3), Axis("t", 2), Axis("p", 2), Axis("s", 2)
    inner = Contract((x, window(H, o, t)), (N, o, t))
    outer = Contract((inner, window(o, p, s)), (N, p, s, t))
    (both,) = simplify(outer)
    assert sum(isinstance(factor, Pattern) for factor in both.args) == 1
    np.testing.assert_allclose(value(both), value(outer))


def test_a_slice_of_what_is_among_zeros_is_a_shift():
    wide, part = Axis("wide", 6), Axis("part", 4)
    (shift,) = simplify(taken(placed(x, H, wide, 1), wide, part, 2))
    assert [f.equations for f in shift.args if isinstance(f, Pattern)] == [
        (Index.on(H) - Index.on(part) - 1,)
    ]
    expected = np.concatenate([X[:, :, 1:], np.zeros((2, 3, 1, 5))], 2)
    np.testing.assert_array_equal(value(shift), expected)


def test_parts():
    np.testing.assert_array_equal(value(taken(x, W, Axis("e", 3), 0, 2)), X[..., ::2])
    np.testing.assert_array_equal(value(taken(x, W, Axis("e", 5), 4, -1)), X[..., ::-1])
    with pytest.raises(AxisError, match="reaches from 0 to 6"):
        taken(x, W, Axis("e", 4), 0, 2)
    expected = np.zeros((2, 3, 4, 9))
    expected[..., ::2] = X
    np.testing.assert_array_equal(value(placed(x, W, Axis("e", 9), 0, 2)), expected)
    other = Axis("v", 5)
    both = joined([(x, W), (taken(x, W, other, 4, -1), other)], Axis("both", 10))
    np.testing.assert_array_equal(value(both), np.concatenate([X, X[..., ::-1]], -1))
    with pytest.raises(AxisError, match="have 10 entries together"):
        joined([(x, W), (taken(x, W, other), other)], Axis("both", 9))


def test_masks():
    q, k = Axis("q", 4), Axis("k", 4)
    np.testing.assert_array_equal(evaluate(earlier(k, q), {}), np.tri(4))
    band = np.tri(4) - np.tri(4, k=-2)
    np.testing.assert_array_equal(evaluate(earlier(k, q, 1), {}), band)
