"""What the tests of training with jax share: a network, its data, and when two results agree."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

import pullback as pb

# these steps are compiled to run a few times
jax.config.update("jax_disable_most_optimizations", True)

RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(50, 4)), RNG.integers(0, 3, 50)
WEIGHT = RNG.uniform(0, 2, 50)
NET = pb.Network(
    pb.Sequential(pb.Linear(4, 8), pb.Tanh(), pb.Linear(8, 3)), loss=pb.CrossEntropy(), l2=0.01
)


def fitted(engine: str, net: Any = NET, x: Any = X, y: Any = Y, **changed: Any) -> pb.FitResult:
    given = dict(epochs=2, batch_size=16, progress=False, engine=engine) | changed
    return pb.fit(net, x, y, **given)


def agree(one: pb.FitResult, other: pb.FitResult, tolerance: float = 1e-12) -> None:
    """Two results have the same history, but for the seconds, and the same parameters."""
    assert list(one.history) == list(other.history)
    for name, column in one.history.items():
        if name != "seconds":
            np.testing.assert_allclose(other.history[name], column, rtol=tolerance, err_msg=name)
    assert list(one.params) == list(other.params)
    for name, value in one.params.items():
        assert other.params[name].dtype == value.dtype
        np.testing.assert_allclose(
            other.params[name], value, rtol=100 * tolerance, atol=10 * tolerance, err_msg=name
        )


def same_bits(one: pb.FitResult, other: pb.FitResult) -> None:
    """Two results are the same, to the last bit."""
    for name, value in one.params.items():
        np.testing.assert_array_equal(other.params[name], value)
    assert other.history["loss"] == one.history["loss"]
