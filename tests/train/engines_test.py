"""The compiled engine and the NumPy engine do the same steps, for every kind of network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from general_networks import GENERAL

import pullback as pb
from pullback.errors import DataError
from pullback.train.compiled_engine import CompiledEngine
from pullback.train.engine import NumpyEngine

RNG = np.random.default_rng(0)
SAMPLES, BATCH = 42, 16
CLASSES = np.eye(3)[RNG.integers(0, 3, SAMPLES)]
VALUES = RNG.normal(size=(SAMPLES, 3))
BITS = RNG.integers(0, 2, (SAMPLES, 3)).astype(float)
L, S, SGD = pb.Linear, pb.Sequential, pb.optim.SGD(0.05)

# each case tries several things at once
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
    "more classes than a vector has, sample weights": dict(
        net=pb.Network(L(4, 33), loss=pb.CrossEntropy(), weighted=True),
        target=RNG.dirichlet(np.ones(33), SAMPLES),
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
    fast = CompiledEngine(net, start, optimizer, workers)
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
    for kind in (CompiledEngine, NumpyEngine):
        engine = kind(net, net.init(seed=1), SGD)
        with np.errstate(over="ignore"):
            outcome = engine.run({"x": x, "target": VALUES[:, :1]}, None, BATCH, np.full(3, 0.05))
        assert outcome.failed == 1
        assert engine.done == 1
        assert np.isfinite(engine.vector).all()


OTHERS = ("attention with heads", "batch norm evaluated", "embedding", "gru", "largest token",
          "layer norm over tokens", "weighted bits")  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_no_bit_depends_on_the_number_of_workers(name: str) -> None:
    """Shares of unlike length: three workers have one row, or none, of a batch of two."""
    (case,) = (each for each in GENERAL if each.name == name)
    data, learnt = dict(case.net.batch(case.params, case.X, case.Y)[1]), []
    for workers in (1, 2, 3):
        engine = CompiledEngine(case.net, case.params, pb.optim.Adam(0.01, clip_norm=1.0), workers)
        losses = [engine.run(data, None, 2, np.full(-(-case.batch // 2), 0.01)) for _ in range(3)]
        learnt.append((engine.vector.copy(), *(each.losses for each in losses)))
    for other in learnt[1:]:
        for one, two in zip(learnt[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_one_worker_adds_what_all_have_in_common() -> None:
    """The three biases of attention are parts of one, which their gradients are added into."""
    model = S(pb.MultiheadAttention(4, 2), L(4, 2))
    net = pb.Network(model, loss=pb.MSELoss(), x="tokens=3 features=4")
    start, data = net.init(seed=1), {"x": RNG.normal(size=(9, 3, 4)), "target": np.ones((9, 3, 2))}
    slow = NumpyEngine(net, start, pb.optim.SGD(0.5))
    slow.run(data, None, 5, np.full(2, 0.5))
    for workers in (1, 2, 3):
        engine = CompiledEngine(net, start, pb.optim.SGD(0.5), workers)
        engine.run(data, None, 5, np.full(2, 0.5))
        np.testing.assert_allclose(engine.vector, slow.vector, rtol=1e-12, atol=1e-14)


def test_no_bit_of_wide_layers_depends_on_the_number_of_workers() -> None:
    net = pb.Network(S(L(40, 256), pb.Tanh(), L(256, 33)), loss=pb.CrossEntropy())
    x, target = RNG.normal(size=(200, 40)), np.eye(33)[RNG.integers(0, 33, 200)]
    learnt = []
    for workers in (1, 2, 3):
        engine = CompiledEngine(net, net.init(seed=1), pb.optim.SGD(0.05), workers)
        engine.run({"x": x, "target": target}, None, 96, np.full(3, 0.05))
        learnt.append(engine.vector)
    np.testing.assert_array_equal(learnt[0], learnt[1])
    np.testing.assert_array_equal(learnt[0], learnt[2])


CONVOLVED = pb.Network(
    S(
        pb.Conv2d(2, 5, 3, padding=1, bias=False), pb.BatchNorm2d(5), pb.ReLU(), pb.MaxPool2d(2),
        pb.Conv2d(5, 4, 3, stride=2, padding=1), pb.ReLU(), pb.AvgPool2d(2), pb.Flatten(),
        L(4, 3),
    ),
    loss=pb.CrossEntropy(), x="channels=2 height=8 width=8",
)  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_samples_in_blocks(dtype: Any) -> None:
    """Convolutions, pools and norms, whole blocks and a broken one: NumPy's steps, to the bit the
    same for any number of workers.
    """
    start = {name: value.astype(dtype) for name, value in CONVOLVED.init(seed=1).items()}
    x = RNG.normal(size=(75, 2, 8, 8)).astype(dtype)
    data = {"x": x, "target": np.eye(3, dtype=dtype)[RNG.integers(0, 3, 75)]}
    order, rates, rule = RNG.permutation(75), np.full(2, 0.05), pb.optim.Adam(0.01)
    engines: list[Any] = [CompiledEngine(CONVOLVED, start, rule, workers) for workers in (1, 2, 3)]
    slow = NumpyEngine(CONVOLVED, start, rule)
    expected = [slow.run(data, order, 40, rates).losses for _ in range(2)]
    found = [[each.run(data, order, 40, rates).losses for _ in range(2)] for each in engines]
    tolerance = 1e-12 if dtype is np.float64 else 1e-5
    np.testing.assert_allclose(found[0], expected, rtol=tolerance)
    for name, value in slow.params.items():
        first, *others = (engine.params[name] for engine in engines)
        np.testing.assert_allclose(first, value, rtol=tolerance, atol=10 * tolerance)
        for other in others:
            np.testing.assert_array_equal(other, first)


def test_a_place_where_nothing_is_to_look_up_is_refused() -> None:
    (case,) = (each for each in GENERAL if each.name == "embedding")
    data = dict(case.net.batch(case.params, case.X, case.Y)[1])
    for wrong in (-1, 1000):
        data["x"] = np.full_like(data["x"], wrong)
        engine = CompiledEngine(case.net, case.params, SGD, 1)
        with pytest.raises(DataError, match="x is not of whole numbers from 0 to"):
            engine.run(data, None, 2, np.full(1, 0.1))
