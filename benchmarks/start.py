"""From the start of Python to the first step of training, cold and warm.

    python benchmarks/start.py [--rounds 5] [--only 784,512,512,10] [--json start.json]

Each measurement is a process of its own: it imports pullback, makes a network and data, and
learns from one batch with the fast engine. Cold finds an empty cache and compiles; warm finds
what the cold one left. Cold and warm take turns, and medians are taken. The floor is what the
same process needs to import NumPy and to make the data.
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

from quiet import undisturbed

CASES = {
    (64, 32, 10): 32,
    (400, 25, 10): 64,
    (784, 128, 64, 10): 64,
    (784, 512, 512, 10): 128,
    (1024, 1024, 1024, 1024, 10): 256,
}
ROOT = Path(__file__).resolve().parents[1]
DATA = """
import numpy as np
widths, batch = {widths}, {batch}
rng = np.random.default_rng(0)
X = rng.standard_normal((batch, widths[0]), dtype=np.float32)
Y = rng.integers(0, widths[-1], batch)
"""
TRAIN = """
import time
started = time.monotonic()
import pullback as pb
{data}
blocks = []
for n_in, n_out in zip(widths, widths[1:]):
    blocks += [pb.Linear(n_in, n_out), pb.ReLU()]
net = pb.Network(pb.Sequential(*blocks[:-1]), loss=pb.CrossEntropy())
options = dict(epochs=1, batch_size=batch, progress=False, engine="numba")
pb.fit(net, X, Y, optimizer=pb.optim.SGD(0.01), **options)
print(started, time.monotonic())
"""
FLOOR = """
import time
started = time.monotonic()
{data}
print(started, time.monotonic())
"""


def seconds(script: str, cache: str) -> tuple[float, float, bool]:
    """From the start of the process, and from its first line, to its end; was it undisturbed?"""
    found: list[tuple[float, float]] = []

    def run() -> None:
        born = time.monotonic()
        variables = {**os.environ, "PULLBACK_CACHE": cache, "PYTHONPATH": str(ROOT)}
        told = subprocess.run(
            [sys.executable, "-c", script], env=variables, check=True, capture_output=True, text=True
        ).stdout
        started, ended = map(float, told.split()[-2:])
        found.append((ended - born, ended - started))

    quiet = undisturbed(run)[1]
    return *found[-1], quiet


def measured(widths: tuple[int, ...], batch: int, rounds: int) -> dict[str, object]:
    """Medians over the rounds, each with a cache of its own."""
    data = DATA.format(widths=widths, batch=batch)
    train, floor = TRAIN.format(data=data), FLOOR.format(data=data)
    born: dict[str, list[float]] = {"cold": [], "warm": [], "floor": []}
    line: dict[str, list[float]] = {"cold": [], "warm": [], "floor": []}
    quiet = True
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as cache:
            for kind, script in (("cold", train), ("warm", train), ("floor", floor)):
                from_birth, from_line, undisturbed_run = seconds(script, cache)
                born[kind].append(from_birth)
                line[kind].append(from_line)
                quiet &= undisturbed_run
    medians = {kind: statistics.median(each) for kind, each in born.items()}
    imports = {f"{kind}_from_import": statistics.median(each) for kind, each in line.items()}
    return {"widths": widths, "batch": batch, **medians, **imports, "quiet": quiet}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="one network, such as 784,512,512,10")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    cases = CASES
    if given.only:
        widths = tuple(map(int, given.only.split(",")))
        cases = {widths: CASES.get(widths, 64)}
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors, Python "
          f"{platform.python_version()}; median of {given.rounds} processes")  # fmt: skip
    print("seconds from the start of Python (from the import) to the first step")
    print(f"{'network':<26}{'batch':>6}{'cold':>15}{'warm':>15}{'floor':>15}")
    rows = []
    for widths, batch in cases.items():
        row = measured(widths, batch, given.rounds)
        rows.append(row)
        kinds = ("cold", "warm", "floor")
        times = "".join(f"{row[k]:>8.2f} ({row[f'{k}_from_import']:.2f})" for k in kinds)
        note = "" if row["quiet"] else "  others were busy"
        print(f"{'-'.join(map(str, widths)):<26}{batch:>6}{times}{note}", flush=True)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
