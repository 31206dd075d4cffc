"""Training steps side by side: pullback, torch, torch.compile, jax, jax with scan, scikit-learn.

    python benchmarks/train.py [--quick] [--json train.json] [--only 784,128,64,10]

Every peer gets the same data, initial parameters, order of batches and learning rate, in float32
on the same number of BLAS threads, in one process. Rounds are interleaved and medians taken. The
floor is the matrix products alone. Peers that cannot be imported are left out. All must end with
the same loss.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

THREADS = int(os.environ.get("BENCH_THREADS", "2"))
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = str(THREADS)
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=" + str(THREADS > 1).lower())

import numpy as np  # noqa: E402  threads are set before NumPy loads its BLAS

from quiet import undisturbed  # noqa: E402

import pullback as pb  # noqa: E402
from pullback.run.numba_engine import NumbaEngine  # noqa: E402

CASES = (
    ((64, 32, 10), 32),
    ((400, 25, 10), 64),
    ((784, 128, 64, 10), 64),
    ((784, 512, 512, 10), 128),
    ((1024, 1024, 1024, 1024, 10), 256),
)
RATE = 0.01
Steps = Callable[[int], float]  # runs so many steps on, gives back the last loss


@dataclass(frozen=True)
class Task:
    """One network with its data: what every peer gets."""

    widths: tuple[int, ...]
    batch: int
    activation: str
    optimizer: str
    x: Any
    labels: Any
    params: dict[str, Any]

    @classmethod
    def make(cls, widths: tuple[int, ...], batch: int, activation: str, optimizer: str) -> Task:
        rng = np.random.default_rng(0)
        samples = batch * (64 if max(widths) < 1000 else 8)
        x = rng.standard_normal((samples, widths[0]), dtype=np.float32)
        labels = rng.integers(0, widths[-1], samples)
        net = network(widths, activation)
        return cls(widths, batch, activation, optimizer, x, labels, net.init(seed=0, dtype="f4"))

    @property
    def batches(self) -> int:
        return len(self.x) // self.batch

    def rows(self, step: int) -> slice:
        at = step % self.batches
        return slice(at * self.batch, (at + 1) * self.batch)

    def weights(self) -> list[Any]:
        return [value.copy() for value in self.params.values()]


def network(widths: tuple[int, ...], activation: str) -> pb.Network:
    act = {"relu": pb.ReLU, "tanh": pb.Tanh}[activation]
    blocks: list[Any] = []
    for n_in, n_out in pairwise(widths):
        blocks += [pb.Linear(n_in, n_out), act()]
    return pb.Network(pb.Sequential(*blocks[:-1]), loss=pb.CrossEntropy())


def pullback(task: Task) -> Steps:
    optimizer = {
        "sgd": lambda: pb.optim.SGD(RATE),
        "momentum": lambda: pb.optim.SGD(RATE, momentum=0.9),
        "adam": lambda: pb.optim.Adam(RATE),
    }[task.optimizer]()
    net = network(task.widths, task.activation)
    engine = NumbaEngine(net, dict(task.params), optimizer)
    target = np.eye(task.widths[-1], dtype=np.float32)[task.labels]
    order = np.arange(len(task.x))

    def steps(count: int) -> float:
        loss = 0.0
        for start in range(0, count, task.batches):
            rates = np.full(min(task.batches, count - start), RATE, np.float32)
            outcome = engine.run(
                task.x, target, order[: len(rates) * task.batch], task.batch, rates
            )
            loss = float(outcome.losses[-1])
        return loss

    return steps


def torch_model(task: Task) -> tuple[Any, Any, Any, Any, Any]:
    import torch

    torch.set_num_threads(THREADS)
    act = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[task.activation]
    layers: list[Any] = []
    for n_in, n_out in pairwise(task.widths):
        layers += [torch.nn.Linear(n_in, n_out), act()]
    model = torch.nn.Sequential(*layers[:-1])
    model.load_state_dict({k: torch.tensor(v) for k, v in task.params.items()})
    make = {
        "sgd": lambda p: torch.optim.SGD(p, RATE),
        "momentum": lambda p: torch.optim.SGD(p, RATE, momentum=0.9),
        "adam": lambda p: torch.optim.Adam(p, RATE),
    }[task.optimizer]
    x, y = torch.tensor(task.x), torch.tensor(task.labels)
    return torch, model, make(model.parameters()), x, y


def torch_eager(task: Task, compiled: bool = False) -> Steps:
    torch, model, optimizer, x, y = torch_model(task)
    cross_entropy = torch.nn.CrossEntropyLoss()

    def forward_backward(xb: Any, yb: Any) -> Any:
        loss = cross_entropy(model(xb), yb)
        loss.backward()
        return loss

    run = forward_backward
    if compiled:
        model_loss = torch.compile(lambda xb, yb: cross_entropy(model(xb), yb))

        def run(xb: Any, yb: Any) -> Any:
            loss = model_loss(xb, yb)
            loss.backward()
            return loss

    position = [0]

    def steps(count: int) -> float:
        loss = None
        for _ in range(count):
            rows = task.rows(position[0])
            position[0] += 1
            optimizer.zero_grad(set_to_none=True)
            loss = run(x[rows], y[rows])
            optimizer.step()
        return float(loss.detach())

    return steps


def jax_step(task: Task) -> tuple[Any, Any, Any]:
    import jax
    import jax.numpy as jnp

    act = {"relu": jax.nn.relu, "tanh": jnp.tanh}[task.activation]

    def loss_of(weights: Any, x: Any, y: Any) -> Any:
        for at in range(0, len(weights), 2):
            x = x @ weights[at].T + weights[at + 1]
            x = act(x) if at + 2 < len(weights) else x
        picked = jnp.take_along_axis(x, y[:, None], axis=1)[:, 0]
        return jnp.mean(jax.nn.logsumexp(x, axis=1) - picked)

    def step(carry: Any, x: Any, y: Any) -> Any:
        weights, slots, count = carry
        loss, grads = jax.value_and_grad(loss_of)(weights, x, y)
        count = count + 1
        if task.optimizer == "sgd":
            weights = [w - RATE * g for w, g in zip(weights, grads, strict=True)]
        elif task.optimizer == "momentum":
            slots = [0.9 * v + g for v, g in zip(slots, grads, strict=True)]
            weights = [w - RATE * v for w, v in zip(weights, slots, strict=True)]
        else:
            m = [0.9 * a + 0.1 * g for (a, _), g in zip(slots, grads, strict=True)]
            v = [0.999 * b + 0.001 * g * g for (_, b), g in zip(slots, grads, strict=True)]
            slots = list(zip(m, v, strict=True))
            c1, c2 = 1 - 0.9**count, 1 - 0.999**count
            weights = [
                w - RATE * (a / c1) / (jnp.sqrt(b / c2) + 1e-8)
                for w, a, b in zip(weights, m, v, strict=True)
            ]
        return (weights, slots, count), loss

    weights = [jnp.asarray(w) for w in task.weights()]
    zeros = [jnp.zeros_like(w) for w in weights]
    slots = [(z, jnp.zeros_like(z)) for z in zeros] if task.optimizer == "adam" else zeros
    return jax, step, (weights, slots, jnp.float32(0))


def jax_jit(task: Task) -> Steps:
    jax, step, carry = jax_step(task)
    compiled = jax.jit(step, donate_argnums=0)
    x, y = jax.numpy.asarray(task.x), jax.numpy.asarray(task.labels)
    parts = [(x[task.rows(k)], y[task.rows(k)]) for k in range(task.batches)]
    state = {"carry": carry, "at": 0}

    def steps(count: int) -> float:
        loss = None
        for _ in range(count):
            state["carry"], loss = compiled(state["carry"], *parts[state["at"] % task.batches])
            state["at"] += 1
        return loss.item()

    return steps


def jax_scan(task: Task) -> Steps:
    jax, step, carry = jax_step(task)
    shape = (task.batches, task.batch)
    x = jax.numpy.asarray(task.x).reshape(*shape, -1)
    y = jax.numpy.asarray(task.labels).reshape(shape)
    compiled = jax.jit(
        lambda c, xs, ys: jax.lax.scan(lambda c, b: step(c, *b), c, (xs, ys)), donate_argnums=0
    )
    state = {"carry": carry}

    def steps(count: int) -> float:
        losses = None
        for start in range(0, count, task.batches):
            n = min(task.batches, count - start)
            state["carry"], losses = compiled(state["carry"], x[:n], y[:n])
        return float(losses[-1])

    return steps


def sklearn_mlp(task: Task) -> Steps | None:
    from sklearn.neural_network import MLPClassifier

    if task.optimizer == "momentum":
        return None  # its momentum scales the gradient by the rate before averaging: other numbers
    model = MLPClassifier(
        task.widths[1:-1], activation=task.activation, alpha=0.0, batch_size=task.batch,
        solver=task.optimizer, learning_rate_init=RATE, momentum=0.0, shuffle=False,
        nesterovs_momentum=False,
    )  # fmt: skip
    first = task.x[: task.batch]
    model.partial_fit(first, task.labels[: task.batch], classes=np.arange(task.widths[-1]))
    for at in range(len(task.widths) - 1):
        model.coefs_[at][...] = task.params[f"{2 * at}.weight"].T
        model.intercepts_[at][...] = task.params[f"{2 * at}.bias"]

    def steps(count: int) -> float:
        for start in range(0, count, task.batches):
            rows = min(task.batches, count - start) * task.batch
            model.partial_fit(task.x[:rows], task.labels[:rows])
        return float("nan")  # it reports the mean over its batches

    return steps


def floor(task: Task) -> Steps:
    """The matrix products alone, through the same BLAS calls."""
    import numba

    @numba.njit  # type: ignore[untyped-decorator]
    def products(count, xs, ws, zs, ds, dws, dxs):  # type: ignore[no-untyped-def]
        for _ in range(count):
            for at in range(len(ws)):
                np.dot(xs[at], ws[at].T, zs[at])
            for at in range(len(ws) - 1, -1, -1):
                np.dot(ds[at].T, xs[at], dws[at])
                if at > 0:
                    np.dot(ds[at], ws[at], dxs[at])

    rng = np.random.default_rng(0)

    def arrays(*shapes: tuple[int, int]) -> tuple[Any, ...]:
        return tuple(rng.standard_normal(shape, dtype=np.float32) for shape in shapes)

    layers, batch = list(pairwise(task.widths)), task.batch
    inputs, outputs = [(batch, i) for i, _ in layers], [(batch, o) for _, o in layers]
    weights = [(o, i) for i, o in layers]
    given = [arrays(*each) for each in (inputs, weights, outputs, outputs, weights, inputs)]

    def steps(count: int) -> float:
        products(count, *given)
        return float("nan")

    return steps


PEERS: dict[str, Callable[[Task], Steps | None]] = {
    "floor": floor,
    "pullback": pullback,
    "torch": torch_eager,
    "torch.compile": lambda task: torch_eager(task, compiled=True),
    "jax.jit": jax_jit,
    "jax.scan": jax_scan,
    "sklearn": sklearn_mlp,
}


def measure(task: Task, peers: list[str], rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """Median seconds a step, and the loss after the same number of steps, for each peer."""
    ready: dict[str, Steps] = {}
    losses: dict[str, float] = {}
    for name in peers:
        try:
            made = PEERS[name](task)
        except ImportError:
            continue
        if made is not None:
            losses[name] = made(task.batches)  # compiles; later, rounding has grown
            ready[name] = made
    repeats = {name: repeats_of(steps, task.batches) for name, steps in ready.items()}
    times: dict[str, list[float]] = {name: [] for name in ready}
    disturbed = 0
    for _ in range(rounds):
        for name, steps in ready.items():
            count = repeats[name] * task.batches
            seconds, quiet = undisturbed(lambda: steps(count))  # noqa: B023  called at once
            times[name].append(seconds / count)
            disturbed += not quiet
    if disturbed:
        print(f"  {disturbed} measurements of {rounds * len(ready)} were disturbed by others")
    return {name: statistics.median(each) for name, each in times.items()}, losses


def repeats_of(steps: Steps, batches: int) -> int:
    """How often all batches are run for one measurement, which is long enough to look at."""
    started = time.perf_counter()
    steps(batches)
    return max(1, round(0.1 / (time.perf_counter() - started)))


def machine() -> str:
    model = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
        model = names[0] if names else model
    cores, python = os.cpu_count(), platform.python_version()
    return f"{model}, {cores} cores, {THREADS} BLAS threads, Python {python}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the three smaller networks, SGD")
    parser.add_argument("--only", help="one network, as 784,128,64,10")
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--activations", default="relu,tanh")
    parser.add_argument("--optimizers", default="sgd,momentum,adam")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", help="where to write the numbers")
    options = parser.parse_args()
    cases = [c for c in CASES if not options.only or ",".join(map(str, c[0])) == options.only]
    cases = cases[:3] if options.quick else cases
    optimizers = ["sgd"] if options.quick else options.optimizers.split(",")
    print(machine())
    rows = []
    for widths, batch in cases:
        for activation in options.activations.split(","):
            for optimizer in optimizers:
                task = Task.make(widths, batch, activation, optimizer)
                seconds, losses = measure(task, options.peers.split(","), options.rounds)
                rows.append(report(task, seconds, losses))
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"machine": machine(), "rows": rows}, file, indent=1)


def report(task: Task, seconds: dict[str, float], losses: dict[str, float]) -> dict[str, Any]:
    """Print one line: microseconds a step, and how many times a peer takes of ours."""
    name = "-".join(map(str, task.widths))
    print(f"\n{name}, batch {task.batch}, {task.activation}, {task.optimizer}")
    ours = seconds["pullback"]
    for peer, each in seconds.items():
        mark = "" if peer == "pullback" else f"  {each / ours:6.2f}x"
        print(f"  {peer:14s} {each * 1e6:10.1f} us{mark}")
    known = {peer: loss for peer, loss in losses.items() if loss == loss}
    agree = max(known.values()) - min(known.values()) < 2e-3 * max(1.0, abs(losses["pullback"]))
    print(f"  same loss: {'yes' if agree else known}")
    return {
        "network": name, "batch": task.batch, "activation": task.activation,
        "optimizer": task.optimizer, "microseconds": {k: v * 1e6 for k, v in seconds.items()},
        "same_loss": agree,
    }  # fmt: skip


if __name__ == "__main__":
    main()
