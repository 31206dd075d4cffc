"""Deriving and emitting deep networks: how the time grows with the number of layers.

    python benchmarks/derive.py [--layers 50,100,200] [--json derive.json]
    python benchmarks/derive.py --expressions 100

Each depth is built, derived, printed and emitted in a fresh network; rounds are interleaved in one
process and medians taken. JAX's own trace and gradient of the same network to a jaxpr stands
beside it, if JAX is there: it prints no formulas, but does the nearest thing. Random expressions
of matrices with about 20 operators are read, derived, simplified and printed, the slowest named.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import statistics
import sys
import time
from pathlib import Path
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


def expressions(count: int) -> None:
    """Seconds of the processor for each of some random expressions."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    import numpy as np
    from matrix_formulas import VARIABLES, Drawn

    found: list[tuple[float, int, str]] = []
    seed = 0
    while len(found) < count + 1:
        seed += 1
        text = Drawn(np.random.default_rng(seed)).scalar(5)
        operators = len(re.findall(r"\w+\(|[-+*@/]+|\.T", text))
        axes = {n: over for n, over in VARIABLES.items() if re.search(rf"(?<!\w){n}(?!\w)", text)}
        if not 15 <= operators <= 25 or not axes:
            continue
        start = time.process_time()
        try:
            pb.derive(pb.expr(text, **axes), wrt=list(axes)[seed % len(axes)]).text()
        except pb.errors.PullbackError:
            continue
        found.append((time.process_time() - start, operators, text))
    found = sorted(found[1:])  # the first one pays for what is loaded
    times = [seconds for seconds, _, _ in found]
    print(f"{count} expressions of 15 to 25 operators: median {statistics.median(times):.3f} s, "
          f"90 % {times[int(0.9 * count)]:.3f} s, slowest {times[-1]:.3f} s of 1 s")  # fmt: skip
    for seconds, operators, text in found[-3:]:
        print(f"  {seconds:.3f} s, {operators} operators: {text}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--layers", default="25,50,100,200")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--json")
    options.add_argument("--expressions", type=int, help="only this many random expressions")
    chosen = options.parse_args()
    if chosen.expressions:
        expressions(chosen.expressions)
        return
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
