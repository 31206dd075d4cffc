"""All peers learn the same: they start from the same parameters and follow the same rule."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from pullback.bench import peers
from pullback.bench.absent import AbsentError
from pullback.bench.networks import PUBLISHED
from pullback.bench.peers import make
from pullback.bench.process import Process, environment
from pullback.bench.record import AGREE
from pullback.bench.task import BenchmarkTask, GivenTask, PublishedTask, TrainingTask, from_dict
from pullback.errors import ConfigError

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


@pytest.mark.parametrize(
    ("name", "work"), [*((name, "training") for name in PUBLISHED), ("resnet8", "predicting")]
)
def test_a_published_network_is_the_same_in_every_library(name: str, work: str) -> None:
    task: BenchmarkTask = PublishedTask(name, 2, "momentum")
    task = task if work == "training" else task.predicting(2)
    ours = make("pullback", task, 1).first_pass()
    for peer, library in {"torch": "torch", "jax.jit": "jax"}.items():
        if importlib.util.find_spec(library) is not None:
            assert make(peer, task, 1).first_pass() == pytest.approx(ours, rel=1e-4)
    for peer in ("floor", "sklearn"):
        with pytest.raises(AbsentError):
            make(peer, task, 1)


def test_a_task_survives_its_way_to_another_process() -> None:
    for task in (
        TrainingTask((6, 5, 3), 4, "relu", "sgd").predicting(1),
        PublishedTask("gru", 4, "adam"),
        GivenTask("net.py:net", 4, "sgd", sizes=(1, 8, 8)),
    ):
        assert from_dict(json.loads(json.dumps(task.to_dict()))) == task


OWN = """
import pullback as pb
net = pb.Network(pb.Sequential(pb.Linear(4, 3), pb.Tanh(), pb.Linear(3, 2)), pb.MSELoss())
words = pb.Network(pb.Sequential(pb.Embedding(7, 3), pb.Linear(3, 2)), pb.CrossEntropy(),
                   x="tokens=5:index")
noisy = pb.Network(pb.Sequential(pb.Linear(4, 3), pb.Dropout(0.5)), pb.MSELoss())
"""


@pytest.mark.parametrize("name", ["net", "words"])
def test_a_persons_network_is_the_same_in_every_library(name: str, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    task = GivenTask(f"{tmp_path / 'own.py'}:{name}", 4, "adam")
    task.check()
    ours = make("pullback", task, 1).first_pass()
    for peer, library in {"torch": "torch", "jax.jit": "jax", "jax.scan": "jax"}.items():
        if importlib.util.find_spec(library) is not None:
            assert make(peer, task, 1).first_pass() == pytest.approx(ours, rel=1e-4)


def test_a_network_whose_data_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    with pytest.raises(ConfigError, match="without noise"):
        GivenTask(f"{tmp_path / 'own.py'}:noisy", 4, "adam").check()
