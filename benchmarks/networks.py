"""Do the networks that people have learn what they are known to learn, and how long does it take?

    python benchmarks/networks.py lenet|resnet|resnet8|transformer|text|adding [--epochs 3]
    python benchmarks/networks.py lenet|resnet8|encoder|gru|… --step [--rounds 15] [--threads 2]

``lenet`` (on digits enlarged to 28×28), ``resnet``, ``resnet8`` (16-32-64 channels, read from a
torch module) and ``transformer`` tell handwritten digits apart (scikit-learn's 8×8; a fifth of them
is held out), ``text`` predicts the next letter of sentences that this script makes, and ``adding``
sums the two marked numbers of a sequence (Hochreiter and Schmidhuber 1997). Training is ``pb.fit``
in float32 on one thread, cut in two: the second half is resumed from a checkpoint. ``encoder`` (two
layers of 64, 4 heads, feedforward 256, 32 tokens) and ``gru`` (16→64, 50 turns) learn noise.

``--step`` measures a step of training instead, SGD with momentum: the compiled engine and the NumPy
engine, torch in eager mode and compiled, and the same equations as a program for jax. All take
turns in one process, passes of 20 steps; medians count, of processor time on one thread, and of
seconds on the wall with more (an otherwise idle machine is needed for these).
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = (
    sys.argv[sys.argv.index("--threads") + 1] if "--threads" in sys.argv else "1"
)
os.environ["XLA_FLAGS"] = (
    "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    if os.environ["OMP_NUM_THREADS"] == "1"
    else ""
)

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import pullback as pb
from pullback.ir import Contract, Node
from pullback.ir.build import add, mean_over
from pullback.ir.layout import merged
from pullback.nn import Block, Scope
from pullback.report.words.provenance import processor
from pullback.train.compiled_engine import CompiledEngine
from pullback.train.engine import NumpyEngine
from pullback.train.jax.engine import JaxEngine
from pullback.train.jax.placement import Hardware

THREADS = int(os.environ["OMP_NUM_THREADS"])
LETTERS = " abcdefghijklmnopqrstuvwxyz"
Data = tuple[Any, Any]


@dataclass
class Task:
    """A network, its data, how it is trained, and what counts as learnt."""

    net: pb.Network
    train: Data
    test: Data
    optimizer: Any
    epochs: int
    batch: int
    goal: str
    peer: Callable[[], Any]  # the same network in torch


@dataclass(frozen=True)
class Patches(Block):
    """An image of channels as a row of tokens, each with a vector for its place added."""

    def build(self, x: Node, at: Scope) -> Node:
        batch, channels, height, width = x.axes
        tokens = at.axis("tokens", (height.size or 1) * (width.size or 1))
        row = merged(x, (height, width), tokens)
        place = at.parameter("place", (tokens, channels), 0.0)
        return at.a(add(Contract((row,), (batch, tokens, channels)), place))


class Mean(Block):
    """The mean over the tokens."""

    def build(self, x: Node, at: Scope) -> Node:
        return at.a(mean_over(x, x.axes[1:2]))


def digits() -> tuple[Data, Data]:
    """Images (batch, 1, 8, 8) between 0 and 1, and their digits."""
    data = load_digits()
    X = (data.images[:, None] / 16).astype(np.float32)
    X, held_out, Y, answers = train_test_split(
        X, data.target, test_size=0.2, stratify=data.target, random_state=0
    )
    return (X, Y), (held_out, answers)


def resnet() -> Task:
    width = 16

    def normed(inputs: int) -> list[Block]:
        convolution = pb.Conv2d(inputs, width, 3, padding=1, bias=False)
        return [convolution, pb.BatchNorm2d(width)]

    def block() -> list[Block]:
        inner = pb.Sequential(*normed(width), pb.ReLU(), *normed(width))
        return [pb.Residual(inner), pb.ReLU()]

    model = pb.Sequential(
        *normed(1), pb.ReLU(), *block(), *block(), pb.AdaptiveAvgPool2d(1), pb.Flatten(),
        pb.Linear(width, 10),
    )  # fmt: skip

    def peer() -> Any:
        from torch import nn

        class Skip(nn.Sequential):
            def forward(self, x: Any) -> Any:
                return x + super().forward(x)

        def normed(inputs: int) -> list[Any]:
            return [nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)]

        def block() -> list[Any]:
            return [Skip(*normed(width), nn.ReLU(), *normed(width)), nn.ReLU()]

        return nn.Sequential(
            *normed(1), nn.ReLU(), *block(), *block(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(width, 10),
        )  # fmt: skip

    net = pb.Network(model, pb.CrossEntropy(), x="channels=1 height=8 width=8")
    steps = 25 * 23
    rule = pb.optim.Adam(pb.optim.OneCycle(0.01, steps))
    return Task(net, *digits(), rule, 25, 64, "accuracy of at least 98.5 %", peer)


def lenet() -> Task:
    model = pb.Sequential(
        pb.Conv2d(1, 6, 5, padding=2), pb.ReLU(), pb.MaxPool2d(2), pb.Conv2d(6, 16, 5), pb.ReLU(),
        pb.MaxPool2d(2), pb.Flatten(), pb.Linear(400, 120), pb.ReLU(), pb.Linear(120, 84),
        pb.ReLU(), pb.Linear(84, 10),
    )  # fmt: skip

    def peer() -> Any:
        from torch import nn

        return nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5),
            nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.ReLU(),
            nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
        )  # fmt: skip

    def enlarged(data: Data) -> Data:
        X, Y = data
        larger = np.kron(X, np.ones((3, 3), X.dtype))
        return np.pad(larger, [(0, 0), (0, 0), (2, 2), (2, 2)]), Y

    net = pb.Network(model, pb.CrossEntropy(), x="channels=1 height=28 width=28")
    train, test = map(enlarged, digits())
    rule = pb.optim.Adam(pb.optim.OneCycle(0.005, 15 * 23))
    return Task(net, train, test, rule, 15, 64, "accuracy of at least 98 %", peer)


def resnet8() -> Task:
    from torch import nn

    class Skip(nn.Module):
        def __init__(self, inner: Any, skip: Any) -> None:
            super().__init__()
            self.inner, self.skip = inner, skip

        def forward(self, x: Any) -> Any:
            return self.skip(x) + self.inner(x)

    def normed(inputs: int, outputs: int, taps: int, stride: int) -> list[Any]:
        options = dict(stride=stride, padding=taps // 2, bias=False)
        return [nn.Conv2d(inputs, outputs, taps, **options), nn.BatchNorm2d(outputs)]

    def block(inputs: int, outputs: int, stride: int) -> list[Any]:
        inner = [*normed(inputs, outputs, 3, stride), nn.ReLU(), *normed(outputs, outputs, 3, 1)]
        same = inputs == outputs
        skip = nn.Identity() if same else nn.Sequential(*normed(inputs, outputs, 1, stride))
        return [Skip(nn.Sequential(*inner), skip), nn.ReLU()]

    def peer() -> Any:
        return nn.Sequential(
            *normed(1, 16, 3, 1), nn.ReLU(), *block(16, 16, 1), *block(16, 32, 2),
            *block(32, 64, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
        )  # fmt: skip

    train, test = digits()
    net, _ = pb.from_torch(peer(), loss=pb.CrossEntropy(), example=train[0][:4])
    rule = pb.optim.Adam(pb.optim.OneCycle(0.01, 25 * 23))
    return Task(net, train, test, rule, 25, 64, "accuracy of at least 98.5 %", peer)


def transformer() -> Task:
    width, heads = 32, 4

    def layer() -> Block:
        return pb.TransformerEncoderLayer(width, heads, 64, dropout=0.0, activation="gelu")

    model = pb.Sequential(
        pb.Conv2d(1, width, 2, stride=2), Patches(), layer(), layer(), Mean(), pb.Linear(width, 10)
    )

    def peer() -> Any:
        import torch
        from torch import nn

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.cut = nn.Conv2d(1, width, 2, stride=2)
                self.place = nn.Parameter(torch.zeros(16, width))
                self.layers = nn.Sequential(*(
                    nn.TransformerEncoderLayer(width, heads, 64, 0.0, "gelu", batch_first=True)
                    for _ in range(2)
                ))  # fmt: skip
                self.last = nn.Linear(width, 10)

            def forward(self, x: Any) -> Any:
                x = self.cut(x).flatten(2).mT + self.place
                return self.last(self.layers(x).mean(1))

        return Model()

    net = pb.Network(model, pb.CrossEntropy(), x="channels=1 height=8 width=8")
    rule = pb.optim.Adam(pb.optim.OneCycle(0.005, 40 * 23))
    return Task(net, *digits(), rule, 40, 64, "accuracy of at least 96 %", peer)


def sentences(count: int, rng: np.random.Generator) -> Any:
    """Sentences of a small grammar in a row, as places in ``LETTERS``."""
    who = ["the cat", "a dog", "my brother", "the old king", "some child"]
    does = ["sees", "follows", "dreams of", "writes to", "waits for"]
    parts = [f"{a} {b} {c} " for a, b, c in zip(
        rng.choice(who, count), rng.choice(does, count), rng.choice(who, count), strict=True
    )]  # fmt: skip
    return np.array([LETTERS.index(letter) for letter in "".join(parts)])


def text() -> Task:
    length, width = 32, 64
    model = pb.Sequential(
        pb.Embedding(len(LETTERS), 16), pb.GRU(16, width), pb.Linear(width, len(LETTERS))
    )

    def pairs(count: int, seed: int) -> Data:
        letters = sentences(count, np.random.default_rng(seed))
        rows = letters[: (len(letters) - 1) // length * length + 1]
        return rows[:-1].reshape(-1, length), rows[1:].reshape(-1, length)

    def peer() -> Any:
        from torch import nn

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.embedding = nn.Embedding(len(LETTERS), 16)
                self.gru = nn.GRU(16, width, batch_first=True)
                self.last = nn.Linear(width, len(LETTERS))

            def forward(self, x: Any) -> Any:
                return self.last(self.gru(self.embedding(x))[0])

        return Model()

    train, test = pairs(1500, 0), pairs(200, 1)
    share = np.bincount(train[1].ravel(), minlength=len(LETTERS)) / train[1].size
    entropy = -np.sum(share[share > 0] * np.log(share[share > 0]))
    net = pb.Network(model, pb.CrossEntropy(), x=f"tokens={length}:index")
    rule = pb.optim.Adam(pb.optim.OneCycle(0.01, 12 * 39))
    goal = f"loss well below {entropy:.3g}, the entropy of single letters"
    return Task(net, train, test, rule, 12, 32, goal, peer)


def adding() -> Task:
    length, width = 50, 32
    model = pb.Sequential(pb.GRU(2, width, output="last"), pb.Linear(width, 1))

    def sums(count: int, seed: int) -> Data:
        rng = np.random.default_rng(seed)
        X = np.zeros((count, length, 2), np.float32)
        X[:, :, 0] = rng.random((count, length))
        every, half = np.arange(count), length // 2
        first, second = rng.integers(0, half, count), rng.integers(half, length, count)
        X[every, first, 1] = X[every, second, 1] = 1
        return X, (X[:, :, 0] * X[:, :, 1]).sum(1, keepdims=True)

    def peer() -> Any:
        from torch import nn

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.gru, self.last = nn.GRU(2, width, batch_first=True), nn.Linear(width, 1)

            def forward(self, x: Any) -> Any:
                return self.last(self.gru(x)[0][:, -1])

        return Model()

    net = pb.Network(model, pb.MSELoss(), x=f"time={length} features=2")
    rule = pb.optim.Adam(pb.optim.OneCycle(0.01, 30 * 63))
    goal = "loss well below 0.167, the variance of a sum"
    return Task(net, sums(4000, 0), sums(1000, 1), rule, 30, 64, goal, peer)


def noise(*shape: int, classes: int = 10) -> Data:
    """Rows of noise, and a class for each."""
    rng = np.random.default_rng(0)
    return rng.normal(size=shape).astype(np.float32), rng.integers(0, classes, shape[0])


def encoder() -> Task:
    width, tokens = 64, 32

    def layer() -> Block:
        return pb.TransformerEncoderLayer(width, 4, 256, dropout=0.0, activation="gelu")

    def peer() -> Any:
        from torch import nn

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layers = nn.Sequential(*(
                    nn.TransformerEncoderLayer(width, 4, 256, 0.0, "gelu", batch_first=True)
                    for _ in range(2)
                ))  # fmt: skip
                self.last = nn.Linear(width, 10)

            def forward(self, x: Any) -> Any:
                return self.last(self.layers(x).mean(1))

        return Model()

    model = pb.Sequential(layer(), layer(), Mean(), pb.Linear(width, 10))
    net = pb.Network(model, pb.CrossEntropy(), x=f"tokens={tokens} features={width}")
    data = noise(320, tokens, width)
    return Task(net, data, data, pb.optim.Adam(0.001), 2, 16, "nothing", peer)


def gru() -> Task:
    turns = 50

    def peer() -> Any:
        from torch import nn

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.gru, self.last = nn.GRU(16, 64, batch_first=True), nn.Linear(64, 10)

            def forward(self, x: Any) -> Any:
                return self.last(self.gru(x)[0][:, -1])

        return Model()

    model = pb.Sequential(pb.GRU(16, 64, output="last"), pb.Linear(64, 10))
    net = pb.Network(model, pb.CrossEntropy(), x=f"time={turns} features=16")
    data = noise(640, turns, 16)
    return Task(net, data, data, pb.optim.Adam(0.001), 2, 32, "nothing", peer)


TASKS = {
    "lenet": lenet,
    "resnet": resnet,
    "resnet8": resnet8,
    "transformer": transformer,
    "text": text,
    "adding": adding,
    "encoder": encoder,
    "gru": gru,
}


def learn(task: Task, epochs: int) -> None:
    """Train in two halves, and say what came out."""
    start = {name: value.astype(np.float32) for name, value in task.net.init(seed=0).items()}
    X, Y = task.train
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        for until in (max(1, epochs // 2), epochs):
            result = pb.fit(
                task.net, X, Y, start, optimizer=task.optimizer, epochs=until,
                batch_size=task.batch, validation=task.test, watch=True,
                checkpoint=Path(folder) / "net.safetensors", resume=until == epochs,
                progress=False,
            )  # fmt: skip
        seconds = time.perf_counter() - began
    for epoch in sorted({*range(0, epochs, max(1, epochs // 5)), epochs - 1}):
        columns = ((name, values[epoch]) for name, values in result.history.items())
        print(f"epoch {epoch + 1}: " + ", ".join(f"{name} {value:.4g}" for name, value in columns))
    print(f"{seconds:.1f} s for {epochs} epochs; expected {task.goal}")
    module, few = pb.to_torch(task.net, result.params), task.test[0][:8]
    import torch

    given = torch.from_numpy(few)
    with torch.no_grad():
        apart = np.abs(module(given).numpy() - task.net.predict(result.params, few)).max()
    print(f"as a torch module: outputs are at most {apart:.1e} apart")


STEPS, RATE = 20, 0.01


def torch_s(task: Task, compiled: bool) -> Callable[[], None]:
    """A pass of torch over the batches."""
    import torch

    torch.set_num_threads(THREADS)
    module = task.peer()
    module = torch.compile(module) if compiled else module
    x, y = map(torch.from_numpy, task.train)
    classes = y.dtype == torch.int64
    criterion = torch.nn.CrossEntropyLoss() if classes else torch.nn.MSELoss()
    optimizer = torch.optim.SGD(module.parameters(), RATE, momentum=0.9)

    def run() -> None:
        for batch in batches(task):
            optimizer.zero_grad()
            output, target = module(x[batch]), y[batch]
            criterion(output.movedim(-1, 1) if target.ndim > 1 and classes else output,
                      target).backward()  # fmt: skip
            optimizer.step()

    return run


def batches(task: Task) -> list[Any]:
    """Which samples each step is of."""
    order = np.arange(STEPS * task.batch) % len(task.train[0])
    return list(order.reshape(STEPS, task.batch))


def ours(task: Task, engine: Any, *more: Any) -> Callable[[], None]:
    """A pass of one of our engines over the batches."""
    start = {name: value.astype(np.float32) for name, value in task.net.init(seed=0).items()}
    runs = engine(task.net, start, pb.optim.SGD(RATE, momentum=0.9), *more)
    _, data = task.net.batch(start, *task.train)
    order, rates = np.concatenate(batches(task)), np.full(STEPS, RATE)
    return lambda: runs.run(data, order, task.batch, rates)


PEERS: dict[str, Callable[[Task], Callable[[], None]]] = {
    "compiled": lambda task: ours(task, CompiledEngine, THREADS),
    "numpy": lambda task: ours(task, NumpyEngine),
    "torch": lambda task: torch_s(task, compiled=False),
    "torch.compile": lambda task: torch_s(task, compiled=True),
    "jax": lambda task: ours(task, JaxEngine, 0, Hardware()),
}


def measure(task: Task, rounds: int, peers: list[str]) -> None:
    """A step of training beside the same step elsewhere."""
    todo = {name: PEERS[name](task) for name in ["compiled", *peers]}
    clock = time.process_time if THREADS == 1 else time.perf_counter
    took: dict[str, list[float]] = {name: [] for name in todo}
    for at in range(rounds + 2):
        for name, run in todo.items():
            began = clock()
            run()
            if at > 1:
                took[name].append(1e3 * (clock() - began) / STEPS)
    found = {name: statistics.median(each) for name, each in took.items()}
    mine = found.pop("compiled")
    others = ", ".join(f"{name} {each:.2f} ({each / mine:.2f}×)" for name, each in found.items())
    print(f"a step of {task.batch} samples: compiled {mine:.2f} ms, {others}")
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--step", action="store_true")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peers", default="numpy,torch,torch.compile,jax")
    options = parser.parse_args()
    print(f"{options.task} on {processor()}; float32, {options.threads} thread(s)")
    task = TASKS[options.task]()
    if options.step:
        measure(task, options.rounds, options.peers.split(","))
    else:
        learn(task, options.epochs or task.epochs)


if __name__ == "__main__":
    main()
