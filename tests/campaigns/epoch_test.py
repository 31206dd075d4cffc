"""Random activations in the compiled engine: a step of it is a step of the NumPy engine's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from formulas import scalar_formula

import pullback as pb
from pullback.errors import PullbackError

SEED = 31
RATE = 1e-3
# each was wrong once, in a network of one output
KNOWN = ("x**2", "x/sqrt(1 + x**2)", "x**2*tanh(x)", "where(x > 0, x, 0.1*x)", "x**3", "x**0 + x")
ALIVE = 2.0  # rows are drawn around 0 with this spread


def networks(count: int) -> Any:
    """Networks of one hidden layer with a random activation; sometimes one unit wide."""
    for seed in range(count):
        rng = np.random.default_rng([SEED, seed])
        text = KNOWN[seed] if seed < len(KNOWN) else scalar_formula(rng)
        width, outputs = [(4, 1), (3, 2), (1, 2), (2, 2)][seed % 4]
        try:
            activation = pb.Activation(text if "x" in text else f"({text})*x")
        except PullbackError:
            continue  # a constant, or nowhere finite
        model = pb.Sequential(pb.Linear(2, width), activation, pb.Linear(width, outputs))
        net = pb.Network(model, loss=pb.MSELoss())
        X, Y = ALIVE * rng.normal(size=(4, 2)), rng.normal(size=(4, outputs))
        yield text, net, net.init(seed), X, Y


def stepped(net: Any, params: Any, X: Any, Y: Any) -> dict[str, Any] | None:
    """The parameters after a step of plain descent; None where something is not finite."""
    try:
        _, grads = net.value_and_grad(params, X, Y)
    except PullbackError:
        return None
    moved = {name: value - RATE * grads[name] for name, value in params.items()}
    return moved if all(np.isfinite(value).all() for value in moved.values()) else None


def compiled(net: Any, params: Any, X: Any, Y: Any) -> dict[str, Any]:
    options = dict(optimizer=pb.optim.SGD(RATE), epochs=1, batch_size=None, shuffle=False)
    fitted = pb.fit(net, X, Y, params, engine="compiled", progress=False, **options)
    return dict(fitted.params)


def test_a_step_of_the_epoch_is_a_step(size: Any) -> None:
    count = size(20, 1000)
    wrong, done, skipped = [], 0, 0
    for text, net, params, X, Y in networks(count):
        expected = stepped(net, params, X, Y)
        if expected is None:
            skipped += 1
            continue
        done += 1
        found = compiled(net, params, X, Y)
        for name, value in expected.items():
            if not np.allclose(found[name], value, rtol=1e-8, atol=1e-8):
                wrong.append(f"{text}: {name} is {found[name]}, expected {value}")
    print(f"{done} networks, {skipped} not finite, {len(wrong)} wrong")
    assert not wrong, "\n".join(wrong[:20])


@pytest.mark.parametrize("text", ["tanh(exp(900*x) - exp(800*x))", "sigmoid(x**500 - x**402)"])
def test_infinity_minus_infinity_is_an_error_in_every_engine(text: str) -> None:
    net = pb.Network(pb.Sequential(pb.Linear(2, 3), pb.Activation(text)), pb.SquaredError())
    params = {"0.weight": np.ones((3, 2)), "0.bias": np.array([0.0, 5.0, 10.0])}
    X, Y = np.ones((4, 2)), np.zeros((4, 3))
    for engine in ("numpy", "compiled"):
        with pytest.raises(PullbackError, match="NaN"):
            pb.fit(net, X, Y, params, engine=engine, epochs=1, batch_size=2, progress=False)
