"""The compiled engine and the NumPy engine do the same steps, for every kind of network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.run.engine import NumpyEngine
from pullback.run.numba_engine import NumbaEngine

RNG = np.random.default_rng(0)
SAMPLES, BATCH = 42, 16
CLASSES = np.eye(3)[RNG.integers(0, 3, SAMPLES)]
VALUES = RNG.normal(size=(SAMPLES, 3))
BITS = RNG.integers(0, 2, (SAMPLES, 3)).astype(float)
L, S = pb.Linear, pb.Sequential

NETWORKS: dict[str, tuple[Any, Any, Any]] = {
    "tanh": (S(L(4, 6), pb.Tanh(), L(6, 3)), pb.CrossEntropy(), CLASSES),
    "one layer": (S(L(4, 1)), pb.SquaredError(), VALUES[:, :1]),
    "bounded": (
        S(L(4, 6), pb.SiLU(), L(6, 3), pb.Sigmoid()),
        pb.BinaryCrossEntropy(from_logits=False),
        BITS,
    ),
    "residual": (
        S(pb.Residual(S(L(4, 4), pb.Tanh()), 0.5), pb.Residual(S(L(4, 6), pb.ReLU(), L(6, 4))), L(4, 3)),
        pb.BinaryCrossEntropy(),
        BITS,
    ),
    "many activations": (
        S(L(4, 6), pb.Sin(), L(6, 5), pb.Erf(), L(5, 5), pb.GELU(), L(5, 4), pb.ELU(), L(4, 3)),
        pb.CrossEntropy(reduction="sum"),
        CLASSES,
    ),
    "of one's own": (
        S(L(4, 6), pb.Activation("1.7159*tanh(2*x/3)"), L(6, 5), pb.LeakyReLU(0.1), L(5, 3)),
        pb.MSELoss(),
        VALUES,
    ),
}  # fmt: skip
OPTIMIZERS = {
    "SGD": pb.optim.SGD(0.05),
    "Nesterov": pb.optim.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "Adam": pb.optim.Adam(0.01),
}


def agree(net: pb.Network, target: Any, optimizer: Any, dtype: Any, weight: Any = None) -> None:
    start = {name: value.astype(dtype) for name, value in net.init(seed=1).items()}
    x = RNG.normal(size=(SAMPLES, 4)).astype(dtype)
    fast, slow = NumbaEngine(net, start, optimizer), NumpyEngine(net, start, optimizer)
    tolerance = 1e-12 if dtype is np.float64 else 1e-5
    for _ in range(2):
        order = RNG.permutation(SAMPLES)  # the last batch has ten samples
        rates = np.full(-(-SAMPLES // BATCH), 0.05)
        a = fast.run(x, target.astype(dtype), order, BATCH, rates, weight)
        b = slow.run(x, target.astype(dtype), order, BATCH, rates, weight)
        np.testing.assert_allclose(a.losses, b.losses, rtol=tolerance)
        assert (a.hits, a.failed) == (b.hits, b.failed)
        np.testing.assert_allclose(fast.vector, slow.vector, rtol=tolerance, atol=tolerance)
    assert fast.done == slow.done == 6
    for name, slot in slow.slots.items():
        np.testing.assert_allclose(fast.slots[name], slot, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name: str) -> None:
    model, loss, target = NETWORKS[name]
    agree(pb.Network(model, loss=loss), target, OPTIMIZERS["SGD"], np.float64)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name: str) -> None:
    model, loss, target = NETWORKS["tanh"]
    agree(pb.Network(model, loss=loss, l2=0.1), target, OPTIMIZERS[name], np.float32)


def test_sample_weights() -> None:
    model, loss, target = NETWORKS["tanh"]
    net = pb.Network(model, loss=loss, weighted=True)
    agree(net, target, OPTIMIZERS["SGD"], np.float64, RNG.uniform(0.5, 2, SAMPLES))


def test_a_loss_that_is_not_finite_stops_before_its_update() -> None:
    model, loss, target = NETWORKS["one layer"]
    net = pb.Network(model, loss=loss)
    x = RNG.normal(size=(SAMPLES, 4))
    x[20] = 1e200
    for kind in (NumbaEngine, NumpyEngine):
        engine = kind(net, net.init(seed=1), OPTIMIZERS["SGD"])
        with np.errstate(over="ignore"):
            outcome = engine.run(x, target, None, BATCH, np.full(3, 0.05))
        assert outcome.failed == 1
        assert engine.done == 1
        assert np.isfinite(engine.vector).all()


def test_the_source_that_runs_can_be_read() -> None:
    model, loss, _ = NETWORKS["tanh"]
    net = pb.Network(model, loss=loss)
    source = NumbaEngine(net, net.init(seed=0), OPTIMIZERS["SGD"]).source
    assert "a1 = tanh(z0)" in source
    assert "np.dot(x, W0.T, " in source
