"""The tangent kernel of 32 inputs of a small ResNet and of a transformer, beside jax.

    python benchmarks/ntk.py [--rounds 5] [--tangents PYTHON]

Everybody computes J Jᵀ (320, 320) from the same weights in float32, forward pass included, on one
thread: ``pb.ntk``, jax's jacrev over the batch (as it is written first), jacrev under vmap over the
samples (as it should be written), and with ``--tangents``, an interpreter that has it, two methods
of neural-tangents: structured derivatives, and Jacobians contracted. Every kernel is compared with
one in float64. Contenders take turns; medians of CPU time count, compilation and the first call are
outside of them.
"""

from __future__ import annotations

import argparse
import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
from rich.console import Console
from rich.table import Table

import pullback as pb
from pullback.ir import Node
from pullback.ir.build import mean_over
from pullback.nn import Block, Scope
from pullback.report.words.provenance import processor

BATCH = 32
LIMIT = 60  # seconds on the wall that one call of a peer may take


class Mean(Block):
    """The mean over the tokens."""

    def build(self, x: Node, at: Scope) -> Node:
        return at.a(mean_over(x, x.axes[1:2]))


def resnet() -> tuple[pb.Network, tuple[int, ...]]:
    """ResNet-8 on 8×8: 16, 32 and 64 channels, norms in evaluation."""

    def normed(n_in: int, n_out: int, taps: int = 3, stride: int = 1) -> list[Block]:
        conv = pb.Conv2d(n_in, n_out, taps, stride=stride, padding=taps // 2, bias=False)
        return [conv, pb.BatchNorm2d(n_out)]

    def inner(n_in: int, n_out: int, stride: int) -> Block:
        return pb.Sequential(*normed(n_in, n_out, 3, stride), pb.ReLU(), *normed(n_out, n_out))

    def wider(n_in: int, n_out: int) -> Block:
        skip = pb.Sequential(*normed(n_in, n_out, 1, 2))
        return pb.Parallel(inner(n_in, n_out, 2), skip, join="sum")

    model = pb.Sequential(
        *normed(1, 16), pb.ReLU(), pb.Residual(inner(16, 16, 1)), pb.ReLU(), wider(16, 32),
        pb.ReLU(), wider(32, 64), pb.ReLU(), pb.AdaptiveAvgPool2d(1), pb.Flatten(),
        pb.Linear(64, 10),
    )  # fmt: skip
    net = pb.Network(model, pb.CrossEntropy(), x="channels=1 height=8 width=8").eval()
    return net, (1, 8, 8)


def transformer() -> tuple[pb.Network, tuple[int, ...]]:
    """Two layers of 64 with 4 heads over 32 tokens, their mean read out."""
    layers = (
        pb.TransformerEncoderLayer(64, 4, 256, dropout=0.0, activation="gelu") for _ in range(2)
    )
    model = pb.Sequential(*layers, Mean(), pb.Linear(64, 10))
    return pb.Network(model, pb.CrossEntropy(), x="tokens=32 features=64").eval(), (32, 64)


NETWORKS = {"resnet": resnet, "transformer": transformer}


class Peer:
    """A process that runs the peers, one call a line; one that takes too long is ended."""

    def __init__(self, python: str, folder: Path) -> None:
        script = Path(__file__).with_name("tangents_peer.py")
        self.command, self.folder = [python, str(script), str(folder)], folder
        self.start()

    def start(self) -> None:
        """Begin, and learn what there is."""
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, bufsize=1,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.methods = self.process.stdout.readline().strip().split("\t")

    def __call__(self, method: str) -> tuple[float | str, Any]:
        """The CPU seconds of a call and its kernel, or why there is none."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{method}\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], LIMIT)
        if not ready:
            self.process.kill()
            self.start()
            return f"ended after {LIMIT} s", None
        answer = self.process.stdout.readline().strip()
        try:
            return float(answer), np.load(self.folder / "kernel.npy")
        except ValueError:
            return answer or "it ended: out of memory", None


def measure(rounds: int, pythons: list[str]) -> None:
    rng = np.random.default_rng(0)
    ours, exact, times = {}, {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name, make in NETWORKS.items():
            net, shape = make()
            params = net.init(seed=0, dtype=np.float32)
            X = rng.normal(size=(BATCH, *shape)).astype(np.float32)
            read = {key: value for key, value in params.items() if value.ndim}
            np.savez(Path(folder) / f"{name}.npz", x=X, **read)
            ours[name] = net, params, X
            wide = {key: value.astype(np.float64) for key, value in params.items()}
            exact[name] = pb.ntk(net, wide, X.astype(np.float64))
        peers = [Peer(python, Path(folder)) for python in pythons]
        called = ["jax", "neural-tangents"]
        for turn in range(rounds + 1):
            for name, (net, params, X) in ours.items():
                start = time.process_time()
                K = pb.ntk(net, params, X)
                note(times, exact[name], (name, "pullback"), turn, time.process_time() - start, K)
                for which, peer in zip(called, peers, strict=False):
                    for method in peer.methods:
                        what = method.removeprefix(f"{name} ")
                        if what == method or (which != "jax" and which not in what):
                            continue
                        if isinstance(times.get((name, what), []), str):
                            continue
                        note(times, exact[name], (name, what), turn, *peer(method))
    show(times)


def note(times: Any, exact: Any, key: Any, turn: int, taken: float | str, K: Any) -> None:
    """Keep a time; the first call is compared with the kernel in float64 instead."""
    if isinstance(taken, str):
        times[key] = taken
    elif turn:
        times.setdefault(key, []).append(taken)
    else:
        error = np.abs(K - exact).max() / np.abs(exact).max()
        if error > 1e-4:
            times[key] = f"wrong by {error:.1e}"


def show(times: Any) -> None:
    table = Table(title=f"NTK of {BATCH} inputs, one thread, float32: {processor()}")
    for column in ("network", "method", "ms of CPU", "pullback is faster by"):
        table.add_column(column, justify="left" if column in ("network", "method") else "right")
    for (name, method), found in times.items():
        if isinstance(found, str):
            table.add_row(name, method, found, "")
            continue
        own = statistics.median(times[name, "pullback"])
        middle = statistics.median(found)
        table.add_row(name, method, f"{1e3 * middle:,.0f}", f"{middle / own:.1f}×")
    Console(width=110).print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tangents", metavar="PYTHON", help="an interpreter with neural-tangents")
    options = parser.parse_args()
    found = [sys.executable] + ([options.tangents] if options.tangents else [])
    measure(options.rounds, found)
