"""A profile does the same steps, and its parts are a whole step."""

from __future__ import annotations

import numpy as np
import pytest

import pullback as pb
from pullback import emit
from pullback.emit.epoch.code import EpochCode
from pullback.emit.epoch.record import KINDS
from pullback.errors import ConfigError
from pullback.report.profile import Profile, profile_steps
from pullback.train.compiled_engine import CompiledEngine
from pullback.train.optim import Adam, equations

RNG = np.random.default_rng(0)
NET = pb.Network(
    pb.Sequential(pb.Linear(4, 6), pb.Tanh(), pb.Linear(6, 3)), loss=pb.CrossEntropy(), l2=0.1
)
RULE = Adam(0.01, clip_norm=1.0)  # clipping needs a meeting, and a second sweep over the weights
X, Y = RNG.normal(size=(40, 4)), np.eye(3)[RNG.integers(0, 3, 40)]


def code(variant: str) -> EpochCode:
    return emit.training_code(NET.training_roots, equations(RULE), NET.leaves, "float64", variant)


def test_a_profile_adds_nothing_but_looks_at_the_clock() -> None:
    plain, profiled = code("training"), code("profile")
    assert profiled.lines == plain.lines
    assert "readcyclecounter" not in str(plain.module)
    # gather, products and loops in turn, meeting, judging, sums, meetings around the update
    assert str(profiled.module).count('call i64 @"llvm.readcyclecounter"') > 8


def test_the_floor_keeps_every_product_and_nothing_else() -> None:
    def calls(variant: str) -> int:
        return str(code(variant).module).count('call void @"pullback_product_float64"')

    assert calls("products") == calls("training") == 5  # two layers: forward, weights, one back
    assert all(line.startswith("multiply") for line in code("products").lines)


@pytest.mark.parametrize("workers", [1, 2])
def test_results_are_those_without_a_profile(workers: int) -> None:
    plain, profiled = (
        CompiledEngine(NET, NET.init(seed=0), RULE, workers, variant)
        for variant in ("training", "profile")
    )
    rates = np.full(5, 0.01)
    order = RNG.permutation(40)
    for _ in range(2):
        a, b = (engine.run({"x": X, "target": Y}, order, 8, rates) for engine in (plain, profiled))
        np.testing.assert_array_equal(a.losses, b.losses)
        assert a.hits == b.hits
    np.testing.assert_array_equal(plain.vector, profiled.vector)
    assert not plain.spent.any()
    assert profiled.spent.shape[0] == workers
    assert (profiled.spent[:, : len(KINDS)] > 0).all()
    assert not profiled.spent[:, len(KINDS) :].any()


def test_the_parts_add_up_to_a_step() -> None:
    told: list[str] = []
    params = NET.init(seed=0)
    before = {name: value.copy() for name, value in params.items()}
    found = profile_steps(
        NET, X, Y, params, RULE, batch_size=8, rounds=2, long_enough=0.002, tell=told.append
    )
    assert list(found.seconds) == list(KINDS)
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.total == pytest.approx(sum(found.seconds.values()))
    assert all(value > 0 for value in found.seconds.values())
    assert found.floor > 0
    assert len(told) == 3 + 2
    assert (found.batch_size, found.workers) == (8, 1)
    for name, value in params.items():
        np.testing.assert_array_equal(value, before[name])


def test_the_total_is_that_of_the_function_that_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each variant moves the clock at its own pace: training's is the total."""
    paces, now = {"training": 3e-6, "profile": 50e-6, "products": 2e-6}, [0.0]
    original = CompiledEngine.run

    def run(self: CompiledEngine, data, order, size, rates):  # type: ignore[no-untyped-def]
        now[0] += len(rates) * paces[variants[id(self)]]
        return original(self, data, order, size, rates)

    variants: dict[int, str] = {}
    make = CompiledEngine.__init__

    def init(self: CompiledEngine, *given, variant="training"):  # type: ignore[no-untyped-def]
        variants[id(self)] = variant
        make(self, *given, variant=variant)

    monkeypatch.setattr(CompiledEngine, "run", run)
    monkeypatch.setattr(CompiledEngine, "__init__", init)
    found = profile_steps(
        NET, X, Y, None, RULE, 8, rounds=1, long_enough=0.001, clock=lambda: now[0]
    )
    assert found.total == pytest.approx(3e-6)
    assert found.floor == pytest.approx(2e-6)


def test_text_and_data_say_the_same() -> None:
    seconds = dict(zip(KINDS, (1e-6, 6e-6, 2e-6, 1e-6, 0.0), strict=True))
    found = Profile(seconds, 5e-6, 32, 2, "a machine")
    lines = found.text().splitlines()
    assert lines[0] == "Products take 60 % of a step; 2.00 × the floor."
    assert [line.split()[0] for line in lines[4:]] == [*KINDS, "step", "floor"]
    shown = [float(line.split()[1]) for line in lines[4:]]
    assert shown == [1.0, 6.0, 2.0, 1.0, 0.0, 10.0, 5.0]
    assert max(map(len, lines)) <= 80
    data = found.to_dict()
    assert data["microseconds_a_step"] == pytest.approx(10)
    assert data["shares"]["products"] == pytest.approx(0.6)


def test_bad_input_is_refused_before_anything_is_compiled() -> None:
    with pytest.raises(ConfigError, match="rounds is 0"):
        profile_steps(NET, X, Y, rounds=0)
    with pytest.raises(ConfigError, match="optimizer is"):
        profile_steps(NET, X, Y, optimizer=pb.optim.LBFGS())  # type: ignore[arg-type]
