"""The two examples with which SimpleChains.jl introduced itself, beside torch and its figures.

    python benchmarks/simple_chains.py chain|lenet [--threads 2] [--rounds 5] [--epochs 10]

``chain`` is 4-32-16-4 with tanh, which learns the exponentials of 10,000 matrices (2, 2) by Adam,
all of them in each step; milliseconds an epoch. ``lenet`` is LeNet-5 without padding, in batches of
64 of 60,000 images (28, 28) by Adam; seconds for 10 epochs. The images are drawn, a pattern for
each class and noise: a step takes as long on digits. Ours is a whole call of ``pb.fit`` in float32,
the second one, for what it takes to compile stands apart; of the chain it is what more epochs cost,
and ``program`` is the compiled step without what ``fit`` does around it. torch runs eagerly. All
take turns; medians of seconds on the wall, which wants an idle machine, and of processor time.

Published in "Doing small network scientific machine learning in Julia 5x faster than PyTorch"
(Elrod, Korsbo and Rackauckas, julialang.org, April 2022): for the chain 41 µs an epoch on 18 cores
with AVX-512 (i9-10980XE), and 1.5 ms by PyTorch; for LeNet-5 5.3 s on a laptop's 4 cores
(i7-1165G7), 1.24 s on the 18 cores, PyTorch 11 to 15 s on these and 17.7 s on an A100.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = (
    sys.argv[sys.argv.index("--threads") + 1] if "--threads" in sys.argv else "2"
)

import numpy as np
import torch
from scipy.linalg import expm
from torch import nn

import pullback as pb
from pullback.report.words.provenance import processor
from pullback.train.compiled_engine import CompiledEngine

RNG = np.random.default_rng(0)
RATE = 3e-4


@dataclass(frozen=True)
class Example:
    """A network here and in torch, with its data."""

    net: pb.Network
    module: Any
    criterion: Any
    X: Any
    Y: Any
    batch: int | None

    def ours(self, epochs: int) -> None:
        rule = pb.optim.Adam(RATE)
        options = dict(epochs=epochs, batch_size=self.batch, progress=False, engine="compiled")
        pb.fit(self.net, self.X, self.Y, optimizer=rule, **options)

    def program(self) -> Callable[[int], None]:
        """Steps over all samples without ``fit``."""
        start = {name: value.astype(np.float32) for name, value in self.net.init(seed=0).items()}
        size = self.batch or len(self.X)
        engine = CompiledEngine(self.net, start, pb.optim.Adam(RATE), batch_size=size)
        _, data = self.net.batch(start, self.X, self.Y)

        def run(epochs: int) -> None:
            order = np.broadcast_to(np.arange(len(self.X)), (epochs, len(self.X)))
            engine.run(data, order, size, np.full(epochs * -(-len(self.X) // size), RATE))

        return run

    def torchs(self, epochs: int) -> None:
        optimizer = torch.optim.Adam(self.module.parameters(), RATE)
        x, y = torch.from_numpy(self.X), torch.from_numpy(self.Y)
        size = self.batch or len(x)
        for _ in range(epochs):
            order = torch.randperm(len(x)) if self.batch else None
            for first in range(0, len(x), size):
                rows = slice(None) if order is None else order[first : first + size]
                optimizer.zero_grad()
                self.criterion(self.module(x[rows]), y[rows]).backward()
                optimizer.step()


def chain() -> Example:
    model = pb.Sequential(
        pb.Linear(4, 32), pb.Tanh(), pb.Linear(32, 16), pb.Tanh(), pb.Linear(16, 4)
    )
    X = RNG.normal(size=(10_000, 2, 2))
    Y = expm(X).reshape(-1, 4).astype(np.float32)
    return Example(
        pb.Network(model, pb.MSELoss()),
        nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 16), nn.Tanh(), nn.Linear(16, 4)),
        nn.MSELoss(), X.reshape(-1, 4).astype(np.float32), Y, None,
    )  # fmt: skip


def lenet() -> Example:
    model = pb.Sequential(
        pb.Conv2d(1, 6, 5), pb.ReLU(), pb.MaxPool2d(2), pb.Conv2d(6, 16, 5), pb.ReLU(),
        pb.MaxPool2d(2), pb.Flatten(), pb.Linear(256, 120), pb.ReLU(), pb.Linear(120, 84),
        pb.ReLU(), pb.Linear(84, 10),
    )  # fmt: skip
    module = nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(256, 120), nn.ReLU(), nn.Linear(120, 84),
        nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip
    Y, patterns = RNG.integers(0, 10, 60_000), RNG.random((10, 1, 28, 28), np.float32)
    X = 0.5 * patterns[Y] + 0.5 * RNG.random((60_000, 1, 28, 28), np.float32)
    net = pb.Network(model, pb.CrossEntropy(), x="channels=1 height=28 width=28")
    return Example(net, module, nn.CrossEntropyLoss(), X, Y, 64)


def seconds(run: Callable[[int], None], epochs: int) -> tuple[float, float]:
    """On the wall, and of all processors."""
    wall, used = time.perf_counter(), time.process_time()
    run(epochs)
    return time.perf_counter() - wall, time.process_time() - used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("example", choices=("chain", "lenet"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, help="that are measured; of torch a tenth")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    small = given.example == "chain"
    example, epochs = (chain() if small else lenet()), given.epochs or (1000 if small else 10)
    print(f"{given.example} on {processor()}; float32, {given.threads} thread(s)")
    cold, _ = seconds(example.ours, 1)
    print(f"the first call, which compiles: {cold:.2f} s for an epoch")
    runs = {"ours": example.ours, "torch": example.torchs}
    if small:
        runs["program"] = example.program()
    took: dict[str, list[tuple[float, ...]]] = {name: [] for name in runs}
    for _ in range(given.rounds):
        for name, run in runs.items():
            few = max(1, epochs // 10) if name == "torch" else epochs
            base = seconds(run, 1) if name == "ours" and small else (0.0, 0.0)
            more = seconds(run, few + 1 if any(base) else few)
            took[name].append(tuple((b - a) / few for a, b in zip(base, more, strict=True)))
    scale, unit = (1e3, "ms an epoch") if small else (10, "s for 10 epochs")
    found = {name: [statistics.median(s) for s in zip(*each, strict=True)]
             for name, each in took.items()}  # fmt: skip
    for name, (wall, used) in found.items():
        print(f"{name}: {wall * scale:.3f} {unit}; {used * scale:.3f} of processor time")
    wall, used = (found["torch"][at] / found["ours"][at] for at in (0, 1))
    print(f"torch / ours: {wall:.1f}; {used:.1f} of processor time")
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
