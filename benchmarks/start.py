"""From the start of Python to the first step of training, cold and warm.

    python benchmarks/start.py [--rounds 5] [--only lenet] [--json start.json]

The networks are those of ``pullback bench``: five of linear layers (``--only 784,512,512,10``), and
lenet, resnet8, transformer and gru (``--only lenet``). Each measurement is a process of its own: it
imports pullback, makes a network and data, and learns from one batch with the fast engine; its
callback ends it. Cold finds an empty cache and compiles; warm finds what the cold one left.
Python's own byte code is there in both. Cold and warm take turns, and medians are taken. The floor
is what the same process needs to import NumPy and to make the data. Beside the clock's seconds
stand those of the processor, which others who are busy do not lengthen as much.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pullback.bench.quiet import undisturbed
from pullback.bench.task import BATCHES, CASES, BenchmarkTask, PublishedTask, TrainingTask

ROOT = Path(__file__).resolve().parents[1]
DATA = """
import numpy as np
rng = np.random.default_rng(0)
X = rng.standard_normal({sample}, dtype=np.float32)
Y = rng.integers(0, {classes}, len(X))
batch = len(X)
"""
LAYERS = """
blocks = []
for n_in, n_out in zip({widths}, {widths}[1:]):
    blocks += [pb.Linear(n_in, n_out), pb.ReLU()]
net = pb.Network(pb.Sequential(*blocks[:-1]), loss=pb.CrossEntropy())
"""
PUBLISHED = """
from pullback.bench.networks import published
net = published({name!r}).net
"""
TRAIN = """
import time
started = time.monotonic()
import pullback as pb
{data}
{net}
options = dict(epochs=1, batch_size=batch, progress=False, engine="compiled")
def first_step(*_):
    print(started, time.monotonic(), time.process_time())
    raise StopIteration
pb.fit(net, X, Y, optimizer=pb.optim.SGD(0.01), callback=first_step, **options)
"""
FLOOR = """
import time
started = time.monotonic()
{data}
print(started, time.monotonic(), time.process_time())
"""


def times(script: str, cache: str, byte_code: str) -> tuple[float, float, float]:
    """Seconds from the start of a process, from its first line, and of the processor, to its end.

    Python keeps its byte code in a folder.
    """
    born = time.monotonic()
    variables = {**os.environ, "PULLBACK_CACHE": cache, "PYTHONPATH": str(ROOT)}
    variables |= {"PYTHONPYCACHEPREFIX": byte_code, "PYTHONDONTWRITEBYTECODE": ""}
    told = subprocess.run(
        [sys.executable, "-c", script], env=variables, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    started, ended, processor = map(float, told.split())
    return ended - born, ended - started, processor


def cases() -> dict[str, tuple[BenchmarkTask, str]]:
    """What is trained by the names that ``--only`` takes, with the code that makes the network."""
    made: dict[str, tuple[BenchmarkTask, str]] = {}
    for widths, batch in CASES:
        name, task = ",".join(map(str, widths)), TrainingTask(widths, batch, "relu", "sgd")
        made[name] = task, LAYERS.format(widths=widths)
    for name, batch in BATCHES.items():
        made[name] = PublishedTask(name, batch, "sgd"), PUBLISHED.format(name=name)
    return made


def measured(task: BenchmarkTask, network: str, rounds: int) -> dict[str, Any]:
    """Medians over the rounds, in which the kinds of start take turns."""
    sizes = [axis.size for axis in task.net.x.axes[1:]]
    data = DATA.format(sample=(task.batch, *sizes), classes=task.net.output_axes[-1].size)
    train, floor = TRAIN.format(data=data, net=network), FLOOR.format(data=data)
    found: dict[str, list[tuple[float, float, float]]] = {"cold": [], "warm": [], "floor": []}
    quiet = True
    with tempfile.TemporaryDirectory() as filled, tempfile.TemporaryDirectory() as code:
        times(train, filled, code)

        def cold() -> None:
            with tempfile.TemporaryDirectory() as empty:
                last["cold"] = times(train, empty, code)

        def warm() -> None:
            last["warm"] = times(train, filled, code)

        def least() -> None:
            last["floor"] = times(floor, filled, code)

        last: dict[str, tuple[float, float, float]] = {}
        for _ in range(rounds):
            for kind, run in (("cold", cold), ("warm", warm), ("floor", least)):
                quiet &= undisturbed(run)[1]
                found[kind].append(last[kind])
    row: dict[str, Any] = {"network": task.network, "batch": task.batch, "quiet": quiet}
    for kind, each in found.items():
        born, imported, processor = map(statistics.median, zip(*each, strict=True))
        row |= {kind: born, f"{kind} from import": imported, f"{kind} of processor": processor}
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    known = cases()
    parser.add_argument("--only", choices=known, metavar="NETWORK", help=", ".join(known))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    chosen = [known[given.only]] if given.only else list(known.values())
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors, Python "
          f"{platform.python_version()}; median of {given.rounds} processes")  # fmt: skip
    print("seconds from the start of Python (of processor time) to the first step")
    print(f"{'network':<26}{'batch':>6}{'cold':>15}{'warm':>15}{'floor':>15}")
    rows = []
    for task, network in chosen:
        row = measured(task, network, given.rounds)
        rows.append(row)
        kinds = ("cold", "warm", "floor")
        line = "".join(f"{row[k]:>8.2f} ({row[f'{k} of processor']:.2f})" for k in kinds)
        note = "" if row["quiet"] else "  others were busy"
        print(f"{task.network:<26}{task.batch:>6}{line}{note}", flush=True)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
