"""Jacobians in the planned order against jax, torch and numpy, side by side in one run.

    python benchmarks/jacobian.py [--repeats 30] [--only chain] [--json results.json]

Every contender computes the same thing from the same weights in float32, forward pass included,
and is checked against a float64 Jacobian first. Contenders take turns; medians are compared. jax
runs compiled (jit), with its compilation outside the times; pullback's plan is made once, as a
compiled function is. Everybody has as many threads as OMP_NUM_THREADS says, by default one: on a
shared machine threads that wait for each other measure the neighbours. Times are of the machine
that is named; the ratios are what to read.
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
from functools import partial
from itertools import pairwise
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

CHAIN = (1000, 50, 1000, 20, 800, 30, 600)
AUTO_ENCODER = (784, 400, 20, 400, 784)
NTK = (784, 256, 256, 10)
SQUARE = (300,) * 7
CLASSIFIER = (784, 256, 128, 10)
BATCH = 32
TURN = 0.02  # seconds; the caches are then as warm as in somebody's loop
Contenders = dict[str, Callable[[], Any]]


@dataclass(frozen=True)
class Task:
    """One question with its contenders; ``peers`` are those that the bar is about."""

    name: str
    bar: float
    ours: str
    peers: tuple[str, ...]
    contenders: Contenders
    exact: Any
    tolerance: float = 1e-3


class Peers:
    """One tanh network in every library."""

    def __init__(
        self, widths: tuple[int, ...], batch: int | None = None, gain: float = 1.0
    ) -> None:
        rng = np.random.default_rng(0)
        blocks: list[Any] = []
        for n_in, n_out in pairwise(widths):
            blocks += [pb.Linear(n_in, n_out), pb.Tanh()]
        self.net = pb.Network(pb.Sequential(*blocks[:-1]), loss=pb.SquaredError())
        self.params = {
            spec.name: (gain * rng.normal(size=spec.shape) / np.sqrt(spec.n_in)).astype(np.float32)
            for spec in self.net.specs
        }
        shape = widths[:1] if batch is None else (batch, widths[0])
        self.x = rng.normal(size=shape).astype(np.float32)
        self.r = rng.normal(size=(*shape[:-1], widths[-1])).astype(np.float32)
        names = list(self.params)
        self.layers = list(zip(names[::2], names[1::2], strict=True))
        self.jx, self.jr = jnp.asarray(self.x), jnp.asarray(self.r)
        self.jparams = {k: jnp.asarray(v) for k, v in self.params.items()}
        self.tx = torch.tensor(self.x)
        self.tparams = {k: torch.tensor(v) for k, v in self.params.items()}

    def jax(self, params: Any, x: Any) -> Any:
        for at, (weight, bias) in enumerate(self.layers):
            x = (jnp.tanh(x) if at else x) @ params[weight].T + params[bias]
        return x

    def torch(self, params: Any, x: Any) -> Any:
        for at, (weight, bias) in enumerate(self.layers):
            x = (torch.tanh(x) if at else x) @ params[weight].T + params[bias]
        return x

    def exact(self) -> Any:
        """The Jacobian of one sample in float64, by hand."""
        J, a = None, self.x.astype(np.float64)
        for at, (weight, bias) in enumerate(self.layers):
            W = self.params[weight].astype(np.float64)
            here = W if not at else W * (1 - a**2)
            J = here if J is None else here @ J
            a = np.tanh(W @ a + self.params[bias])
        return J

    def jacobian(self, wrt: str = "input") -> Any:
        return pb.jacobian(self.net, self.params, self.x, wrt=wrt)

    def factors(self) -> list[Any]:
        """The factors as arrays, output side first, for numpy's multi_dot."""
        a, found = self.x, []
        for at, (weight, bias) in enumerate(self.layers):
            W = self.params[weight]
            found.append(W * (1 - a**2) if at else W)
            a = np.tanh(W @ a + self.params[bias])
        return found[::-1]


def ready(value: Any) -> Any:
    """Wait for jax's result; leave others alone."""
    return jax.block_until_ready(value)


def dense(name: str, peers: Peers, bar: float, batched: bool = False) -> Task:
    """J itself."""
    reverse, forward = (jax.jit(mode(peers.jax, 1)) for mode in (jax.jacrev, jax.jacfwd))
    if batched:
        reverse = jax.jit(jax.vmap(jax.jacrev(peers.jax, 1), (None, 0)))
        forward = jax.jit(jax.vmap(jax.jacfwd(peers.jax, 1), (None, 0)))
    by_torch = torch.func.jacrev(peers.torch, 1)
    if batched:
        by_torch = torch.func.vmap(by_torch, (None, 0))
    contenders: Contenders = {
        "pullback": lambda: peers.jacobian().dense(),
        "jax.jacrev": lambda: ready(reverse(peers.jparams, peers.jx)),
        "jax.jacfwd": lambda: ready(forward(peers.jparams, peers.jx)),
        "torch.func.jacrev": lambda: by_torch(peers.tparams, peers.tx),
    }
    if not batched:
        contenders["numpy multi_dot"] = lambda: np.linalg.multi_dot(peers.factors())
    exact = None if batched else peers.exact()
    return Task(name, bar, "pullback", ("jax.jacrev", "jax.jacfwd"), contenders, exact)


def normal(name: str, peers: Peers, bar: float) -> Task:
    """JᵀJ (features, features)."""

    def after(mode: Any) -> Any:
        def product(params: Any, x: Any) -> Any:
            J = mode(peers.jax, 1)(params, x)
            return J.T @ J

        return jax.jit(product)

    reverse, forward = after(jax.jacrev), after(jax.jacfwd)
    J = peers.exact()
    contenders: Contenders = {
        "pullback": lambda: peers.jacobian().T.gram(),
        "jax.jacrev, JᵀJ": lambda: ready(reverse(peers.jparams, peers.jx)),
        "jax.jacfwd, JᵀJ": lambda: ready(forward(peers.jparams, peers.jx)),
    }
    return Task(name, bar, "pullback", tuple(contenders)[1:], contenders, J.T @ J)


def step(name: str, peers: Peers, bar: float, share: float = 1e-2) -> Task:
    """(JᵀJ + λI)⁻¹ Jᵀ r, λ a share of the largest eigenvalue of JᵀJ."""
    J = peers.exact()
    damping = float(share * np.linalg.norm(J, 2) ** 2)
    exact = np.linalg.solve(J.T @ J + damping * np.eye(J.shape[1]), J.T @ peers.r)

    def by_cg(params: Any, x: Any, r: Any) -> Any:
        _, push = jax.linearize(partial(peers.jax, params), x)
        pull = jax.linear_transpose(push, x)

        def matvec(v: Any) -> Any:
            return pull(push(v))[0] + damping * v

        return jax.scipy.sparse.linalg.cg(matvec, pull(r)[0], tol=1e-5)[0]

    def by_cholesky(params: Any, x: Any, r: Any) -> Any:
        J = jax.jacrev(peers.jax, 1)(params, x)
        gram = J.T @ J + damping * jnp.eye(J.shape[1], dtype=J.dtype)
        return jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(gram), J.T @ r)

    cg, cholesky = jax.jit(by_cg), jax.jit(by_cholesky)
    contenders: Contenders = {
        "pullback": lambda: peers.jacobian().solve(peers.r, damping=damping),
        "jax CG": lambda: ready(cg(peers.jparams, peers.jx, peers.jr)),
        "jax jacrev, Cholesky": lambda: ready(cholesky(peers.jparams, peers.jx, peers.jr)),
    }
    return Task(name, bar, "pullback", ("jax CG",), contenders, exact)


def singular_values(name: str, peers: Peers) -> Task:
    """The thin SVD; only the singular values are compared."""
    compiled = jax.jit(
        lambda params, x: jnp.linalg.svd(jax.jacrev(peers.jax, 1)(params, x), full_matrices=False)
    )
    exact = np.linalg.svd(peers.exact())[1][: min(CHAIN)]
    contenders: Contenders = {
        "pullback": lambda: peers.jacobian().svd()[1],
        "jax jacrev, svd": lambda: ready(compiled(peers.jparams, peers.jx))[1][: min(CHAIN)],
    }
    return Task(name, 1.0, "pullback", ("jax jacrev, svd",), contenders, exact)


def tangent_kernel(name: str, peers: Peers, bar: float) -> Task:
    """J Jᵀ over all parameters; jax writes J out."""

    def by_jacobian(params: Any, x: Any) -> Any:
        parts = jax.jacrev(peers.jax)(params, x)
        J = jnp.concatenate([p.reshape(x.shape[0] * 10, -1) for p in parts.values()], axis=1)
        return J @ J.T

    compiled = jax.jit(by_jacobian)
    contenders: Contenders = {
        "pullback": lambda: pb.ntk(peers.net, peers.params, peers.x),
        "jax.jacrev, J Jᵀ": lambda: ready(compiled(peers.jparams, peers.jx)),
    }
    return Task(name, bar, "pullback", tuple(contenders)[1:], contenders, None)


def tasks() -> dict[str, Callable[[], Task]]:
    return {
        "chain, J": lambda: dense("chain, J", Peers(CHAIN), 3.0),
        "chain, JᵀJ": lambda: normal("chain, JᵀJ", Peers(CHAIN), 12.0),
        "chain, LM step": lambda: step("chain, LM step", Peers(CHAIN), 4.0),
        "chain, SVD": lambda: singular_values("chain, SVD", Peers(CHAIN)),
        "auto-encoder, J": lambda: dense("auto-encoder, J", Peers(AUTO_ENCODER), 8.0),
        "NTK of 32": lambda: tangent_kernel("NTK of 32", Peers(NTK, BATCH), 100.0),
        "control 300×6, J": lambda: dense("control 300×6, J", Peers(SQUARE), 0.9),
        "control classifier, J": lambda: dense("control classifier, J", Peers(CLASSIFIER), 0.9),
        "auto-encoder, batch of 8": lambda: dense(
            "auto-encoder, batch of 8", Peers(AUTO_ENCODER, 8), 1.0, batched=True
        ),
    }


def check(task: Task) -> None:
    """Every contender gives the same answer, to float32."""
    found = {name: np.asarray(run()) for name, run in task.contenders.items()}
    exact = task.exact if task.exact is not None else found[task.peers[0]]
    size = np.max(np.abs(exact))
    for name, value in found.items():
        error = np.max(np.abs(value - exact)) / size
        assert error < task.tolerance, f"{task.name}: {name} is off by {error:.1e}"


def measure(task: Task, repeats: int) -> dict[str, float]:
    """Median seconds of each contender; they take turns of several calls each, as in a loop."""
    times: dict[str, list[float]] = {name: [] for name in task.contenders}
    deadline = time.perf_counter() + 15
    for _ in range(repeats):
        for name, run in task.contenders.items():
            turn = time.perf_counter() + TURN
            while True:
                start = time.perf_counter()
                run()
                times[name].append(time.perf_counter() - start)
                if time.perf_counter() > turn:
                    break
        if time.perf_counter() > deadline:
            break
    return {name: statistics.median(each) for name, each in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--only", default="", help="tasks whose name holds this text")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    console = Console()
    console.print(
        f"{_processor()}, {os.cpu_count()} cores; numpy {np.__version__}, jax {jax.__version__}, "
        f"torch {torch.__version__}; {THREADS} thread(s), float32, medians"
    )
    table = Table("task", "contender", "time", "ratio", "bar")
    results: dict[str, Any] = {}
    for name, make in tasks().items():
        if given.only not in name:
            continue
        task = make()
        check(task)
        medians = measure(task, given.repeats)
        best = min(medians[peer] for peer in task.peers)
        ratio = best / medians[task.ours]
        results[name] = {"medians": medians, "ratio": ratio, "bar": task.bar}
        for contender, median in medians.items():
            ours = contender == task.ours
            verdict = f"{ratio:.3g}× {'≥' if ratio >= task.bar else 'MISSED'} {task.bar:g}"
            table.add_row(
                name if ours else "",
                contender,
                f"{median * 1e3:.3f} ms",
                f"{median / medians[task.ours]:.2f}",
                verdict if ours else "",
            )
    console.print(table)
    if given.json:
        given.json.write_text(json.dumps(results, indent=2))


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    names = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


if __name__ == "__main__":
    main()
