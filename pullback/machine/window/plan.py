"""The numbers that kernels read for arrays that lie as they do, and how the work is shared out."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

from pullback.machine.window import convolution, pooling, turn, weights
from pullback.machine.window.geometry import Fields, Kind, Side, Spacing
from pullback.machine.window.strided import Shape, Strided

Windows = tuple[tuple[int, ...], ...]  # of each: stride, dilation, offset; for pools taps as well
# what the table of each kernel over so many axes has
FIELDS: dict[Kind, Callable[[int], Fields]] = {
    "convolution": convolution.layout,
    "weights": weights.layout,
    "max_pool": pooling.layout,
    "sum_pool": pooling.layout,
    "max_pool_back": pooling.layout,
    "sum_pool_back": pooling.layout,
}
_NEAR = 20 * 2**10  # bytes of y that a tile of weights goes through for all taps


class KernelWork(NamedTuple):
    """What a kernel reads, how many parts the work has, and how much scratch a thread needs."""

    numbers: Any
    parts: int
    scratch: int = 0


def convolution_plan(
    to: Side, windows: Windows, source: Strided, target: Strided, weight: Strided, lanes: int
) -> KernelWork:
    """For the convolution "positions", or back "places"; weight (groups, outputs, inputs, *taps).

    Outputs are channels of the target and inputs those of the source, whichever way it goes.
    """
    groups, outputs, inputs, *taps = weight.shape
    of_group, of_output, of_input, *of_tap = weight.strides
    vectors = -(-source.samples // lanes)
    values = {
        "samples": source.samples, "vectors": vectors,
        "groups": groups, "outputs": outputs, "inputs": inputs,
        "source_vector": source.vector, "target_vector": target.vector,
        "source_group": source.strides[0], "target_group": target.strides[0],
        "weight_group": of_group, "target_output": target.strides[1],
        "weight_output": of_output, "source_input": source.strides[1],
        "weight_input": of_input,
    }  # fmt: skip
    tables = {}
    for at, numbers in enumerate(windows):
        ends = source.shape[2 + at], target.shape[2 + at]
        places, positions = ends if to == "positions" else ends[::-1]
        runs = Spacing(*numbers).runs(to, places, positions, taps[at])
        tables[f"runs{at}"] = runs
        values |= {
            f"count{at}": target.shape[2 + at], f"target{at}": target.strides[2 + at],
            f"source{at}": source.strides[2 + at], f"weight{at}": of_tap[at],
            f"tap_source{at}": runs.steps[0] * source.strides[2 + at],
            f"tap_weight{at}": runs.steps[1] * of_tap[at],
        }  # fmt: skip
    pairs = -(-vectors // convolution.VECTORS)
    parts = pairs * groups * -(-outputs // convolution.ROWS[0])
    return KernelWork(convolution.layout(len(windows)).filled(values, tables), parts)


def weights_plan(
    windows: Windows, x: Strided, y: Strided, weight: Strided, lanes: int, size: int
) -> KernelWork:
    """For the gradient towards a weight (groups, outputs, inputs, *taps) of numbers of a size."""
    groups, outputs, inputs, *taps = weight.shape
    of_group, of_output, of_input, *of_tap = weight.strides
    vectors = -(-x.samples // lanes)
    entry = min(weights.ROWS[0], outputs) * min(weights.TOGETHER, vectors) * lanes * size
    chunks = _chunks(y.shape[2:-1], _NEAR // entry)
    values = {
        "samples": x.samples, "vectors": vectors,
        "groups": groups, "outputs": outputs, "inputs": inputs,
        "x_vector": x.vector, "y_vector": y.vector, "x_group": x.strides[0],
        "y_group": y.strides[0], "weight_group": of_group, "y_output": y.strides[1],
        "weight_output": of_output, "x_input": x.strides[1], "weight_input": of_input,
    }  # fmt: skip
    tables = {}
    for at, numbers in enumerate(windows):
        runs = Spacing(*numbers).runs("taps", x.shape[2 + at], y.shape[2 + at], taps[at])
        tables[f"runs{at}"] = runs
        values |= {
            f"taps{at}": taps[at], f"weight{at}": of_tap[at],
            f"place{at}": x.strides[2 + at], f"step_place{at}": runs.steps[0] * x.strides[2 + at],
            f"position{at}": y.strides[2 + at], f"positions{at}": y.shape[2 + at],
            f"chunk{at}": chunks[at],
        }  # fmt: skip
    tiles = -(-outputs // weights.ROWS[0]) * -(-inputs // weights.COLUMNS)
    scratch = weights.ROWS[0] * weights.COLUMNS * lanes * prod(taps)
    table = weights.layout(len(windows)).filled(values, tables)
    return KernelWork(table, groups * tiles, scratch)


def pool_plan(windows: Windows, x: Strided, y: Strided, lanes: int) -> KernelWork:
    """For pools of x (channels, *places, samples); each part is a channel."""
    values = {
        "samples": x.samples, "vectors": -(-x.samples // lanes), "x_vector": x.vector,
        "y_vector": y.vector, "x_channel": x.strides[0], "y_channel": y.strides[0],
    }  # fmt: skip
    tables, overlap, bare = {}, False, False
    for at, (*numbers, taps) in enumerate(windows):
        window, step = Spacing(*numbers), x.strides[1 + at]
        seen = [n for *_, n in window.runs("places", x.shape[1 + at], y.shape[1 + at], taps).starts]
        overlap, bare = overlap or max(seen) > 1, bare or min(seen) < 1
        tables[f"runs{at}"] = window.runs("positions", x.shape[1 + at], y.shape[1 + at], taps)
        values |= {
            f"places{at}": x.shape[1 + at], f"place{at}": step, f"tap{at}": window.dilation * step,
            f"positions{at}": y.shape[1 + at], f"position{at}": y.strides[1 + at],
        }  # fmt: skip
    values |= {"overlap": overlap, "bare": bare}
    return KernelWork(pooling.layout(len(windows)).filled(values, tables), x.shape[0])


def turn_plan(outermost: Strided, innermost: Strided, room: int, lanes: int) -> KernelWork:
    """For (samples, entries) that become (entries, samples), or the way back; parts are vectors.

    ``room`` is how many samples the vectors have lanes for.
    """
    values = {
        "samples": innermost.samples, "room": room, "entries": innermost.shape[0],
        "sample": outermost.strides[0], "vector": innermost.vector, "entry": innermost.strides[0],
    }  # fmt: skip
    return KernelWork(turn.layout().filled(values, {}), -(-room // lanes))


def _chunks(positions: Shape, most: int) -> Shape:
    """How many positions along each axis are at most so many together, the last axis first."""
    sizes = list[int]()
    for count in reversed(positions):
        pieces = -(-count // max(1, most))
        sizes.append(-(-count // pieces))
        most //= sizes[-1]
    return tuple(reversed(sizes))
