"""A second process trains at once: what the first one compiled is there; nothing heavy loads."""

import os
import subprocess
import sys

import pytest

HEAVY = (
    *("sympy", "numba", "scipy.optimize", "scipy.linalg", "sklearn", "plotly", "pandas", "torch"),
    *("jax", "importlib.metadata", "pullback.emit.recompute.planner"),
)
PREPARED = """
import sys
import numpy as np
import pullback as pb
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(20, 6)).astype("f"), rng.integers(0, 3, 20)
blocks = pb.Linear(6, 5), pb.ReLU(), pb.Residual(pb.Sequential(pb.Linear(5, 5), pb.Tanh()))
net = pb.Network(pb.Sequential(*blocks, pb.Linear(5, 3)), loss=pb.CrossEntropy(), l2=0.01)
params = net.init(seed=1, dtype=np.float32)
sgd, adam = pb.optim.SGD(0.1, momentum=0.9), pb.optim.Adam(pb.optim.Cosine(0.01, steps=10))
"""
LOADED = f"\nprint('heavy:', *[name for name in {HEAVY!r} if name in sys.modules])\n"


def fresh(code, cache="off"):
    """The lines that a new process prints."""
    variables = {**os.environ, "PULLBACK_CACHE": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_nothing_heavy_loads_before_the_engine():
    assert fresh(PREPARED + "pb.fit" + LOADED) == ["heavy:"]


def test_an_optimiser_and_a_network_tell_their_signatures_without_sympy():
    tell = "assert net.signature() and sgd.signature() and adam.signature()"
    assert fresh(PREPARED + tell + LOADED) == ["heavy:"]


TRAIN = """
net = pb.Network(pb.Linear(6, 3), loss=pb.CrossEntropy())
result = pb.fit(net, X, Y, optimizer=sgd, epochs=3, batch_size=8, progress=False,
                engine="compiled")
print(result.history["loss"], *(value.tobytes().hex() for value in result.params.values()))
"""


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A cache that a process has filled, and what that process learnt."""
    cache = tmp_path_factory.mktemp("cache")
    learnt, heavy = fresh(PREPARED + TRAIN + LOADED, cache)
    assert "sympy" in heavy, "there was something in the cache already"
    assert list(cache.iterdir()), "nothing was put into the cache"
    return cache, learnt


def test_the_second_process_learns_the_same_without_compiling(first):
    cache, learnt = first
    assert fresh(PREPARED + TRAIN + LOADED, cache) == [learnt, "heavy:"]


def test_another_rate_needs_no_other_code(first):
    cache, learnt = first
    faster = TRAIN.replace("optimizer=sgd", "optimizer=pb.optim.SGD(0.2, momentum=0.9)")
    other, heavy = fresh(PREPARED + faster + LOADED, cache)
    assert other != learnt
    assert heavy == "heavy:"


VALIDATED = """
dropping = pb.Sequential(pb.Linear(6, 5), pb.ReLU(), pb.Dropout(0.1), pb.Linear(5, 3))
net = pb.Network(dropping, loss=pb.CrossEntropy())
Y, given = X[:, :3].argmax(1), dict(batch_size=8, progress=False, early_stopping=5)
result = pb.fit(net, X, Y, epochs=3, validation=(X[:9], Y[:9]), **given)
print(result.history["validation_loss"], result.stopped)
"""
GUESSING = """
X = np.random.default_rng(0).normal(size=(60, 6)).astype("f")
net = pb.Network(pb.Sequential(pb.Linear(6, 5), pb.Tanh(), pb.Linear(5, 3)), pb.CrossEntropy())
result = pb.fit(net, X, X[:, :3].argmax(1), epochs=1, batch_size=20, progress=False)
assert result.history["accuracy"][0] < 0.37 and result.diverged is None  # it is .53 by then
print(result.history["accuracy"])
"""


@pytest.mark.parametrize("train", [VALIDATED, GUESSING], ids=["validation", "near chance"])
def test_what_looks_at_samples_needs_no_equations_either(train, tmp_path):
    learnt, heavy = fresh(PREPARED + train + LOADED, tmp_path)
    assert "sympy" in heavy
    assert fresh(PREPARED + train + LOADED, tmp_path) == [learnt, "heavy:"]


NORMED = """
blocks = pb.Conv1d(1, 4, 3), pb.BatchNorm1d(4), pb.ReLU(), pb.Flatten(), pb.Linear(16, 3)
net = pb.Network(pb.Sequential(*blocks), loss=pb.CrossEntropy(), x="channels=1 length=6")
options = dict(optimizer=sgd, epochs=20, batch_size=8, progress=False)
classes = (X[:, 2] > 0).astype(int)  # what is stuck at chance is looked at with SymPy
print(pb.fit(net, X[:, None], classes, **options).history["loss"])
"""


def test_running_statistics_are_trained_without_sympy(tmp_path):
    learnt, _ = fresh(PREPARED + NORMED + LOADED, tmp_path)
    assert fresh(PREPARED + NORMED + LOADED, tmp_path) == [learnt, "heavy:"]
