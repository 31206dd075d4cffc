"""What the engine of jax costs and gains: over processes, at the start, beside the other engines.

    python benchmarks/scale.py processes [--rounds 5]   2 processes of one core beside 1 of one core
    python benchmarks/scale.py start [--rounds 5]       2 processes, from nothing to the first step
    python benchmarks/scale.py engines                  a step in each engine, by the size of a net
    python benchmarks/scale.py device                   LeNet and a transformer beside torch, on the
                                                        device that jax finds (a GPU, if there is)

Each prints JSON. Times are medians of rounds; the load of the machine stands beside them, and of
processes their CPU time too, for on a busy machine the wall's clock tells of others.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np

import pullback as pb

STEPS = 10
# by name: tokens of a sample, width, batch; four layers, whose weights tokens share
NETWORKS = {"a million weights": (1, 512, 512), "weights shared by tokens": (32, 128, 512)}


def wide(tokens: int, width: int, layers: int) -> pb.Network:
    blocks: list[Any] = [pb.Linear(width, width), pb.ReLU()] * layers
    model = pb.Sequential(*blocks, pb.Linear(width, 10))
    return pb.Network(model, loss=pb.CrossEntropy(), x=f"tokens={tokens} features={width}")


def samples(count: int, tokens: int, width: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((count, tokens, width), dtype=np.float32)
    return X, rng.integers(0, 10, (count, tokens))


def child(name: str, address: str, processes: int, process: int, epochs: int) -> None:
    """One process on a core of its own: seconds of wall and of CPU for a step of each epoch."""
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[process]})
    born = time.time()
    pb.join_processes(address, processes, process, timeout=300)
    joined = time.process_time()
    tokens, width, batch = NETWORKS[name]
    X, Y = samples(batch * STEPS, tokens, width)
    cpu = [time.process_time()]
    first: list[float] = []

    def callback(epoch: int, params: Any, history: Any) -> None:
        first.append(time.time() - born)
        cpu.append(time.process_time())

    result = pb.fit(
        wide(tokens, width, layers=4), X, Y, optimizer=pb.optim.SGD(0.01), epochs=epochs,
        batch_size=batch, engine="jax", progress=False, callback=callback,
    )  # fmt: skip
    told = {
        "wall": [each / STEPS for each in result.history["seconds"][1:]],
        "cpu": [each / STEPS for each in np.diff(cpu)[1:]],
        "first_epoch": first[0],
        "cpu_joined": joined,
        "cpu_first_epoch": cpu[1],
        "loss": result.history["loss"],
    }
    print(json.dumps(told))


def together(name: str, processes: int, epochs: int) -> list[dict[str, Any]]:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{place.getsockname()[1]}"
    env = {**os.environ, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, __file__, "child", name, address, str(processes)]
    children = [
        subprocess.Popen(
            [*command, str(at), str(epochs)], env=env, stdout=subprocess.PIPE, text=True,
        )
        for at in range(processes)
    ]  # fmt: skip
    outputs = [each.communicate()[0] for each in children]
    return [json.loads(out.strip().splitlines()[-1]) for out in outputs]


def over_processes(name: str, rounds: int) -> dict[str, Any]:
    """One process and two take turns; the best of the medians of each, and their ratio."""
    found: dict[str, list[float]] = {"wall 1": [], "wall 2": [], "cpu 1": [], "cpu 2": []}
    losses = []
    for _ in range(rounds):
        for processes in (1, 2):
            told = together(name, processes, epochs=6)
            losses.append(told[0]["loss"])
            for clock in ("wall", "cpu"):
                slowest = max(statistics.median(each[clock]) for each in told)
                found[f"{clock} {processes}"].append(slowest)
    best = {name: min(times) for name, times in found.items()}
    return {
        "milliseconds a step": {name: round(1e3 * value, 2) for name, value in best.items()},
        "speed-up by the wall": round(best["wall 1"] / best["wall 2"], 3),
        "speed-up by CPU time": round(best["cpu 1"] / best["cpu 2"], 3),
        "largest relative difference of losses": float(np.ptp(losses, axis=0).max()),
    }


def start(rounds: int) -> dict[str, Any]:
    """From the start of two processes to the end of both; jax, compiling and one epoch in it."""
    walls, firsts, joins, epochs = [], [], [], []
    for _ in range(rounds):
        began = time.perf_counter()
        told = together("weights shared by tokens", 2, epochs=1)
        walls.append(time.perf_counter() - began)
        firsts.append(max(each["first_epoch"] for each in told))
        joins.append(max(each["cpu_joined"] for each in told))
        epochs.append(max(each["cpu_first_epoch"] for each in told))
    return {
        "seconds of wall, all": statistics.median(walls),
        "seconds of wall from joining to the first epoch": statistics.median(firsts),
        "seconds of CPU of a process until joined": statistics.median(joins),
        "seconds of CPU of a process until the first epoch": statistics.median(epochs),
    }


def engines() -> dict[str, Any]:
    """Microseconds a step by width and engine: a square network of two layers, batch 64."""
    found: dict[str, Any] = {}
    for width in (16, 64, 256, 1024):
        X, Y = samples(64 * 20, 1, width)
        X, Y = X[:, 0], Y[:, 0]
        blocks = [pb.Linear(width, width), pb.ReLU(), pb.Linear(width, 10)]
        net = pb.Network(pb.Sequential(*blocks), loss=pb.CrossEntropy())
        for engine in ("numpy", "compiled", "jax"):
            times = pb.fit(
                net, X, Y, optimizer=pb.optim.SGD(0.01), epochs=8, batch_size=64, engine=engine,
                progress=False,
            ).history["seconds"]  # fmt: skip
            median = statistics.median(times[2:]) / 20
            found.setdefault(str(width), {})[engine] = round(1e6 * median, 1)
    return found


def lenet() -> tuple[pb.Network, Any]:
    import torch.nn as nn

    net = pb.Sequential(
        pb.Conv2d(1, 6, 5, padding=2), pb.ReLU(), pb.MaxPool2d(2), pb.Conv2d(6, 16, 5), pb.ReLU(),
        pb.MaxPool2d(2), pb.Flatten(), pb.Linear(400, 120), pb.ReLU(), pb.Linear(120, 84),
        pb.ReLU(), pb.Linear(84, 10),
    )  # fmt: skip
    peer = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84),
        nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip
    return pb.Network(net, pb.CrossEntropy(), x="channels=1 height=28 width=28"), peer


def transformer(width: int = 256, layers: int = 6) -> tuple[pb.Network, Any]:
    import torch.nn as nn

    own = [pb.TransformerEncoderLayer(width, 8, 4 * width, dropout=0.0) for _ in range(layers)]
    peers = [
        nn.TransformerEncoderLayer(width, 8, 4 * width, dropout=0.0, batch_first=True)
        for _ in range(layers)
    ]
    net = pb.Sequential(*own, pb.Flatten(), pb.Linear(64 * width, 10))
    peer = nn.Sequential(*peers, nn.Flatten(), nn.Linear(64 * width, 10))
    return pb.Network(net, pb.CrossEntropy(), x=f"tokens=64 features={width}"), peer


def device(steps: int) -> dict[str, Any]:
    """Milliseconds a step on the device that jax and torch find."""
    import jax
    import torch

    where = "cuda" if torch.cuda.is_available() else "cpu"
    found: dict[str, Any] = {"jax": str(jax.devices()[0].device_kind), "torch": where}
    cases = {
        "LeNet, batch 256": (lenet, 256),
        "transformer of 6 layers, batch 32": (transformer, 32),
    }
    rng = np.random.default_rng(0)
    for name, (make, batch) in cases.items():
        net, peer = make()
        shape = tuple(axis.size for axis in net.x.axes[1:])
        X = rng.standard_normal((batch * steps, *shape), dtype=np.float32)
        Y = rng.integers(0, 10, len(X))
        row = found[name] = {}
        for precision in ("float32", "bfloat16"):
            history = pb.fit(
                net, X, Y, optimizer=pb.optim.SGD(0.01), epochs=4, batch_size=batch, engine="jax",
                precision=precision, progress=False,
            ).history["seconds"]  # fmt: skip
            row[f"pullback, {precision}"] = round(1e3 * statistics.median(history[1:]) / steps, 3)
        for kind in ("eager", "compile"):
            row[f"torch {kind}"] = round(1e3 * torch_step(peer.to(where), X, Y, batch, kind), 3)
    return found


def torch_step(model: Any, X: Any, Y: Any, batch: int, kind: str) -> float:
    """Seconds a step; the batches go to the device in each step, as they do in ``fit``."""
    import torch

    where = next(model.parameters()).device
    forward = torch.compile(model) if kind == "compile" else model
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    x, y = torch.as_tensor(X), torch.as_tensor(Y)

    def epoch() -> float:
        began = time.perf_counter()
        for at in range(0, len(x), batch):
            rows = slice(at, at + batch)
            loss = torch.nn.functional.cross_entropy(forward(x[rows].to(where)), y[rows].to(where))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        float(loss.detach())
        return (time.perf_counter() - began) / (len(x) // batch)

    epoch()
    return statistics.median(epoch() for _ in range(3))


def main() -> None:
    if sys.argv[1:2] == ["child"]:
        name, address, processes, process, epochs = sys.argv[2:]
        child(name, address, int(processes), int(process), int(epochs))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("processes", "start", "engines", "device"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--network", choices=NETWORKS, help="of processes, one alone")
    options = parser.parse_args()
    before = os.getloadavg()[0]
    if options.what == "processes":
        names = [options.network] if options.network else [*NETWORKS]
        found = {name: over_processes(name, options.rounds) for name in names}
    elif options.what == "start":
        found = start(options.rounds)
    else:
        found = engines() if options.what == "engines" else device(options.steps)
    load = [round(each, 1) for each in (before, os.getloadavg()[0])]
    print(json.dumps({**found, "load before and after": load}, indent=2))


if __name__ == "__main__":
    main()
