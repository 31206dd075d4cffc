"""All peers learn the same: they start from the same parameters and follow the same rule."""

from __future__ import annotations

import importlib.util

import pytest

from pullback.bench import peers
from pullback.bench.peers import AbsentError, make
from pullback.bench.process import Process, environment
from pullback.bench.record import AGREE
from pullback.bench.task import TrainingTask

NEEDS = {"torch": "torch", "jax.jit": "jax", "jax.scan": "jax", "sklearn": "sklearn"}


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_every_peer_has_the_same_loss_over_its_first_passes(optimizer: str) -> None:
    task = TrainingTask((6, 5, 3), 4, "tanh" if optimizer == "adam" else "relu", optimizer)
    ours = make("pullback", task, 1)
    first = ours.first_pass()
    assert first is not None
    ours.passes(2)
    later = ours.first_pass()  # the fourth
    assert later is not None
    for name, library in NEEDS.items():
        if importlib.util.find_spec(library) is None:
            continue
        peer = make(name, task, 1)
        assert peer.first_pass() == pytest.approx(first, rel=1e-5)
        peer.passes(2)
        assert peer.first_pass() == pytest.approx(later, rel=AGREE)


def test_the_floor_learns_nothing() -> None:
    floor = make("floor", TrainingTask((6, 5, 3), 4, "relu", "sgd"), 1)
    assert floor.first_pass() is None
    floor.passes(1)


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name=name.rpartition(".")[2])

    monkeypatch.setattr(peers, "import_module", missing)
    with pytest.raises(AbsentError, match=r"^jax is not installed$"):
        make("jax.scan", TrainingTask((6, 5, 3), 4, "relu", "sgd"), 1)


def test_torch_compile_needs_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(AbsentError, match=r"no C\+\+ compiler"):
        make("torch.compile", TrainingTask((6, 5, 3), 4, "relu", "sgd"), 1)


def test_scikit_learn_has_another_network_for_two_classes() -> None:
    with pytest.raises(AbsentError, match="two classes"):
        make("sklearn", TrainingTask((6, 5, 2), 4, "relu", "sgd"), 1)


def test_a_peer_works_in_a_process_of_its_own_and_its_end_is_noticed() -> None:
    task = TrainingTask((6, 5, 3), 4, "relu", "sgd")
    process = Process("sklearn", 1)
    try:
        assert process.prepare(task) == pytest.approx(make("pullback", task, 1).first_pass())
        assert process.go(0.01).seconds > 0
        assert process.alive
        process._process.kill()
        with pytest.raises(AbsentError, match="its process ended"):
            process.go(0.01)
        assert not process.alive
    finally:
        process.close()


def test_a_process_that_cannot_start_says_why() -> None:
    process = Process("nobody", 1)
    try:
        with pytest.raises(AbsentError, match="KeyError"):
            process.prepare(TrainingTask((6, 5, 3), 4, "relu", "sgd"))
    finally:
        process.close()


def test_every_library_gets_the_same_number_of_threads() -> None:
    given = environment(3)
    assert {given[name] for name in given if name.endswith("_NUM_THREADS")} >= {"3"}
    assert given["OPENBLAS_NUM_THREADS"] == given["OMP_NUM_THREADS"] == "3"
    assert "multi_thread_eigen=true" in given["XLA_FLAGS"]
    assert "multi_thread_eigen=false" in environment(1)["XLA_FLAGS"]
