"""Products of arrays of any axes: the emitted program's beside ``numpy.einsum``, one thread each.

    python benchmarks/contraction.py [--rounds 9]

The two take turns on one thread of OpenBLAS, and medians are taken. The machine decides the times;
only their ratio is printed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np

from pullback.ir import Axis, Contract, Input
from pullback.net.program import compile_program
from pullback.report.words.provenance import processor

# what it is · the axes of both factors and of the result · their lengths
CASES = {
    "a layer over patches": ("bpi,ohi->bpoh", dict(b=64, p=128, i=256, o=8, h=32)),
    "a layer over tokens": ("btf,of->bto", dict(b=32, t=64, f=256, o=256)),
    "its weight's gradient": ("btf,bto->of", dict(b=32, t=64, f=256, o=256)),
    "a draw for each weight": ("doi,dbi->dbo", dict(d=64, o=128, b=64, i=128)),
    "the first of such layers": ("doi,bi->dbo", dict(d=64, o=128, b=64, i=128)),
    "its weights' gradients": ("dbo,dbi->doi", dict(d=64, o=128, b=64, i=128)),
    "attention's scores": ("bthd,bshd->bhts", dict(b=16, t=64, s=64, h=8, d=32)),
    "attention's values": ("bhts,bshd->bthd", dict(b=16, t=64, s=64, h=8, d=32)),
    "small matrices": ("bij,bjk->bik", dict(b=4096, i=3, j=4, k=2)),
    "the first axis last": ("kbi,kbj->ijk", dict(k=32, b=64, i=64, j=64)),
    "a gain's gradient": ("btf,btf->f", dict(b=64, t=64, f=256)),
    "one number": ("bft,btf->", dict(b=64, t=64, f=256)),
}


def both(subscripts: str, sizes: dict[str, int]) -> tuple[Callable[[], object], ...]:
    """The product by the emitted program, and by einsum, each into arrays of its own."""
    factors, out = subscripts.split("->")
    names = dict(zip("ab", factors.split(","), strict=True))
    axes = {letter: Axis(letter, size) for letter, size in sizes.items()}
    rng = np.random.default_rng(0)
    arrays = {
        name: rng.standard_normal([sizes[letter] for letter in each]).astype(np.float32)
        for name, each in names.items()
    }
    leaves = tuple(Input(name, tuple(map(axes.get, each))) for name, each in names.items())
    node = Contract(leaves, tuple(axes[letter] for letter in out))
    program = compile_program({"out": node}, subscripts, leaves=leaves)
    given = {"out": np.empty([sizes[letter] for letter in out], np.float32)} if out else None
    other = np.empty([sizes[letter] for letter in out], np.float32)
    operands = tuple(arrays.values())
    np.testing.assert_allclose(
        program({}, arrays, given)["out"], np.einsum(subscripts, *operands), rtol=0.01, atol=0.05
    )
    return (
        lambda: program({}, arrays, given),
        lambda: np.einsum(subscripts, *operands, out=other),
    )


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    print(f"{processor()}; float32, one thread, medians of {options.rounds}")
    print(f"{'product':>28}{'axes':>20}{'einsum / ours':>16}")
    for name, (subscripts, sizes) in CASES.items():
        runs = both(subscripts, sizes)
        took = [[seconds(run) for run in runs] for _ in range(options.rounds)]
        ours, einsum = (statistics.median(each) for each in zip(*took, strict=True))
        print(f"{name:>28}{subscripts:>20}{einsum / ours:>15.2f}×")


if __name__ == "__main__":
    main()
