"""Convolutions and max pools by themselves: our kernels beside torch's, one thread each.

    python benchmarks/window.py [--rounds 15] [--markdown]

The shapes are those of a LeNet on 28×28 and of a ResNet-8 on 8×8, batches of 64, float32: forward,
back to the input and back to the weight. Counted are the multiplications and additions without
padding. Beside them stands the speed of a product of matrices, NumPy's of 256 × 256. Arrays begin
where a line of the cache does, as they do in a step and in torch. Both take turns; medians of a
thread's processor time, so that neighbours matter little.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from torch.nn import functional

from pullback.machine.window.call import pooled, pooled_back, to_places, to_positions, to_taps
from pullback.report.words.provenance import processor

BATCH, SECONDS = 64, 0.01  # samples, and of one measurement
# inputs, outputs, size, taps, stride, padding
CONVOLUTIONS = {
    "LeNet 1": (1, 6, 28, 5, 1, 2),
    "LeNet 2": (6, 16, 14, 5, 1, 0),
    "ResNet 16": (16, 16, 8, 3, 1, 1),
    "ResNet 16-32": (16, 32, 8, 3, 2, 1),
    "ResNet 32": (32, 32, 4, 3, 1, 1),
    "ResNet 64": (64, 64, 2, 3, 1, 1),
}
POOLS = {"LeNet 1": (6, 28), "LeNet 2": (16, 10)}  # channels and size; windows of 2 × 2
Pair = tuple[Callable[[], object], Callable[[], object]]


def drawn(random: np.random.Generator, *shape: int) -> Any:
    """An array of noise."""
    return aligned(random.standard_normal(shape, np.float32))


def aligned(array: Any) -> Any:
    """The array where a line of the cache begins; its rows follow one another."""
    room = np.empty(array.nbytes + 64, np.uint8)
    begin = -room.ctypes.data % 64
    held = room[begin : begin + array.nbytes].view(array.dtype).reshape(array.shape)
    held[...] = array
    return held


def convolutions() -> Iterator[tuple[str, str, float, Pair]]:
    """Name, direction, operations, and the two calls."""
    random = np.random.default_rng(0)
    for name, (inputs, outputs, size, taps, stride, padding) in CONVOLUTIONS.items():
        positions = (size + 2 * padding - taps) // stride + 1
        starts = [stride * at - padding for at in range(positions)]
        along = sum(min(size, at + taps) - max(0, at) for at in starts)
        operations = 2.0 * BATCH * inputs * outputs * along**2
        x = drawn(random, 1, inputs, size, size, BATCH)
        weight = drawn(random, 1, outputs, inputs, taps, taps)
        y = drawn(random, 1, outputs, positions, positions, BATCH)
        windows = ((stride, 1, -padding),) * 2
        x_t, y_t = (torch.from_numpy(aligned(array[0].transpose(3, 0, 1, 2))) for array in (x, y))
        w_t = torch.from_numpy(weight[0])

        def back(*wanted: bool, given: Any = (y_t, x_t, w_t, stride, padding)) -> object:
            y, x, w, stride, padding = given
            options = [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1
            return torch.ops.aten.convolution_backward(y, x, w, None, *options, wanted)

        y_out, x_out, w_out = (aligned(array) for array in (y, x, weight))
        yield (
            name, "forward", operations,
            (lambda x=x, w=weight, y=y_out, v=windows: to_positions(x, w, y, v),
             lambda x=x_t, w=w_t, s=stride, p=padding: functional.conv2d(x, w, None, s, p)),
        )  # fmt: skip
        if inputs > 1:  # nobody asks for the gradient of images
            yield (
                name, "to the input", operations,
                (lambda y=y, w=weight, x=x_out, v=windows: to_places(y, w, x, v),
                 lambda back=back: back(True, False, False)),
            )  # fmt: skip
        yield (
            name, "to the weight", operations,
            (lambda x=x, y=y, w=w_out, v=windows: to_taps(x, y, w, v),
             lambda back=back: back(False, True, False)),
        )  # fmt: skip


def pools() -> Iterator[tuple[str, str, float, Pair]]:
    random = np.random.default_rng(0)
    for name, (channels, size) in POOLS.items():
        x = drawn(random, channels, size, size, BATCH)
        y = drawn(random, channels, size // 2, size // 2, BATCH)
        x_t, y_t = (torch.from_numpy(aligned(array.transpose(3, 0, 1, 2))) for array in (x, y))
        windows, out, dx = ((2, 1, 0, 2),) * 2, aligned(y), aligned(x)
        _, at = functional.max_pool2d(x_t, 2, return_indices=True)

        def back(given: Any = (y_t, x_t, at)) -> object:
            y, x, at = given
            options = [2, 2], [2, 2], [0, 0], [1, 1], False
            return torch.ops.aten.max_pool2d_with_indices_backward(y, x, *options, at)

        yield (
            name, "max pool", float(x.size),
            (lambda x=x, y=out, v=windows: pooled(x, y, v),
             lambda x=x_t: functional.max_pool2d(x, 2, return_indices=True)),
        )  # fmt: skip
        yield (
            name, "max pool back", float(x.size),
            (lambda x=x, y=y, dx=dx, v=windows: pooled_back(x, y, dx, v), back),
        )  # fmt: skip


def microseconds(calls: tuple[Callable[[], object], ...], rounds: int) -> list[float]:
    """Medians of processor time; the calls take turns."""
    clock, counts = time.thread_time, []
    for call in calls:
        call()
        began = clock()
        call()
        counts.append(max(1, round(SECONDS / max(1e-6, clock() - began))))
    took: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, count, found in zip(calls, counts, took, strict=True):
            began = clock()
            for _ in range(count):
                call()
            found.append(1e6 * (clock() - began) / count)
    return [statistics.median(found) for found in took]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    a = drawn(np.random.default_rng(0), 256, 256)
    (floor,) = microseconds((lambda: a @ a,), options.rounds)
    speed = 2e-3 * 256**3 / floor
    load = os.getloadavg()[0]
    print(f"{processor()}; float32, batches of {BATCH}, one thread, medians of {options.rounds};")
    print(f"load {load:.1f}; a product of matrices runs at {speed:.0f} GF/s here")
    heads = ["layer", "kernel", "µs", "GF/s", "of a product", "torch µs", "ratio"]
    if options.markdown:
        print(f"\n| {' | '.join(heads)} |\n|---|---|{'---:|' * 5}")
    else:
        print("".join(f"{head:>15}" for head in heads))
    for layer, kernel, operations, calls in (*convolutions(), *pools()):
        ours, theirs = microseconds(calls, options.rounds)
        rate, counted = 1e-3 * operations / ours, "pool" not in kernel
        cells = [layer, kernel, f"{ours:.0f}", f"{rate:.0f}" if counted else ""]
        cells += [f"{100 * rate / speed:.0f} %" if counted else ""]
        cells += [f"{theirs:.0f}", f"{theirs / ours:.2f}×"]
        print(
            f"| {' | '.join(cells)} |" if options.markdown else "".join(f"{c:>15}" for c in cells)
        )


if __name__ == "__main__":
    main()
