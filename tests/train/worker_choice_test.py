"""The compiled engine goes on with one worker where several are slow; no bit tells which it was."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.train import compiled_engine
from pullback.train.compiled_engine import CompiledEngine
from pullback.train.engine import Outcome

RNG = np.random.default_rng(0)
SAMPLES, BATCH, MOST = 70, 16, 3
STEPS = -(-SAMPLES // BATCH)
X, TARGET = RNG.normal(size=(SAMPLES, 4)), np.eye(3)[RNG.integers(0, 3, SAMPLES)]
PLAIN = pb.Sequential(pb.Linear(4, 20), pb.Tanh(), pb.Linear(20, 3))
DROPPED = pb.Sequential(pb.Linear(4, 20), pb.Dropout(0.2), pb.Tanh(), pb.Linear(20, 3))


class Watched(CompiledEngine):
    """An engine on a clock that its steps move: by ``paces`` seconds, by the number of workers."""

    def __init__(self, model: Any, workers: int | None = None) -> None:
        net = pb.Network(model, loss=pb.CrossEntropy())
        self.now, self.paces, self.seen = 0.0, {1: 1e-3, MOST: 1e-3}, list[int]()
        super().__init__(net, net.init(seed=1), pb.optim.Adam(0.01), workers)

    def _run(self, data: Any, order: Any, batch_size: int, rates: Any, workers: int) -> Outcome:
        self.seen += [workers] * len(rates)
        self.now += self.paces[workers] * len(rates)
        return super()._run(data, order, batch_size, rates, workers)


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch, model: Any) -> tuple[Watched, Watched]:
    """An engine that chooses between one worker and three, and one that has one."""
    monkeypatch.setattr(compiled_engine, "processors", lambda: MOST)
    monkeypatch.setattr(compiled_engine, "GRAIN", 1)
    engines = Watched(model), Watched(model, 1)
    clock = SimpleNamespace(perf_counter=lambda: engines[0].now, thread_time=lambda: engines[0].now)
    monkeypatch.setattr(compiled_engine, "time", clock)
    return engines


def epoch(pair: tuple[Watched, Watched], epochs: int = 1) -> list[int]:
    """Train both alike; with how many workers the first one did it."""
    order: Any = np.stack([RNG.permutation(SAMPLES) for _ in range(epochs)])
    order = order[0] if epochs == 1 else order
    data, rates = {"x": X, "target": TARGET}, np.full(epochs * STEPS, 0.01)
    pair[0].seen.clear()
    one, other = (engine.run(data, order, BATCH, rates) for engine in pair)
    np.testing.assert_array_equal(one.losses, other.losses)
    np.testing.assert_array_equal(one.right, other.right)
    np.testing.assert_array_equal(pair[0].vector, pair[1].vector)
    assert pair[0].done == pair[1].done
    return list(pair[0].seen)


@pytest.mark.parametrize("model", [PLAIN, DROPPED], ids=["plain", "dropout"])
def test_workers_that_look_slow_are_left_and_come_back(pair: tuple[Watched, Watched]) -> None:
    chooses = pair[0]
    chooses.paces = {1: 1e-3, MOST: 5e-4}
    seen = [count for _ in range(30) for count in epoch(pair)]
    assert seen[0] == MOST
    assert 1 in seen  # it was tried
    assert epoch(pair) == [MOST] * STEPS
    chooses.paces[MOST] = 8e-3  # somebody else computes
    for _ in range(4):
        epoch(pair)
    assert epoch(pair) == [1] * STEPS
    chooses.paces[MOST] = 5e-4
    for _ in range(1200):
        if epoch(pair) == [MOST] * STEPS:
            break
    assert epoch(pair) == [MOST] * STEPS


@pytest.mark.parametrize("model", [PLAIN], ids=["plain"])
def test_epochs_of_one_call_stay_whole(pair: tuple[Watched, Watched]) -> None:
    seen = [count for _ in range(8) for count in epoch(pair, epochs=7)]
    assert set(seen) == {1, MOST}
    assert all(len(set(seen[at : at + STEPS])) == 1 for at in range(0, len(seen), STEPS))


@pytest.mark.parametrize("model", [PLAIN], ids=["plain"])
def test_a_step_that_fails_in_a_later_run_has_its_number(pair: tuple[Watched, Watched]) -> None:
    data, order = {"x": X.copy(), "target": TARGET}, np.arange(SAMPLES)
    data["x"][3 * BATCH] = np.nan
    outcomes = [engine.run(data, order, BATCH, np.full(STEPS, 0.01)) for engine in pair]
    assert [outcome.failed for outcome in outcomes] == [3, 3]
    np.testing.assert_array_equal(outcomes[0].losses, outcomes[1].losses)
    np.testing.assert_array_equal(outcomes[0].right, outcomes[1].right)
    assert pair[0].done == pair[1].done == 3
    assert len(pair[0].seen) > 3
