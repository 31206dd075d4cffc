"""How long a trained network takes to say something of one sample, or of many, beside others.

    python benchmarks/predict.py [--rounds 40] [--calls 50] [--networks]

64-32-10 with a rectifier, in float32, on one thread: ``net.predict`` and the estimators' methods
beside torch's module under ``no_grad``, the program of ``to_jax`` under ``jax.jit`` and
scikit-learn's ``MLPClassifier`` and ``MLPRegressor``. ``--networks`` takes 784-128-64-10 and the
networks of ``networks.py`` instead: LeNet, ResNet-8, a transformer and a GRU, and beside the others
the NumPy program that ran before there was compiled code. All take turns in one process, rounds of
some calls; medians count, of processor time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import jax
import numpy as np
import torch
from networks import TASKS
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

import pullback as pb
from pullback.estimators import NetClassifier, NetRegressor
from pullback.report.words.provenance import processor

ROWS = (1, 32, 1024)
NETWORKS = ("lenet", "resnet8", "encoder", "gru")
Calls = dict[str, Callable[[], object]]


def taking_turns(calls: Calls, rounds: int, count: int) -> dict[str, float]:
    """The median of microseconds a call."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            started = time.process_time()
            for _ in range(count):
                call()
            found[name].append((time.process_time() - started) / count * 1e6)
    return {name: statistics.median(each) for name, each in found.items()}


def of_torch(module: torch.nn.Module, x: Any) -> Callable[[], object]:
    tensor = torch.from_numpy(x)

    def call() -> object:
        with torch.no_grad():
            return module(tensor)

    return call


def of_jax(net: pb.Network, params: Any, x: Any) -> Callable[[], object]:
    """A call that takes an array of NumPy and waits for its result, as ours."""
    predict = jax.jit(pb.to_jax(net).predict)
    held = {name: jax.numpy.asarray(value) for name, value in params.items()}
    return lambda: np.asarray(predict(held, x))


def line(rows: int, name: str, took: dict[str, float], peers: Sequence[str]) -> str:
    ours = took["pullback"]
    cells = (
        f"{took[peer]:>9.1f} {ours / took[peer]:>5.2f}×" if peer in took else "" for peer in peers
    )
    return f"{rows:>5}  {name:<30}{ours:>10.1f}" + "".join(f"{cell:>16}" for cell in cells)


def whole_networks(rounds: int) -> None:
    """Networks of which each call takes long: LeNet and the like."""
    peers = ("numpy", "torch", "jax")
    print(f"{'rows':>5}  {'network':<30}{'pullback':>10}" + "".join(f"{p:>16}" for p in peers))
    nets: dict[str, tuple[pb.Network, torch.nn.Module, Any]] = {}
    nn = torch.nn
    deep = nn.Sequential(
        nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
    )
    x = np.random.default_rng(0).normal(size=(1024, 784)).astype(np.float32)
    nets["784-128-64-10"] = pb.from_torch(deep, loss=pb.CrossEntropy())[0], deep, x
    for name in NETWORKS:
        task = TASKS[name]()
        nets[name] = (
            task.net,
            task.peer().eval(),
            np.resize(task.train[0], (1024, *task.train[0].shape[1:])),
        )
    for name, (net, module, data) in nets.items():
        params = net.init(seed=0, dtype=np.float32)
        numpy_program = net.eval()._forward._program
        for _ in range(40):  # until it is compiled
            net.predict(params, data[:1])
        for rows in ROWS:
            x = data[:rows].copy()
            calls: Calls = {
                "pullback": partial(net.predict, params, x),
                "numpy": partial(numpy_program, params, {net.x.name: x}),
                "torch": of_torch(module, x),
                "jax": of_jax(net.eval(), params, x),
            }
            found = taking_turns(
                calls, max(3, rounds // max(1, rows // 32)), 1024 // rows // 32 + 1
            )
            print(line(rows, name, found, peers), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--networks", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{processor()}, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}, jax "
        f"{jax.__version__}; µs of processor time, medians of {given.rounds} rounds; × of ours"
    )
    if given.networks:
        whole_networks(given.rounds)
        return
    digits, labels = load_digits(return_X_y=True)
    digits = (digits / 16).astype(np.float32)

    net = pb.Network(
        pb.Sequential(pb.Linear(64, 32), pb.ReLU(), pb.Linear(32, 10)), loss=pb.CrossEntropy()
    )
    params = net.init(seed=0, dtype=np.float32)
    module = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    module.load_state_dict({name: torch.from_numpy(value) for name, value in params.items()})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs = MLPClassifier(32, max_iter=3).fit(digits, labels)
        ours = NetClassifier(32, epochs=3, engine="numpy").fit(digits, labels)
        their_values = MLPRegressor(hidden_layer_sizes=32, max_iter=3).fit(digits, labels)
        our_values = NetRegressor(32, epochs=3, engine="numpy").fit(digits, labels)

    peers = ("torch", "jax", "scikit-learn")
    print(f"{'rows':>5}  {'call':<30}{'pullback':>10}" + "".join(f"{p:>16}" for p in peers))
    for rows in ROWS:
        x = digits[:rows].copy()
        cases: dict[str, Calls] = {
            "net.predict": {
                "pullback": lambda x=x: net.predict(params, x),
                "torch": of_torch(module, x),
                "jax": of_jax(net, params, x),
                "scikit-learn": lambda x=x: theirs.predict(x),
            },
            "NetClassifier.predict": {
                "pullback": lambda x=x: ours.predict(x),
                "scikit-learn": lambda x=x: theirs.predict(x),
            },
            "NetClassifier.predict_proba": {
                "pullback": lambda x=x: ours.predict_proba(x),
                "scikit-learn": lambda x=x: theirs.predict_proba(x),
            },
            "NetRegressor.predict": {
                "pullback": lambda x=x: our_values.predict(x),
                "scikit-learn": lambda x=x: their_values.predict(x),
            },
        }
        for name, calls in cases.items():
            took = taking_turns(calls, given.rounds, given.calls)
            print(line(rows, name, took, peers))


if __name__ == "__main__":
    main()
