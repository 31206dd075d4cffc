"""One shared linear layer, applied again and again, with its parameter gradient.

    python benchmarks/closed.py [--repeats 30] [--json results.json] [--no-crossover]

h ← W h, L times, the loss at the end: ∂L/∂W and ∂L/∂h_0 from the same W, h_0 and δ in float64.
Contenders take turns in one run; medians are compared; every answer is checked against the
recursion first. ``from scratch`` holds nothing from call to call; ``prepared`` holds the
eigendecomposition, as a compiled function holds its code. jax runs compiled (jit, a scan and its
gradient), with its compilation outside the times. One thread, unless OMP_NUM_THREADS says another
number. Times are of the machine that is named; the ratios are what to read.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

THREADS = os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["OPENBLAS_NUM_THREADS"] = THREADS
os.environ["NPROC"] = THREADS  # the size of XLA's pool
if THREADS == "1":
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

import jax  # noqa: E402  threads are set before libraries start their pools
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

import pullback as pb  # noqa: E402

jax.config.update("jax_enable_x64", True)
UNITS, STEPS = 64, 1024
BAR, TOLERANCE = 5.0, 1e-9
TURN = 0.02  # seconds; the caches are then as warm as in somebody's loop
Answer = tuple[Any, Any]
Contenders = dict[str, Callable[[], Answer]]


class Task:
    """One W with everybody's way of getting ∂L/∂W and ∂L/∂h_0."""

    def __init__(self, units: int, steps: int) -> None:
        rng = np.random.default_rng(0)
        W = rng.normal(size=(units, units))
        self.W = W / np.max(np.abs(np.linalg.eigvals(W)))  # of radius 1: no power ends anywhere
        self.state, self.delta = rng.normal(size=(2, units))
        self.steps = steps
        self.prepared = pb.closed_form(self._recurrence())
        self.compiled = jax.jit(jax.grad(self._loss, (0, 1)))
        self.in_jax = tuple(map(jnp.asarray, (self.W, self.state)))
        self.in_torch = tuple(map(torch.tensor, (self.W, self.state, self.delta)))

    def _recurrence(self) -> pb.Recurrence:
        return pb.Recurrence(self.W, self.steps, state=self.state)

    def _loss(self, W: Any, state: Any) -> Any:
        last, _ = jax.lax.scan(lambda h, _: (W @ h, None), state, None, length=self.steps)
        return self.delta @ last

    def sequential(self) -> Answer:
        """The recursion in numpy as quick as it goes: products into place, one product for ∂W."""
        W, back = self.W, self.W.T.copy()
        states, deltas = np.empty((2, self.steps + 1, len(W)))
        states[0], deltas[-1] = self.state, self.delta
        for t in range(self.steps):
            np.dot(W, states[t], out=states[t + 1])
        for t in range(self.steps, 0, -1):
            np.dot(back, deltas[t], out=deltas[t - 1])
        return deltas[1:].T @ states[:-1], deltas[0]

    def textbook(self) -> Answer:
        """The recursion as it is written: one outer product a step."""
        states = [self.state]
        for _ in range(self.steps):
            states.append(self.W @ states[-1])
        gradient, delta = np.zeros_like(self.W), self.delta
        for state in states[-2::-1]:
            gradient += np.outer(delta, state)
            delta = delta @ self.W
        return gradient, delta

    def torch(self) -> Answer:
        W, h, delta = self.in_torch
        W, start = W.clone().requires_grad_(), h.clone().requires_grad_()
        h = start
        for _ in range(self.steps):
            h = W @ h
        return torch.autograd.grad(delta @ h, (W, start))

    def block_power(self) -> Answer:
        found = pb.closed_form(self._recurrence()).gradient(self.delta)
        return found["W"], found["state"]

    def eigenvalues(self, form: Any) -> Answer:
        found = form.gradient(self.delta, method="divided differences")
        return found["W"], found["state"]

    def contenders(self) -> Contenders:
        return {
            "pullback, block power, from scratch": self.block_power,
            "pullback, eigenvalues, from scratch": lambda: self.eigenvalues(
                pb.closed_form(self._recurrence())
            ),
            "pullback, eigenvalues, prepared": lambda: self.eigenvalues(self.prepared),
            "recursion, numpy, in place": self.sequential,
            "recursion, numpy, as written": self.textbook,
            "jax, scan and grad, jit": lambda: jax.block_until_ready(self.compiled(*self.in_jax)),
            "torch, loop and autograd": self.torch,
        }


def errors(contenders: Contenders, task: Task) -> dict[str, float]:
    """The relative error of each against the recursion, the worse of both gradients."""
    expected = task.textbook()
    found = {}
    for name, run in contenders.items():
        pairs = zip(run(), expected, strict=True)
        found[name] = max(
            float(np.linalg.norm(np.asarray(a) - b) / np.linalg.norm(b)) for a, b in pairs
        )
    return found


def measure(contenders: Contenders, repeats: int) -> tuple[dict[str, float], dict[str, float]]:
    """Median and least seconds of each; they take turns of several calls each, as in a loop."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, run in contenders.items():
            turn = time.perf_counter() + TURN
            while True:
                start = time.perf_counter()
                run()
                times[name].append(time.perf_counter() - start)
                if time.perf_counter() > turn:
                    break
    medians = {name: statistics.median(each) for name, each in times.items()}
    return medians, {name: min(each) for name, each in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--no-crossover", action="store_true")
    given = parser.parse_args()
    console = Console()
    console.print(
        f"{_processor()}, {os.cpu_count()} cores; numpy {np.__version__}, jax {jax.__version__}, "
        f"torch {torch.__version__}; {THREADS} thread(s), float64, medians"
    )
    results: dict[str, Any] = {"main": headline(console, given.repeats)}
    if not given.no_crossover:
        results["crossover"] = crossover(console, max(given.repeats // 6, 3))
    if given.json:
        given.json.write_text(json.dumps(results, indent=2))


def headline(console: Console, repeats: int) -> dict[str, Any]:
    """n = 64, L = 1024, everybody."""
    task = Task(UNITS, STEPS)
    contenders = task.contenders()
    wrong = errors(contenders, task)
    medians, least = measure(contenders, repeats)
    ours = next(iter(contenders))
    rivals = [name for name in contenders if not name.startswith("pullback")]
    sequential = [name for name in rivals if name.startswith("recursion")]
    table = Table(
        "contender", "median", "ratio", "fastest", "ratio", "error", title=f"n {UNITS}, L {STEPS}"
    )
    for name in contenders:
        cells = (f"{t[name] * 1e3:.2f} ms|{t[name] / t[ours]:.2f}" for t in (medians, least))
        table.add_row(name, *"|".join(cells).split("|"), f"{wrong[name]:.0e}")
    console.print(table)
    ratio, fastest = (min(t[name] for name in sequential) / t[ours] for t in (medians, least))
    peer = min(medians[name] for name in rivals) / medians[ours]
    console.print(
        f"{ratio:.1f}× over the quicker recursion in numpy "
        f"({'≥' if ratio >= BAR else 'MISSED'} {BAR:g}×; by the fastest calls {fastest:.1f}×), "
        f"{peer:.1f}× over the quickest peer; error {wrong[ours]:.0e} "
        f"({'≤' if wrong[ours] <= TOLERANCE else 'MISSED'} {TOLERANCE:g})"
    )
    return {"medians": medians, "fastest": least, "errors": wrong, "ratio": ratio}


def crossover(console: Console, repeats: int) -> dict[str, float]:
    """By how much block power beats the recursion in place, over n and L."""
    steps = (16, 64, 256, 1024, 4096)
    table = Table(
        "n", *(f"L = {each}" for each in steps), title="block power over recursion, fastest calls"
    )
    found: dict[str, float] = {}
    for units in (8, 16, 32, 64, 128, 256):
        cells = []
        for each in steps:
            task = Task(units, each)
            pair: Contenders = {"ours": task.block_power, "theirs": task.sequential}
            _, least = measure(pair, repeats)
            ratio = least["theirs"] / least["ours"]
            found[f"{units},{each}"] = ratio
            cells.append(f"[bold]{ratio:.2f}×[/bold]" if ratio > 1 else f"{ratio:.2f}×")
        table.add_row(str(units), *cells)
    console.print(table)
    console.print("Above 1× the closed form is quicker. The recursion is numpy's, in place.")
    return found


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    names = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


if __name__ == "__main__":
    main()
