"""How long a trained network takes to say something of one sample, or of a few, beside others.

    python benchmarks/predict.py [--rounds 40] [--calls 50]

64-32-10 with a rectifier, in float32, on one thread: ``net.predict`` and the estimators' methods
beside torch's module under ``no_grad`` and scikit-learn's ``MLPClassifier`` and ``MLPRegressor``.
All take turns in one process, rounds of some calls; medians count, of processor time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

import pullback as pb
from pullback.estimators import NetClassifier, NetRegressor
from pullback.report.words.provenance import processor

ROWS = (1, 32, 1024)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--calls", type=int, default=50)
    given = parser.parse_args()
    torch.set_num_threads(1)
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

    print(
        f"{processor()}, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}; µs of processor "
        f"time, medians of {given.rounds} rounds of {given.calls} calls"
    )
    print(f"{'rows':>5}  {'call':<30}{'pullback':>10}{'torch':>16}{'scikit-learn':>16}")
    for rows in ROWS:
        x = digits[:rows].copy()
        tensor = torch.from_numpy(x)

        def of_torch(tensor: torch.Tensor = tensor) -> object:
            with torch.no_grad():
                return module(tensor)

        cases: dict[str, Calls] = {
            "net.predict": {
                "pullback": lambda x=x: net.predict(params, x),
                "torch": of_torch,
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
            cells = [
                f"{took[peer]:>9.1f} {took['pullback'] / took[peer]:>5.2f}×" if peer in took else ""
                for peer in ("torch", "scikit-learn")
            ]
            print(f"{rows:>5}  {name:<30}{took['pullback']:>10.1f}{cells[0]:>16}{cells[1]:>16}")


if __name__ == "__main__":
    main()
