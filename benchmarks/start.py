"""From the start of Python to the first step of training, cold and warm.

    python benchmarks/start.py [--rounds 5] [--only 784,512,512,10] [--json start.json]

Each measurement is a process of its own: it imports pullback, makes a network and data, and
learns from one batch with the fast engine; its callback ends it. Cold finds an empty cache and
compiles; warm finds what the cold one left. Python's own byte code is there in both. Cold and warm
take turns, and medians are taken. The floor is what the same process needs to import NumPy and to
make the data. Beside the clock's seconds stand those of the processor, which others who are busy
do not lengthen as much.
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


def measured(widths: tuple[int, ...], batch: int, rounds: int) -> dict[str, Any]:
    """Medians over the rounds, in which the kinds of start take turns."""
    data = DATA.format(widths=widths, batch=batch)
    train, floor = TRAIN.format(data=data), FLOOR.format(data=data)
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
    row: dict[str, Any] = {"widths": widths, "batch": batch, "quiet": quiet}
    for kind, each in found.items():
        born, imported, processor = map(statistics.median, zip(*each, strict=True))
        row |= {kind: born, f"{kind} from import": imported, f"{kind} of processor": processor}
    return row


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
    print("seconds from the start of Python (of processor time) to the first step")
    print(f"{'network':<26}{'batch':>6}{'cold':>15}{'warm':>15}{'floor':>15}")
    rows = []
    for widths, batch in cases.items():
        row = measured(widths, batch, given.rounds)
        rows.append(row)
        kinds = ("cold", "warm", "floor")
        line = "".join(f"{row[k]:>8.2f} ({row[f'{k} of processor']:.2f})" for k in kinds)
        note = "" if row["quiet"] else "  others were busy"
        print(f"{'-'.join(map(str, widths)):<26}{batch:>6}{line}{note}", flush=True)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
