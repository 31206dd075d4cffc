"""The compiled engine and the NumPy engine do the same steps, for every kind of network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.emit.epoch.schedule import SHORT
from pullback.train.engine import NumpyEngine
from pullback.train.numba_engine import NumbaEngine

RNG = np.random.default_rng(0)
SAMPLES, BATCH = 42, 16
CLASSES = np.eye(3)[RNG.integers(0, 3, SAMPLES)]
VALUES = RNG.normal(size=(SAMPLES, 3))
BITS = RNG.integers(0, 2, (SAMPLES, 3)).astype(float)
L, S, SGD = pb.Linear, pb.Sequential, pb.optim.SGD(0.05)

# compiling is dear, so each case tries several things at once
CASES: dict[str, dict[str, Any]] = {
    "tanh, penalty, Nesterov, single precision": dict(
        net=pb.Network(S(L(4, 6), pb.Tanh(), L(6, 3)), loss=pb.CrossEntropy(), l2=0.1),
        target=CLASSES,
        optimizer=pb.optim.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
        dtype=np.float32,
    ),
    "relu, soft targets, AdamW, whose step number meets the function step": dict(
        net=pb.Network(S(L(4, 6), pb.ReLU(), L(6, 3)), loss=pb.CrossEntropy()),
        target=RNG.dirichlet(np.ones(3), SAMPLES),
        optimizer=pb.optim.AdamW(0.01),
    ),
    "bounded outputs, sample weights": dict(
        net=pb.Network(
            S(L(4, 6), pb.SiLU(), L(6, 3), pb.Sigmoid()),
            loss=pb.BinaryCrossEntropy(from_logits=False),
            weighted=True,
        ),
        target=BITS,
        weight=RNG.uniform(0.5, 2, SAMPLES),
    ),
    "a layer so wide that its columns are shared out": dict(
        net=pb.Network(S(L(4, 256), pb.ReLU(), L(256, 3)), loss=pb.CrossEntropy()),
        target=CLASSES,
        optimizer=pb.optim.SGD(0.05, clip_norm=0.5),
    ),
    "more classes than a short row has, sample weights": dict(
        net=pb.Network(L(4, SHORT + 1), loss=pb.CrossEntropy(), weighted=True),
        target=RNG.dirichlet(np.ones(SHORT + 1), SAMPLES),
        weight=RNG.uniform(0.5, 2, SAMPLES),
    ),
    "a short row with sample weights": dict(
        net=pb.Network(L(4, 3), loss=pb.CrossEntropy(), weighted=True),
        target=CLASSES,
        weight=RNG.uniform(0.5, 2, SAMPLES),
    ),
    "residuals in a row": dict(
        net=pb.Network(
            S(
                pb.Residual(S(L(4, 4), pb.Tanh()), 0.5),
                pb.Residual(S(L(4, 6), pb.ReLU(), L(6, 4))),
                L(4, 3),
            ),
            loss=pb.BinaryCrossEntropy(),
        ),
        target=BITS,
    ),
    "many activations, a sum": dict(
        net=pb.Network(
            S(
                *(L(4, 6), pb.Sin(), L(6, 5), pb.Erf(), L(5, 5), pb.GELU(), L(5, 5), pb.ELU()),
                *(L(5, 5), pb.Activation("1.7159*tanh(2*x/3)"), L(5, 4), pb.LeakyReLU(0.1)),
                L(4, 3, bias=False),
            ),
            loss=pb.CrossEntropy(reduction="sum"),
        ),
        target=CLASSES,
    ),
    "one output": dict(
        net=pb.Network(S(L(4, 1)), loss=pb.MSELoss()), target=VALUES[:, :1]
    ),
}  # fmt: skip


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("name", CASES)
def test_the_engines_agree(name: str, workers: int) -> None:
    agree(**CASES[name], workers=workers)


def agree(
    net: pb.Network,
    target: Any,
    optimizer: Any = SGD,
    dtype: Any = np.float64,
    weight: Any = None,
    workers: int = 1,
) -> None:
    start = {name: value.astype(dtype) for name, value in net.init(seed=1).items()}
    x = RNG.normal(size=(SAMPLES, 4)).astype(dtype)
    fast = NumbaEngine(net, start, optimizer, workers)
    slow = NumpyEngine(net, start, optimizer)
    data = {"x": x, "target": target.astype(dtype)}
    data |= {} if weight is None else {"sample_weight": weight}
    tolerance = 1e-12 if dtype is np.float64 else 1e-5
    for _ in range(2):
        order = RNG.permutation(SAMPLES)  # the last batch has ten samples
        rates = np.full(-(-SAMPLES // BATCH), 0.05)
        a = fast.run(data, order, BATCH, rates)
        b = slow.run(data, order, BATCH, rates)
        np.testing.assert_allclose(a.losses, b.losses, rtol=tolerance)
        assert (a.hits, a.failed) == (b.hits, b.failed)
        np.testing.assert_allclose(fast.vector, slow.vector, rtol=tolerance, atol=tolerance)
    assert fast.done == slow.done == 6
    for name, slot in slow.slots.items():
        np.testing.assert_allclose(fast.slots[name], slot, rtol=tolerance, atol=tolerance)


def test_a_loss_that_is_not_finite_stops_before_its_update() -> None:
    net = CASES["one output"]["net"]
    x = RNG.normal(size=(SAMPLES, 4))
    x[20] = 1e200
    for kind in (NumbaEngine, NumpyEngine):
        engine = kind(net, net.init(seed=1), SGD)
        with np.errstate(over="ignore"):
            outcome = engine.run({"x": x, "target": VALUES[:, :1]}, None, BATCH, np.full(3, 0.05))
        assert outcome.failed == 1
        assert engine.done == 1
        assert np.isfinite(engine.vector).all()


def test_the_source_that_runs_can_be_read() -> None:
    net = CASES["tanh, penalty, Nesterov, single precision"]["net"]
    source = NumbaEngine(net, net.init(seed=0), SGD).source
    assert "a1 = tanh(z0)" in source
    assert "matmul(x[first:end], W0.T, A0[first:end])" in source
