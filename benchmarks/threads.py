"""Training by several threads while other processes compute: how much is lost, and what is chosen.

    python benchmarks/threads.py [--networks 784,128,64,10+lenet] [--busy 0,1,2] [--rounds 15]

Microseconds a step, on the wall and of all processors, of three engines: one thread, as many as
there are processors, and the default, which chooses between these by how long steps take. So many
processes keep a processor busy each. The engines take turns, passes of 50 ms; medians. Ratios are
to one thread in the same minutes. ``--alone`` gives passes the priority of real time, which wants
the rights for it: others wait meanwhile, so it is a quiet machine for 50 ms at a time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from pullback.bench.choice import only
from pullback.bench.task import BenchmarkTask
from pullback.report.words.provenance import processor
from pullback.train.compiled_engine import CompiledEngine
from pullback.train.optim import SGD

NETWORKS = "400,25,10+784,128,64,10+lenet+resnet8+transformer+gru"
PASS, REST = 0.05, 0.02  # seconds


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that compute all the time."""
    command = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(command) for _ in range(count)]
    try:
        time.sleep(0.2)
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


@contextmanager
def alone() -> Iterator[None]:
    """The threads of this process before all others."""
    for thread in os.listdir("/proc/self/task"):
        os.sched_setscheduler(int(thread), os.SCHED_FIFO, os.sched_param(1))
    try:
        yield
    finally:
        for thread in os.listdir("/proc/self/task"):
            os.sched_setscheduler(int(thread), os.SCHED_OTHER, os.sched_param(0))


@contextmanager
def among_others() -> Iterator[None]:
    yield


@dataclass
class Trained:
    """An engine at work, and what its passes took: seconds a step on the wall and of processors."""

    task: BenchmarkTask
    workers: int | None

    def __post_init__(self) -> None:
        params, net, batch = self.task.params(), self.task.net, self.task.batch
        rule = SGD(1e-4, momentum=0.9)
        self.engine = CompiledEngine(net, params, rule, self.workers, batch_size=batch)
        _, self.data = net.batch(params, *self.task.data)
        self.took: list[tuple[float, float]] = []
        self.steps = 1
        for _ in range(5):  # the last one is as long as a pass
            self.steps = max(1, int(PASS / self.run()[0]))

    def run(self) -> tuple[float, float]:
        size, samples = self.task.batch, len(self.data["target"])
        order = np.resize(np.arange(samples), self.steps * size)
        rates = np.full(self.steps, 1e-4)
        wall, used = time.perf_counter(), time.process_time()
        self.engine.run(self.data, order, size, rates)
        return (time.perf_counter() - wall) / self.steps, (time.process_time() - used) / self.steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", default=NETWORKS, help="by name or widths, + between them")
    parser.add_argument("--busy", default="0,1,2", help="processes that compute meanwhile")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--alone", action="store_true", help="passes before all other processes")
    given = parser.parse_args()
    turn = alone if given.alone else among_others
    threads = len(os.sched_getaffinity(0))
    print(f"{processor()}; {threads} processors, load {os.getloadavg()[0]:.1f}")
    print(f"{'network':15} busy  {'one thread':>16}  {f'{threads} threads':>24}  {'default':>24}")
    for name in given.networks.split("+"):
        (task,) = only(name, None, ["training"], ["relu"], ["momentum"])
        for others in map(int, given.busy.split(",")):
            engines = [Trained(task, workers) for workers in (1, threads, None)]
            with busy(others):
                for _ in range(given.rounds):
                    for each in engines:
                        time.sleep(REST)
                        with turn():
                            each.took.append(each.run())
            rows = [
                [statistics.median(k) * 1e6 for k in zip(*each.took, strict=True)]
                for each in engines
            ]
            cells = [f"{rows[0][0]:9.1f} {rows[0][1]:6.0f}"]
            cells += [
                f"{wall:9.1f} {used:6.0f} {wall / rows[0][0]:6.2f}×" for wall, used in rows[1:]
            ]
            chosen = engines[-1].engine.workers(task.batch)
            print(f"{task.network:15} {others:4}  {'  '.join(cells)} ({chosen})", flush=True)


if __name__ == "__main__":
    main()
