"""A profile does the same steps, and its parts are a whole step."""

from __future__ import annotations

import numpy as np
import pytest

import pullback as pb
from pullback import emit
from pullback.bench.profile import Profile, profile_steps
from pullback.emit.epoch.profile import KINDS
from pullback.errors import ConfigError
from pullback.train.numba_engine import NumbaEngine
from pullback.train.optim import Adam, equations

RNG = np.random.default_rng(0)
NET = pb.Network(
    pb.Sequential(pb.Linear(4, 6), pb.Tanh(), pb.Linear(6, 3)), loss=pb.CrossEntropy(), l2=0.1
)
RULE = Adam(0.01, clip_norm=1.0)  # clipping needs a meeting, and a second sweep over the weights
X, Y = RNG.normal(size=(40, 4)), np.eye(3)[RNG.integers(0, 3, 40)]


def source(variant: str) -> list[str]:
    """The lines of an epoch's source without its arguments and the arrays made of them."""
    text = emit.training_epoch(NET.training_roots, equations(RULE), NET.leaves, variant).source
    return [
        line
        for line in text.splitlines()
        if "carray(" not in line and not line.startswith("def run")
    ]


def test_a_profile_adds_nothing_but_looks_at_the_clock() -> None:
    added = [line for line in source("profile") if line not in source("training")]
    assert {line.partition("(")[0].strip() for line in added} == {"since = lap", "since = cycles"}
    assert [line for line in source("profile") if line not in added] == source("training")


def test_every_kind_of_work_ends_with_a_look_at_the_clock() -> None:
    body = source("profile")
    body = [line.strip() for line in body[body.index("    since = cycles()") :]]
    for kind, call in enumerate(["", "matmul(", "", "update_1(", "meet("]):
        if not call:
            continue
        for at, line in enumerate(body):
            if line.startswith(call):
                lap = next(later for later in body[at:] if later.startswith("since = lap"))
                assert lap == f"since = lap(spent, worker, {kind}, since)", line


def test_the_floor_keeps_every_product_and_nothing_else() -> None:
    def calls(variant: str) -> list[str]:
        return [line for line in source(variant) if line.strip().startswith(("matmul", "gemm"))]

    assert calls("products") == calls("training")
    assert len(calls("products")) == 5  # two layers: forward, weights, and one back
    words = ("tanh", "exp", "meet(", "rows_x", "losses")
    assert not [line for line in source("products")[30:] if any(word in line for word in words)]


@pytest.mark.parametrize("workers", [1, 2])
def test_results_are_those_without_a_profile(workers: int) -> None:
    plain, profiled = (
        NumbaEngine(NET, NET.init(seed=0), RULE, workers, variant)
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
    original = NumbaEngine.run

    def run(self: NumbaEngine, data, order, size, rates):  # type: ignore[no-untyped-def]
        now[0] += len(rates) * paces[variants[id(self)]]
        return original(self, data, order, size, rates)

    variants: dict[int, str] = {}
    make = NumbaEngine.__init__

    def init(self: NumbaEngine, *given, variant="training"):  # type: ignore[no-untyped-def]
        variants[id(self)] = variant
        make(self, *given, variant=variant)

    monkeypatch.setattr(NumbaEngine, "run", run)
    monkeypatch.setattr(NumbaEngine, "__init__", init)
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
