"""The kernels of this folder as functions of this process, made once and kept on disk."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir

from pullback.errors import DTypeError
from pullback.machine.blas.writer import Value, Writer
from pullback.machine.object.cache import Entry, cache_key, default_cache
from pullback.machine.object.linked import linked
from pullback.machine.object.processor import optimised_code, vector_bytes
from pullback.machine.window.convolution import write_convolution
from pullback.machine.window.pooling import write_pool, write_pool_back
from pullback.machine.window.turn import write_inward, write_outward
from pullback.machine.window.weights import write_weights

DType = np.dtype[Any]  # float32 or float64
Kernel = Callable[..., None]


@cache
def lanes(dtype: DType) -> int:
    """How many samples a vector of this machine holds."""
    return vector_bytes() // dtype.itemsize


@cache
def convolution(dtype: DType, rank: int) -> Kernel:
    """(numbers, source, weight, bias, target, begin, end), all addresses but the last two."""
    real, width = _real(dtype), lanes(dtype)
    return _kernel(
        f"pullback_convolution_{dtype.name}_{rank}",
        lambda module, name: write_convolution(module, name, real, width, rank, _as_it_is),
        pointers=5,
    )


@cache
def weights(dtype: DType, rank: int) -> Kernel:
    """(numbers, x, y, weight, scratch, begin, end), all addresses but the last two."""
    real, width = _real(dtype), lanes(dtype)
    return _kernel(
        f"pullback_weights_{dtype.name}_{rank}",
        lambda module, name: write_weights(module, name, real, width, rank),
        pointers=5,
    )


@cache
def pool(dtype: DType, rank: int, largest: bool) -> Kernel:
    """(numbers, x, y, begin, end), all addresses but the last two."""
    real, width, kind = _real(dtype), lanes(dtype), "max" if largest else "sum"
    return _kernel(
        f"pullback_{kind}_pool_{dtype.name}_{rank}",
        lambda module, name: write_pool(module, name, real, width, rank, largest, _as_it_is),
        pointers=3,
    )


@cache
def pool_back(dtype: DType, rank: int, largest: bool) -> Kernel:
    """(numbers, x, delta, dx, begin, end), all addresses but the last two."""
    real, width, kind = _real(dtype), lanes(dtype), "max" if largest else "sum"
    return _kernel(
        f"pullback_{kind}_pool_back_{dtype.name}_{rank}",
        lambda module, name: write_pool_back(module, name, real, width, rank, largest),
        pointers=4,
    )


@cache
def turn(dtype: DType, inward: bool) -> Kernel:
    """(numbers, outermost, order, innermost, begin, end), all addresses but the last two."""
    real, width, way = _real(dtype), lanes(dtype), "inward" if inward else "outward"
    write = write_inward if inward else write_outward
    return _kernel(
        f"pullback_{way}_{dtype.name}",
        lambda module, name: write(module, name, real, width),
        pointers=4,
    )


def _kernel(name: str, write: Callable[[ir.Module, str], None], pointers: int) -> Kernel:
    def made() -> Entry:
        module = ir.Module(name)
        write(module, name)
        return Entry(optimised_code(module))

    library = default_cache().obtain(
        cache_key({"kernel": name}), load=lambda entry: linked(entry.code, name), make=made
    )
    kinds = [*[ctypes.c_void_p] * pointers, ctypes.c_int64, ctypes.c_int64]
    function: Any = ctypes.CFUNCTYPE(None, *kinds)(library[name])
    function.library = library  # the code goes when this goes
    called: Kernel = function
    return called


def _real(dtype: DType) -> ir.Type:
    kinds = {"float32": ir.FloatType(), "float64": ir.DoubleType()}
    if dtype.name not in kinds:
        raise DTypeError(f"kernels are of {' and '.join(kinds)}; there is none of {dtype.name}")
    return kinds[dtype.name]


def _as_it_is(w: Writer, value: Value) -> Value:
    return value
