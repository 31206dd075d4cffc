"""Jacobians by the cheapest elimination beside jax's two modes, at many points at once.

    python benchmarks/elimination.py [--points 20000] [--rounds 9]

The flux of Roe (1981) of gas dynamics in one dimension, six numbers in and three out, as one
program. jax's ways are compiled for all points (``vmap`` under ``jit``), and so is our code for
jax; that for Numba stands in a loop over the points. All take turns in one process, on one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

import numpy as np

import pullback as pb

GAS = 0.4  # γ − 1


def roe() -> list[pb.Expression]:
    """Mass, momentum and energy between two states (ρ, ρu, E), as text over their six numbers."""
    u, p, h = {}, {}, {}
    for side in "12":
        u[side] = f"(m{side}/r{side})"
        p[side] = f"({GAS}*(e{side}-0.5*m{side}*{u[side]}))"
        h[side] = f"((e{side}+{p[side]})/r{side})"
    mean = "((sqrt(r1)*{}+sqrt(r2)*{})/(sqrt(r1)+sqrt(r2)))".format
    speed, enthalpy, density = mean(u["1"], u["2"]), mean(h["1"], h["2"]), "(sqrt(r1)*sqrt(r2))"
    square = f"({GAS}*({enthalpy}-0.5*{speed}**2))"
    sound = f"sqrt{square}"
    du, dp = f"({u['2']}-{u['1']})", f"({p['2']}-{p['1']})"
    waves = [
        f"(abs({speed}-{sound})*({dp}-{density}*{sound}*{du})/(2*{square}))",
        f"(abs({speed})*(r2-r1-{dp}/{square}))",
        f"(abs({speed}+{sound})*({dp}+{density}*{sound}*{du})/(2*{square}))",
    ]
    sides = {
        "mass": "m{0}", "momentum": "m{0}*{1}+{2}", "energy": "{1}*(e{0}+{2})",
    }  # fmt: skip
    carried = {
        "mass": ("1", "1", "1"),
        "momentum": (f"({speed}-{sound})", speed, f"({speed}+{sound})"),
        "energy": (
            f"({enthalpy}-{speed}*{sound})",
            f"0.5*{speed}**2",
            f"({enthalpy}+{speed}*{sound})",
        ),
    }
    names = dict.fromkeys(("r1", "m1", "e1", "r2", "m2", "e2"), "")
    found = []
    for name, side in sides.items():
        both = "+".join(side.format(at, u[at], p[at]) for at in "12")
        moved = "+".join(f"{wave}*{each}" for wave, each in zip(waves, carried[name], strict=True))
        found.append(pb.expr(f"0.5*({both})-0.5*({moved})", **names))
    return found


def roe_in_jax(x: Any) -> Any:
    """The same, as a person writes it."""
    import jax.numpy as jnp

    r1, m1, e1, r2, m2, e2 = x
    sides = []
    for r, m, e in ((r1, m1, e1), (r2, m2, e2)):
        u = m / r
        p = GAS * (e - 0.5 * m * u)
        sides.append((u, p, (e + p) / r))
    (u1, p1, h1), (u2, p2, h2) = sides
    a, b = jnp.sqrt(r1), jnp.sqrt(r2)
    u, h, density = (a * u1 + b * u2) / (a + b), (a * h1 + b * h2) / (a + b), a * b
    square = GAS * (h - 0.5 * u**2)
    sound, du, dp = jnp.sqrt(square), u2 - u1, p2 - p1
    w1 = jnp.abs(u - sound) * (dp - density * sound * du) / (2 * square)
    w2 = jnp.abs(u) * (r2 - r1 - dp / square)
    w3 = jnp.abs(u + sound) * (dp + density * sound * du) / (2 * square)
    mass = 0.5 * (m1 + m2) - 0.5 * (w1 + w2 + w3)
    momentum = 0.5 * (m1 * u1 + p1 + m2 * u2 + p2)
    momentum -= 0.5 * (w1 * (u - sound) + w2 * u + w3 * (u + sound))
    energy = 0.5 * (u1 * (e1 + p1) + u2 * (e2 + p2))
    energy -= 0.5 * (w1 * (h - u * sound) + w2 * 0.5 * u**2 + w3 * (h + u * sound))
    return jnp.stack([mass, momentum, energy])


def over_points(order: pb.Accumulation, count: int) -> Callable[[Any], Any]:
    """The code for Numba in a loop over points (points, inputs)."""
    from numba import njit

    space: dict[str, Any] = {}
    exec(order.code("numba"), space)  # noqa: S102  our own emitter's text
    given = ", ".join(f"points[at, {k}]" for k in range(len(order.leaves)))
    source = "\n".join([
        "@njit(error_model='numpy')",
        "def run(points, out):",
        "    for at in range(len(points)):",
        f"        found = entries({given})",
        *(f"        out[at, {k}] = found[{k}]" for k in range(count)),
    ])  # fmt: skip
    inner = {"njit": njit, "entries": space["_entries"]}
    exec(source, inner)  # noqa: S102

    def run(points: Any) -> Any:
        out = np.empty((len(points), count))
        inner["run"](points, out)
        return out.reshape(len(points), -1, len(order.leaves))

    return run


def main() -> None:
    import jax
    import jax.numpy as jnp

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    order = pb.accumulate(roe(), seconds=10)
    space: dict[str, Any] = {}
    exec(order.code("jax"), space)  # noqa: S102  our own emitter's text

    def ours(x: Any) -> Any:
        return jnp.stack([*space["jacobian"](*x).values()], axis=-1)

    in_jax = {
        "pullback, jax": ours, "jax, forward": jax.jacfwd(roe_in_jax),
        "jax, reverse": jax.jacrev(roe_in_jax),
    }  # fmt: skip
    ways: dict[str, Callable[[Any], Any]] = {
        name: jax.jit(jax.vmap(way)) for name, way in in_jax.items()
    }
    ways["pullback, numba"] = over_points(order, 18)
    rng = np.random.default_rng(0)
    low, high = np.array([0.5, 0, 2, 0.5, 0, 2.0]), np.array([1.5, 0.5, 3, 1.5, 0.5, 3])
    points = rng.uniform(low, high, (options.points, 6))
    on_device = jnp.asarray(points)
    times: dict[str, list[float]] = {name: [] for name in ways}
    results = {}
    for _ in range(options.rounds + 1):  # the first one compiles
        for name, way in ways.items():
            given = points if name.endswith("numba") else on_device
            began = time.process_time()
            results[name] = np.asarray(way(given))
            times[name].append(time.process_time() - began)
    worst = max(np.abs(each - results["jax, reverse"]).max() for each in results.values())
    medians = {name: statistics.median(each[1:]) for name, each in times.items()}
    better = min(medians["jax, forward"], medians["jax, reverse"])
    told = {
        "fma": order.table(),
        "largest difference": float(worst),
        "milliseconds of processor time": {n: round(1e3 * each, 3) for n, each in medians.items()},
        "jax's better mode / pullback": {
            name: round(better / each, 2)
            for name, each in medians.items()
            if name.startswith("pullback")
        },
        "load": os.getloadavg()[0],
    }
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
