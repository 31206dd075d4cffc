"""The products of matrices in a training step: pullback's beside OpenBLAS, one thread each.

    python benchmarks/product.py [--rounds 9] [--markdown]

The products are those of the networks that ``pullback bench`` trains: forward (X Wᵀ), to the
weights (Δᵀ X) and back (Δ W). Both are called from a loop that Numba compiles; OpenBLAS is the one
of SciPy, which ``numpy.dot`` means in compiled code. The two take turns, and medians are taken.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import statistics
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numba
import numpy as np

from pullback.bench.quiet import undisturbed
from pullback.bench.task import CASES
from pullback.machine.blas.matmul import addresses
from pullback.machine.blas.matmul_code import symbol
from pullback.report.words.provenance import processor

SECONDS = 0.03  # of one measurement
Loop = Callable[[Any, Any, Any, int], None]


def loops() -> tuple[Loop, Loop]:
    whole, real, place = ctypes.c_int64, ctypes.c_float, ctypes.c_void_p
    matrix = [place, whole, whole]
    kinds = [whole] * 3 + [real, *matrix, *matrix, real, *matrix]
    (address,) = addresses([symbol("float32")]).values()
    multiply = ctypes.CFUNCTYPE(None, *kinds)(address)

    @numba.njit  # type: ignore[untyped-decorator]
    def ours(a, b, out, count):  # type: ignore[no-untyped-def]
        m, k, n = a.shape[0], a.shape[1], b.shape[1]
        for _ in range(count):
            multiply(
                m, n, k, 1.0, a.ctypes, a.strides[0] // 4, a.strides[1] // 4, b.ctypes,
                b.strides[0] // 4, b.strides[1] // 4, 0.0, out.ctypes, n, 1,
            )  # fmt: skip

    @numba.njit  # type: ignore[untyped-decorator]
    def blas(a, b, out, count):  # type: ignore[no-untyped-def]
        for _ in range(count):
            np.dot(a, b, out)

    return ours, blas


def shapes() -> Iterator[tuple[str, int, int, int]]:
    """Kind, rows, depth and columns of each product, those of equal layers once."""
    seen = {}
    for widths, batch in CASES:
        for at, (n_in, n_out) in enumerate(pairwise(widths)):
            seen["X Wᵀ", batch, n_in, n_out] = None
            seen["Δᵀ X", n_out, batch, n_in] = None
            if at:
                seen["Δ W", batch, n_out, n_in] = None
    yield from seen


def operands(kind: str, rows: int, depth: int, columns: int) -> tuple[Any, Any, Any]:
    random = np.random.default_rng(0)
    a = random.standard_normal((rows, depth), dtype=np.float32)
    b = random.standard_normal((depth, columns), dtype=np.float32)
    a = np.asfortranarray(a) if kind == "Δᵀ X" else a
    b = np.asfortranarray(b) if kind == "X Wᵀ" else b
    return a, b, np.empty((rows, columns), np.float32)


def microseconds(both: tuple[Loop, Loop], given: tuple[Any, Any, Any], rounds: int) -> list[float]:
    counts, took = [], ([], [])  # type: tuple[list[int], tuple[list[float], list[float]]]
    for each in both:
        each(*given, 1)
        once, _ = undisturbed(lambda each=each: each(*given, 1), patience=1)  # type: ignore[misc]
        counts.append(max(1, round(SECONDS / once)))
    for _ in range(rounds):
        for at, each in enumerate(both):
            run = lambda: each(*given, counts[at])  # noqa: B023, E731  called at once
            seconds, _ = undisturbed(run, patience=4)
            took[at].append(1e6 * seconds / counts[at])
    return [statistics.median(each) for each in took]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    print(f"{processor()}; float32, one thread, medians of {options.rounds}")
    heads = ["product", "rows", "depth", "columns", "µs", "GF/s", "OpenBLAS µs", "ratio"]
    if options.markdown:
        print(f"\n| {' | '.join(heads)} |\n|---|{'---:|' * 7}")
    else:
        print("".join(f"{head:>12}" for head in heads))
    both = loops()
    for kind, rows, depth, columns in shapes():
        ours, blas = microseconds(both, operands(kind, rows, depth, columns), options.rounds)
        speed = 2e-3 * rows * depth * columns / ours
        numbers = [f"{ours:.3g}" if ours < 1000 else f"{ours:,.0f}", f"{speed:.0f}"]
        cells = [kind, *map(str, (rows, depth, columns)), *numbers]
        cells += [f"{blas:.3g}" if blas < 1000 else f"{blas:,.0f}", f"{blas / ours:.2f}×"]
        print(
            f"| {' | '.join(cells)} |" if options.markdown else "".join(f"{c:>12}" for c in cells)
        )


if __name__ == "__main__":
    main()
