"""Random activations in the compiled engine: a step of it is a step of the NumPy engine's.

Compiling takes seconds, so most programs are run by Python from their source; some are compiled.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from formulas import scalar_formula

import pullback as pb
from pullback import emit
from pullback.errors import PullbackError
from pullback.ir.scalar.primitives import PRIMITIVES
from pullback.machine.barrier import helpers
from pullback.net.checks import checked_data
from pullback.net.program import execute
from pullback.train.optim import equations

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


def interpreted(net: Any, params: Any, X: Any, Y: Any) -> dict[str, Any]:
    """The same by the source of the compiled epoch, run by Python."""
    epoch = emit.training_epoch(net.training_roots, equations(pb.optim.SGD(RATE)), net.leaves)
    known_rows = {name: row.compute for name, row in PRIMITIVES.items()} | {"sqrt": np.sqrt}
    rows = {name: known_rows[name] for name in epoch.functions}  # and no other name

    def gemm(alpha: Any, a: Any, b: Any, beta: Any, out: Any) -> None:
        out[...] = alpha * (a @ b) + beta * out

    def matmul(a: Any, b: Any, out: Any) -> None:
        out[...] = a @ b

    names = {
        **{key: lambda x, f=f: f(np.asarray(x, np.float64))[()] for key, f in rows.items()},
        **{n: getattr(f, "py_func", f) for n, f in helpers().items()},
        **dict(real=np.float64, inf=np.inf, isfinite=math.isfinite),
        **dict(matmul=matmul, gemm=gemm, carray=lambda array, shape: array, njit=lambda f: f),
    }
    x, target = checked_data(net, X, Y)
    vector, unravel = pb.ravel(params)
    gradient = np.zeros_like(vector)
    numbers = dict(worker=0, workers=1, rows=len(x), samples=len(x), batch_size=len(x), steps=1)
    numbers |= dict(first_step=1, score=0, threshold=0.5)
    known = {"vector": vector, "gradient": gradient, "rates": np.array([RATE])}
    known |= {"order": np.arange(len(x)), "rows_x": x, "rows_target": target}
    for key, (weight, slope) in epoch.parameters.items():
        known |= {weight: unravel(vector)[key], slope: unravel(gradient)[key]}
    for argument in epoch.arguments:
        if argument.shape is not None and argument.name not in known:
            shape = [numbers.get(size, size) for size in argument.shape]
            known[argument.name] = np.zeros(shape, int if argument.kind == "whole" else float)
    given = [{**numbers, **known}[argument.name] for argument in epoch.arguments]
    with np.errstate(all="ignore"):
        execute(epoch.source, names)["run"](*given)
    return unravel(vector)


def compiled(net: Any, params: Any, X: Any, Y: Any) -> dict[str, Any]:
    options = dict(optimizer=pb.optim.SGD(RATE), epochs=1, batch_size=None, shuffle=False)
    fitted = pb.fit(net, X, Y, params, engine="numba", progress=False, **options)
    return dict(fitted.params)


@pytest.mark.parametrize("run", [interpreted, compiled], ids=["interpreted", "compiled"])
def test_a_step_of_the_epoch_is_a_step(run: Any, size: Any) -> None:
    count = size(100, 4000) if run is interpreted else size(4, 300)
    wrong, done, skipped = [], 0, 0
    for text, net, params, X, Y in networks(count):
        expected = stepped(net, params, X, Y)
        if expected is None:
            skipped += 1
            continue
        done += 1
        found = run(net, params, X, Y)
        for name, value in expected.items():
            if not np.allclose(found[name], value, rtol=1e-8, atol=1e-8):
                wrong.append(f"{text}: {name} is {found[name]}, expected {value}")
    print(f"{run.__name__}: {done} networks, {skipped} not finite, {len(wrong)} wrong")
    assert not wrong, "\n".join(wrong[:20])


@pytest.mark.parametrize("text", ["tanh(exp(900*x) - exp(800*x))", "sigmoid(x**500 - x**402)"])
def test_infinity_minus_infinity_is_an_error_in_every_engine(text: str) -> None:
    net = pb.Network(pb.Sequential(pb.Linear(2, 3), pb.Activation(text)), pb.SquaredError())
    params = {"0.weight": np.ones((3, 2)), "0.bias": np.array([0.0, 5.0, 10.0])}
    X, Y = np.ones((4, 2)), np.zeros((4, 3))
    for engine in ("numpy", "numba"):
        with pytest.raises(PullbackError, match="NaN"):
            pb.fit(net, X, Y, params, engine=engine, epochs=1, batch_size=2, progress=False)
