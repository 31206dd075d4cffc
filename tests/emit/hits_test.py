"""Compiled code counts the rows that are classified right as NumPy does, ties and tails too."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from llvmlite import ir

from pullback.emit.epoch.hits import write_hits
from pullback.machine.object.linked import linked
from pullback.machine.object.processor import optimised_code, vector_bytes
from pullback.nn import BinaryCrossEntropy, CrossEntropy
from pullback.train.metrics import hits, threshold

RNG = np.random.default_rng(5)
REAL = {
    np.float32: (ir.FloatType(), ctypes.c_float),
    np.float64: (ir.DoubleType(), ctypes.c_double),
}


@cache
def compiled(dtype: Any, inside: int) -> Callable[..., int]:
    """Counts for (output, target, rows, columns, threshold)."""
    real, number = REAL[dtype]
    module = ir.Module("hits")
    write_hits(module, real, lanes(dtype), inside).linkage = ""
    library = linked(optimised_code(module), "hits")
    place, whole = ctypes.c_void_p, ctypes.c_int64
    call: Any = ctypes.CFUNCTYPE(whole, place, place, whole, whole, number)(library["hits"])
    call.library = library  # the code goes when this goes

    def count(output: Any, target: Any, rows: int, columns: int, least: float) -> int:
        return call(output.ctypes.data, target.ctypes.data, rows, columns, least)

    return count


def lanes(dtype: Any) -> int:
    return vector_bytes() // np.dtype(dtype).itemsize


def in_blocks(output: Any) -> Any:
    """Samples (batch, rows, columns) in blocks of lanes, the last one filled up with junk."""
    wide = lanes(output.dtype)
    junk = np.full((-len(output) % wide, *output.shape[1:]), np.nan, output.dtype)
    blocks = np.concatenate([output, junk]).reshape(-1, wide, *output.shape[1:])
    return np.ascontiguousarray(np.moveaxis(blocks, 1, -1))


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("columns", [1, 2, 5])
@pytest.mark.parametrize("samples", [1, 16, 37])
def test_as_numpy_counts(dtype: Any, columns: int, samples: int) -> None:
    losses = [CrossEntropy(), BinaryCrossEntropy(), BinaryCrossEntropy(from_logits=False)]
    for loss, rows in ((loss, rows) for loss in losses for rows in (1, 3)):
        output = RNG.integers(-2, 3, (samples, rows, columns)).astype(dtype) / 2
        target = RNG.integers(0, 2, (samples, rows, columns)).astype(dtype)
        wanted, least = hits(loss, output, target), threshold(loss)
        given = samples * rows, columns, least
        assert compiled(dtype, 0)(output, target, *given) == wanted
        assert compiled(dtype, rows)(in_blocks(output), target, *given) == wanted
