"""Epochs between which nobody looks are one chunk of steps: the same bits as one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.errors import NonFiniteError
from pullback.train import training
from pullback.train.compiled_engine import CompiledEngine

RNG = np.random.default_rng(3)
X, CLASSES = RNG.normal(size=(47, 4)), RNG.integers(0, 3, 47)
NET = pb.Network(pb.Sequential(pb.Linear(4, 6), pb.Tanh(), pb.Linear(6, 3)), loss=pb.CrossEntropy())
CASES: dict[str, dict[str, Any]] = {
    "all samples": dict(batch_size=None),
    "a smaller last batch": dict(batch_size=16),
    "in order": dict(batch_size=10, shuffle=False),
    "a schedule": dict(optimizer=pb.optim.Adam(pb.optim.Cosine(0.1, 30))),
    "a function": dict(optimizer=pb.optim.SGD(lambda step: 0.1 / step)),
    "weighted": dict(class_weight="balanced", sample_weight=RNG.random(47)),
    "dropout": dict(net=pb.Network(pb.Sequential(pb.Dropout(0.5), pb.Linear(4, 3)), pb.MSELoss()),
                    Y=np.eye(3)[CLASSES]),
}  # fmt: skip


def fit(monkeypatch: Any, seconds: float, **options: Any) -> tuple[pb.FitResult, int]:
    """What training learns in chunks of so many seconds, and how many calls that takes."""
    calls, run = [], CompiledEngine.run

    def counted(self: Any, *given: Any) -> Any:
        calls.append(1)
        return run(self, *given)

    given = dict(net=NET, X=X, Y=CLASSES, epochs=9, batch_size=8, progress=False) | options
    with monkeypatch.context() as patched:
        patched.setattr(training, "_CHUNK", seconds)
        patched.setattr(CompiledEngine, "run", counted)
        return pb.fit(**given), len(calls)


@pytest.mark.parametrize("name", CASES)
def test_epochs_in_one_chunk_are_those_one_by_one(monkeypatch: Any, name: str) -> None:
    (found, few), (expected, many) = (fit(monkeypatch, s, **CASES[name]) for s in (1e9, 0.0))
    for column in {*expected.history} - {"seconds"}:
        assert found.history[column] == expected.history[column], column
    for key, value in expected.params.items():
        np.testing.assert_array_equal(found.params[key], value)
    assert found.optimizer_state is not None
    assert expected.optimizer_state is not None
    assert found.optimizer_state.steps == expected.optimizer_state.steps
    assert len(found.history["seconds"]) == 9
    if name != "dropout":  # noise is drawn chunk by chunk
        assert few <= 3 < many


def test_who_looks_between_epochs_sees_each(monkeypatch: Any) -> None:
    seen: list[float] = []
    fit(monkeypatch, 1e9, callback=lambda epoch, params, history: seen.append(history["loss"][-1]))
    assert len(seen) == 9
    stopped, _ = fit(monkeypatch, 1e9, epochs=200, early_stopping=1, optimizer=pb.optim.SGD(3.0))
    assert stopped.stopped is not None


def test_an_epoch_that_fails_in_a_chunk_leaves_those_before_it(monkeypatch: Any) -> None:
    def rate(step: int) -> float:
        return 1e200 if step > 28 else 0.1  # in the fifth epoch

    net, optimizer = pb.Network(NET.model, pb.MSELoss()), pb.optim.SGD(rate)
    faults = []
    for seconds in (1e9, 0.0):
        with pytest.raises(NonFiniteError) as caught:
            fit(monkeypatch, seconds, net=net, Y=np.eye(3)[CLASSES], optimizer=optimizer)
        faults.append(caught.value)
    found, expected = faults
    assert str(found) == str(expected)
    assert len(found.result.history["loss"]) == 4
    assert found.result.history["loss"] == expected.result.history["loss"]
    for key, value in expected.params.items():
        np.testing.assert_array_equal(found.params[key], value)
