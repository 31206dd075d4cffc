"""A linear recurrence with a loss at every step is one causal convolution."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import jax_peer  # noqa: F401  float64
import numpy as np
import pytest
from zoo import close

import pullback as pb

RNG = np.random.default_rng(0)
MADE = {
    "dense": RNG.normal(size=(4, 4)) / 3,
    "diagonal": RNG.uniform(-0.9, 0.9, 4),
    "defective": np.array([[0.9, 1, 0, 0], [0, 0.9, 1, 0], [0, 0, 0.9, 0], [0, 0, 0, 0.0]]),
    "growing": np.diag([1.1, -1.05, 1.0, 0.0]),
}


def space(name: str, steps: int = 21) -> pb.StateSpace:
    rng = np.random.default_rng(1)
    B, C, D = rng.normal(size=(4, 3)), rng.normal(size=(2, 4)), rng.normal(size=(2, 3))
    return pb.StateSpace(MADE[name], B, C, steps, D)


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("steps", [1, 21])
def test_the_convolution_is_the_recursion(name: str, steps: int) -> None:
    of = space(name, steps)
    c = pb.closed_form(of)
    x, g = RNG.normal(size=(steps, 3)), RNG.normal(size=(steps, 2))
    close(c.outcome(x), of.run(x))
    delta = of.delta(g)
    close(np.stack([c.evaluate(g.ravel(), t + 1) for t in range(steps)]), delta)
    close(c.evaluate(g.ravel(), 0), of.back(delta[0]))
    close(c.inputs(g), delta @ of.B + g @ of.D)
    assert c.error < 1e-12


@pytest.mark.parametrize("name", ["dense", "diagonal"])
def test_gradients_are_those_of_jax(name: str) -> None:
    of = space(name)
    x, g = RNG.normal(size=(21, 3)), RNG.normal(size=(21, 2))

    def loss(A: Any, B: Any, C: Any, D: Any, x: Any) -> Any:
        h, total = jnp.zeros(4), 0.0
        for row, each in zip(x, g, strict=True):
            h = (A * h if A.ndim == 1 else A @ h) + B @ row
            total += each @ (C @ h + D @ row)
        return total

    expected = jax.grad(loss, argnums=range(5))(of.A, of.B, of.C, of.D, x)
    found = pb.closed_form(of).gradient(g, x)
    for key, each in zip("ABCDx", expected, strict=True):
        close(found[key], np.asarray(each))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(pb.errors.ShapeError, match=r"B has shape \(3, 1\)"):
        pb.StateSpace([0.5, 0.5], np.ones((3, 1)), np.ones((1, 2)), 3)
    with pytest.raises(pb.errors.ShapeError, match=r"D has shape \(1,\)"):
        pb.StateSpace([0.5], [[1.0]], [[1.0]], 3, [1.0])
    of = pb.StateSpace([0.5], [[1.0]], [[1.0]], 3)
    with pytest.raises(pb.errors.ShapeError, match=r"x has shape \(2, 1\); expected \(3, 1\)"):
        of.run(np.ones((2, 1)))
    with pytest.raises(pb.errors.NonFiniteError, match="grows"):
        pb.closed_form(pb.StateSpace([3.0], [[1.0]], [[1.0]], 2000)).outcome(np.ones((2000, 1)))
