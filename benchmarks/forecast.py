"""The forecast beside Monte Carlo at the same precision: what each costs.

    python benchmarks/forecast.py [--quick] [--json forecast.json]

Rounds of the analytic forecast and of Monte Carlo are interleaved in one process, medians taken.
A verdict is borne out by 20 networks or more, which are drawn when it is read: it is timed as well.
Monte Carlo's cost at the forecast's precision is its time a draw times the draws it would need: its
standard error falls with the root of the draws, and the forecast's own error is the gap to
Monte Carlo, or its standard error where that is larger.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from typing import Any

import numpy as np

import pullback as pb

ANALYTIC = ("independence", "exact", "coupled", "finite_width")
CASES = {  # name: depth, width, activation, scheme, draws
    "depth 100, width 300, tanh": (100, 300, pb.Tanh(), pb.init.lecun(), 20),
    "depth 20, width 300, tanh": (20, 300, pb.Tanh(), pb.init.lecun(), 1000),
    "depth 10, width 100, relu": (10, 100, pb.ReLU(), pb.init.he(), 1000),
    "depth 2, width 64, gelu": (2, 64, pb.GELU(), pb.init.normal(std=1.4), 1000),
}


def network(depth: int, width: int, activation: Any) -> pb.Network:
    blocks = [pb.Linear(784, width), activation]
    for _ in range(depth - 1):
        blocks += [pb.Linear(width, width), activation]
    return pb.Network(pb.Sequential(*blocks, pb.Linear(width, 10)), loss=pb.CrossEntropy())


def timed(work: Any) -> tuple[float, Any]:
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


def measure(name: str, quick: bool) -> dict[str, Any]:
    depth, width, activation, scheme, draws = CASES[name]
    net = network(depth, width, activation)
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((500, 784)), rng.integers(0, 10, 500)
    draws = max(draws // 20, 10) if quick else draws

    def analytic() -> Any:
        return pb.forecast(net, X, Y, scheme, ANALYTIC)

    def drawn() -> Any:
        return pb.forecast(net, X, Y, scheme, ("monte_carlo",), draws=draws, progress=False)

    first, _ = timed(analytic)

    def judged() -> Any:
        return analytic().verdict

    rounds = [(timed(analytic), timed(drawn), timed(judged)) for _ in range(2 if quick else 3)]
    fast, slow, with_verdict = (
        statistics.median(seconds for seconds, _ in each) for each in zip(*rounds, strict=True)
    )
    predicted, sampled = rounds[0][0][1], rounds[0][1][1]
    value = float(predicted.layers[0].log_mean["finite_width"])
    found = sampled.sampled[0].log_mean
    doubt = max(abs(value - found.value), found.error or 0.0)
    needed = draws * ((found.error or 0.0) / doubt) ** 2 if doubt else draws
    return {
        "case": name,
        "first call, ms": 1e3 * first,
        "analytic, ms": 1e3 * fast,
        "with its verdict, ms": 1e3 * with_verdict,
        "draws": draws,
        "Monte Carlo, s": slow,
        "draws for the same precision": needed,
        "Monte Carlo at the same precision, s": slow / draws * max(needed, 2),
        "ratio": slow / draws * max(needed, 2) / fast,
        "ln‖δ‖² forecast": value,
        "ln‖δ‖² drawn": found.value,
        "its standard error": found.error,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json")
    parser.add_argument("--only", choices=list(CASES))
    chosen = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {load:.1f}")
    rows = []
    for name in [chosen.only] if chosen.only else CASES:
        row = measure(name, chosen.quick)
        rows.append(row)
        for key, value in row.items():
            print(f"  {key:<38}{value:>14.4g}" if key != "case" else f"\n{value}")
    if chosen.json:
        with open(chosen.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=2, ensure_ascii=False)


if __name__ == "__main__":
    main()
