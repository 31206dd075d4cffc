"""Elementwise functions: pullback's beside NumPy's and SciPy's, in nanoseconds an element.

    python benchmarks/vmath.py [--rounds 9] [--size 4096] [--markdown]

Both go over one array on one thread, ours in vectors as training does. The two take turns, and
medians of processor time are taken. Where NumPy and SciPy have no function, it is the formula that
one would write with them, into arrays that are there already.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from pullback.report.words.provenance import processor
from pullback.vmath.compiled import over
from pullback.vmath.functions import LARGEST_ERROR

SCALE, ALPHA = 1.0507009873554805, 1.6732632423543772
SECONDS = 0.03  # of one measurement
Loop = Callable[[Any, Any, int], None]


def _gelu(x: Any, y: Any) -> None:
    special.ndtr(x, out=y)
    np.multiply(x, y, out=y)


def _silu(x: Any, y: Any) -> None:
    special.expit(x, out=y)
    np.multiply(x, y, out=y)


def _elu(x: Any, y: Any) -> None:
    np.expm1(x, out=y)
    np.copyto(y, x, where=x > 0)


def _selu(x: Any, y: Any) -> None:
    np.expm1(x, out=y)
    np.multiply(y, ALPHA, out=y)
    np.copyto(y, x, where=x > 0)
    np.multiply(y, SCALE, out=y)


USUAL: dict[str, Callable[[Any, Any], object]] = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "tanh": np.tanh,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "sigmoid": special.expit,
    "softplus": lambda x, y: np.logaddexp(0, x, out=y),
    "erf": special.erf,
    "normal_cdf": special.ndtr,
    "gelu": _gelu,
    "silu": _silu,
    "elu": _elu,
    "selu": _selu,
}


def usual_loop(name: str) -> Loop:
    """The usual function over an array, so many times."""
    once = USUAL[name]

    def run(x: Any, y: Any, count: int) -> None:
        for _ in range(count):
            once(x, y)

    return run


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
    counts = [max(1, round(20 * SECONDS / seconds(each, x, y, 20))) for each in loops]
    took: list[list[float]] = [[], []]
    for _ in range(rounds):
        for at, each in enumerate(loops):
            took[at].append(1e9 * seconds(each, x, y, counts[at]) / counts[at] / size)
    return statistics.median(took[0]), statistics.median(took[1])


def seconds(loop: Loop, x: Any, y: Any, count: int) -> float:
    """Processor time of a loop."""
    loop(x, y, 1)
    began = time.process_time()
    loop(x, y, count)
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    print(f"{processor()}; {options.size} elements, medians of {options.rounds}")
    heads = ["function", *("ulp", "ns", "NumPy ns", "ratio") * 2]
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
