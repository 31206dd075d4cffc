"""Elementwise functions: pullback's beside those that Numba calls, in nanoseconds an element.

    python benchmarks/vmath.py [--rounds 9] [--size 4096] [--markdown]

Both go over one array on one thread: ours in vectors as training does, the usual function in a loop
that Numba compiles with sums free to be reordered. The two take turns, medians are taken, and a
measurement that others disturbed is made again. Numba has no σ, softplus, Φ, gelu, silu, elu or
selu: there it computes the formula that one would write.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from pullback.bench.quiet import undisturbed
from pullback.report.words.provenance import processor
from pullback.vmath.compiled import over
from pullback.vmath.functions import LARGEST_ERROR

ROOT, SCALE, ALPHA = math.sqrt(0.5), 1.0507009873554805, 1.6732632423543772
USUAL: dict[str, Callable[[Any], Any]] = {
    "exp": lambda x: math.exp(x),
    "expm1": lambda x: math.expm1(x),
    "log": lambda x: math.log(x),
    "tanh": lambda x: math.tanh(x),
    "sinh": lambda x: math.sinh(x),
    "cosh": lambda x: math.cosh(x),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "softplus": lambda x: max(x, 0) + math.log1p(math.exp(-abs(x))),
    "erf": lambda x: math.erf(x),
    "normal_cdf": lambda x: math.erfc(-x * ROOT) / 2,
    "gelu": lambda x: x * math.erfc(-x * ROOT) / 2,
    "silu": lambda x: x / (1 + math.exp(-x)),
    "elu": lambda x: x if x > 0 else math.expm1(x),
    "selu": lambda x: SCALE * (x if x > 0 else ALPHA * math.expm1(x)),
}
SECONDS = 0.03  # of one measurement
Loop = Callable[[Any, Any, int], None]


FASTMATH = {"contract", "reassoc", "nsz", "arcp"}


def usual_loop(name: str) -> Loop:
    """A compiled loop over an array, so many times."""
    f = numba.njit(USUAL[name])

    @numba.njit(error_model="numpy", fastmath=FASTMATH)  # type: ignore[untyped-decorator]
    def run(x, y, count):  # type: ignore[no-untyped-def]
        for _ in range(count):
            for i in range(x.shape[0]):
                y[i] = f(x[i])

    compiled: Loop = run
    return compiled


def our_loop(name: str, dtype: str) -> Loop:
    """Ours over an array, so many times."""
    once = over(name, dtype)

    def run(x: Any, y: Any, count: int) -> None:
        for _ in range(count):
            once(x, y)

    return run


def nanoseconds(name: str, dtype: str, size: int, rounds: int) -> tuple[float, float]:
    """Median time of an element by our function and by the usual one."""
    x = np.random.default_rng(0).normal(0, 2, size).astype(dtype)
    y = np.empty_like(x)
    x = abs(x) if name == "log" else x
    loops = [our_loop(name, dtype), usual_loop(name)]
    counts = []
    for each in loops:
        each(x, y, 1)
        once, _ = undisturbed(lambda each=each: each(x, y, 20), patience=1)  # type: ignore[misc]
        counts.append(max(1, round(20 * SECONDS / once)))
    took: list[list[float]] = [[], []]
    for _ in range(rounds):
        for at, each in enumerate(loops):
            run = lambda: each(x, y, counts[at])  # noqa: B023, E731  called at once
            seconds, _ = undisturbed(run, patience=4)
            took[at].append(1e9 * seconds / counts[at] / size)
    return statistics.median(took[0]), statistics.median(took[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    print(f"{processor()}; {options.size} elements, medians of {options.rounds}")
    heads = ["function", *("ulp", "ns", "Numba ns", "ratio") * 2]
    if options.markdown:
        heads[1], heads[5] = "float32: ulp", "float64: ulp"
        print(f"\n| {' | '.join(heads)} |\n|---|{'---:|' * 8}")
    else:
        print(f"{'':11}{'float32':>30}{'float64':>32}")
        print(f"{heads[0]:11}" + "".join(f"{head:>8}" for head in heads[1:]))
    for name in USUAL:
        cells = []
        for dtype in ("float32", "float64"):
            ours, usual = nanoseconds(name, dtype, options.size, options.rounds)
            error = LARGEST_ERROR[dtype][name]
            cells += [f"{error:g}", f"{ours:.2f}", f"{usual:.2f}", f"{usual / ours:.1f}×"]
        if options.markdown:
            print(f"| {name} | {' | '.join(cells)} |")
        else:
            print(f"{name:11}" + "".join(f"{cell:>8}" for cell in cells))


if __name__ == "__main__":
    main()
