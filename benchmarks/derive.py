"""Deriving and emitting deep networks: how the time grows with the number of layers.

    python benchmarks/derive.py [--layers 50,100,200] [--json derive.json]

Each depth is built, derived, printed and emitted in a fresh network; rounds are interleaved in one
process and medians taken. JAX's own trace and gradient of the same network to a jaxpr stands
beside it, if JAX is there: it prints no formulas, but does the nearest thing.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from typing import Any

import pullback as pb

LIMITS = {50: 1.0, 200: 4.0}  # seconds to derive and emit


def network(layers: int) -> pb.Network:
    """A stack of Linear blocks with tanh between them."""
    blocks = [part for _ in range(layers - 1) for part in (pb.Linear(8, 8), pb.Tanh())]
    return pb.Network(pb.Sequential(*blocks, pb.Linear(8, 3)), loss=pb.CrossEntropy())


def ours(layers: int) -> dict[str, float]:
    """Seconds for each part."""
    start = time.perf_counter()
    net = network(layers)
    found = pb.derive(net)
    derived = time.perf_counter()
    found.text()
    printed = time.perf_counter()
    found.code("numpy")
    emitted = time.perf_counter()
    return {
        "derive": derived - start,
        "print": printed - derived,
        "emit": emitted - printed,
        "all": emitted - start,
    }


def jaxs(layers: int) -> float | None:
    """Seconds that JAX takes to trace the gradient of the same network."""
    try:
        import jax
        import jax.numpy as jnp
    except ImportError:
        return None
    params = [jnp.zeros((8, 9)) for _ in range(layers)]

    def loss(params: Any, x: Any) -> Any:
        for at, weight in enumerate(params):
            x = x @ weight[:, 1:].T + weight[:, 0]
            x = jnp.tanh(x) if at < layers - 1 else x
        return jnp.mean(jax.nn.logsumexp(x, axis=1))

    start = time.perf_counter()
    jax.make_jaxpr(jax.grad(loss))(params, jnp.zeros((4, 8)))
    return time.perf_counter() - start


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--layers", default="25,50,100,200")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--json")
    chosen = options.parse_args()
    depths = [int(part) for part in chosen.layers.split(",")]
    ours(3), jaxs(3)  # imports and caches
    rounds = [{n: (ours(n), jaxs(n)) for n in depths} for _ in range(chosen.rounds)]
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}")
    print(f"{'layers':>6} {'derive':>8} {'print':>8} {'emit':>8} {'all':>8} {'ms/layer':>9} "
          f"{'jax':>8} {'limit':>6}")  # fmt: skip
    report = {}
    for n in depths:
        parts = {k: statistics.median(r[n][0][k] for r in rounds) for k in rounds[0][n][0]}
        peers = [r[n][1] for r in rounds if r[n][1] is not None]
        peer = statistics.median(peers) if peers else float("nan")
        limit = f"{LIMITS[n]:.0f} s" if n in LIMITS else ""
        print(f"{n:>6} " + " ".join(f"{parts[k]:>8.3f}" for k in parts)
              + f" {1000 * parts['all'] / n:>9.2f} {peer:>8.3f} {limit:>6}")  # fmt: skip
        report[n] = {**parts, "jax": peer}
    if chosen.json:
        with open(chosen.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=2)


if __name__ == "__main__":
    main()
