"""Large batches of narrow networks go in strips of samples: NumPy's steps, whoever takes which."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from general_networks import GENERAL, IN_TRAINING

import pullback as pb
from pullback import emit
from pullback.errors import NotApplicableError
from pullback.train.compiled_engine import LONG, CompiledEngine
from pullback.train.engine import NumpyEngine
from pullback.train.optim import equations

RNG = np.random.default_rng(0)
L, S = pb.Linear, pb.Sequential
BATCH = LONG + 3  # the last strip is no whole tile
CASES: dict[str, pb.Network] = {
    "regression": pb.Network(S(L(4, 19), pb.Tanh(), L(19, 2)), pb.MSELoss(), l2=0.1),
    "classes": pb.Network(S(L(4, 6), pb.ReLU(), L(6, 5), pb.Sigmoid(), L(5, 3)), pb.CrossEntropy()),
    "a sum, no bias": pb.Network(L(4, 9, bias=False), pb.SquaredError(reduction="sum")),
}


def data_of(net: pb.Network, samples: int, dtype: Any) -> dict[str, Any]:
    outputs = net.output_axes[-1].size or 1
    target = RNG.normal(size=(samples, outputs)) / 8
    if isinstance(net.loss, pb.CrossEntropy):
        target = np.eye(outputs)[RNG.integers(0, outputs, samples)]
    return {"x": RNG.normal(size=(samples, 4)).astype(dtype), "target": target.astype(dtype)}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CASES)
def test_strips_do_the_same_steps(name: str, dtype: Any) -> None:
    net, rule = CASES[name], pb.optim.Adam(0.01, clip_norm=1.0)
    start = {key: value.astype(dtype) for key, value in net.init(seed=1).items()}
    data = data_of(net, 2 * BATCH - 1000, dtype)  # the second batch has fewer samples
    order, rates = RNG.permutation(2 * BATCH - 1000), np.full(2, 0.01)
    engines: list[Any] = [
        CompiledEngine(net, start, rule, workers, batch_size=BATCH) for workers in (1, 2, 3)
    ]
    slow = NumpyEngine(net, start, rule)
    expected = slow.run(data, order, BATCH, rates)
    first, *others = (engine.run(data, order, BATCH, rates) for engine in engines)
    tolerance = 1e-12 if dtype is np.float64 else 1e-5
    np.testing.assert_allclose(first.losses, expected.losses, rtol=tolerance)
    np.testing.assert_allclose(engines[0].vector, slow.vector, rtol=tolerance, atol=tolerance)
    assert first.hits == expected.hits
    for engine, other in zip(engines[1:], others, strict=True):
        np.testing.assert_array_equal(other.losses, first.losses)
        np.testing.assert_array_equal(engine.vector, engines[0].vector)
        assert other.hits == first.hits


def in_strips(net: pb.Network) -> Any:
    rule = equations(pb.optim.SGD(0.1))
    given = net.training_roots, rule, net.leaves, "float64", "training"
    return emit.training_code(*given, net.update_keys, net.noise, strips=True)


def test_a_strip_goes_through_all_layers_before_the_next_one() -> None:
    lines = in_strips(CASES["classes"]).lines
    assert lines[0].startswith("in strips of ")
    end = next(at for at, line in enumerate(lines) if line.startswith("add up"))
    assert sum(line.startswith("multiply") for line in lines[:end]) == 8
    assert not any(line.startswith("multiply") for line in lines[end:])


def test_what_is_done_to_a_product_is_done_where_it_is_made() -> None:
    code = in_strips(CASES["classes"])
    forward = [line for line in code.lines if line.startswith("multiply: t")]
    assert "; z2 = " in forward[1]
    assert "; a3 = sigmoid(z2)" in forward[1]
    assert not any(line.startswith("for batch, units.2: ") for line in code.lines)
    stored = {*code.training.memory.room}
    assert "a3" in stored
    assert "z2" not in stored


@pytest.mark.parametrize("name", ["attention with heads", "dropout", "batch norm evaluated",
                                  "halves of the channels", "weighted bits"])  # fmt: skip
def test_general_networks_in_strips(name: str) -> None:
    (case,) = (each for each in (*GENERAL, *IN_TRAINING) if each.name == name)
    given = dict(case.net.batch(case.params, case.X, case.Y)[1])
    data = {key: np.concatenate([rows] * (LONG // len(rows) + 1)) for key, rows in given.items()}
    size, rule = len(data["target"]), pb.optim.SGD(0.05)
    fast = CompiledEngine(case.net, case.params, rule, 2, batch_size=size)
    slow = NumpyEngine(case.net, case.params, rule)
    losses = [engine.run(data, None, size, np.full(1, 0.05)).losses for engine in (fast, slow)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-11)
    np.testing.assert_allclose(fast.vector, slow.vector, rtol=1e-10, atol=1e-12)


def test_samples_that_wait_for_one_another_do_not_go_in_strips() -> None:
    net = pb.Network(S(L(4, 6), pb.BatchNorm1d(6), L(6, 2)), pb.MSELoss())
    with pytest.raises(NotApplicableError, match="not made sample by sample"):
        in_strips(net)
    data, start = data_of(net, BATCH, np.float64), net.init(0)
    engines = [kind(net, start, pb.optim.SGD(0.1)) for kind in (CompiledEngine, NumpyEngine)]
    found = [engine.run(data, None, BATCH, np.full(1, 0.1)).losses for engine in engines]
    np.testing.assert_allclose(*found, rtol=1e-12)


def test_a_loss_that_is_not_finite_stops_before_its_update() -> None:
    net = CASES["regression"]
    data = data_of(net, 2 * BATCH, np.float64)
    data["x"][-1] = np.nan
    engine = CompiledEngine(net, net.init(0), pb.optim.SGD(0.1), 2, batch_size=BATCH)
    outcome = engine.run(data, None, BATCH, np.full(2, 0.1))
    assert outcome.failed == 1
    assert np.isfinite(engine.vector).all()


def test_fit_takes_strips_for_a_full_batch() -> None:
    data = data_of(CASES["regression"], BATCH, np.float64)
    options = dict(epochs=3, batch_size=None, progress=False, optimizer=pb.optim.Adam(0.01))
    found, expected = (
        pb.fit(CASES["regression"], data["x"], data["target"], engine=engine, **options)
        for engine in ("compiled", "numpy")
    )
    np.testing.assert_allclose(found.history["loss"], expected.history["loss"], rtol=1e-12)
