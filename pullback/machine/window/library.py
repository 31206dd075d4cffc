"""The kernels of this folder as functions of this process, made once and kept on disk."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from functools import cache
from itertools import product
from threading import Lock, Thread
from typing import Any, get_args

import numpy as np
from llvmlite import ir

from pullback.errors import DTypeError
from pullback.machine.blas.matmul_code import DTYPES
from pullback.machine.blas.writer import Value, Writer
from pullback.machine.object.cache import Entry, cache_key, default_cache
from pullback.machine.object.linked import linked
from pullback.machine.object.processor import optimised_code, vector_bytes
from pullback.machine.window.convolution import write_convolution
from pullback.machine.window.geometry import Kind
from pullback.machine.window.pooling import write_pool, write_pool_back
from pullback.machine.window.turn import write_inward, write_outward
from pullback.machine.window.weights import write_weights

DType = np.dtype[Any]  # float32 or float64
Kernel = Callable[..., None]
# how many addresses each takes
POINTERS: dict[Kind, int] = {
    "convolution": 5,  # numbers, source, weight, bias, target
    "weights": 5,  # numbers, x, y, weight, scratch
    "max_pool": 3,  # numbers, x, y
    "sum_pool": 3,
    "max_pool_back": 4,  # numbers, x, delta, dx
    "sum_pool_back": 4,
}


@cache
def lanes(dtype: DType) -> int:
    """How many samples a vector of this machine holds."""
    return vector_bytes() // dtype.itemsize


def symbol(kind: Kind, dtype: str, rank: int) -> str:
    """The name by which compiled code calls the kernel over windows of so many axes.

    >>> symbol("max_pool", "float32", 2)
    'pullback_max_pool_float32_2'
    """
    return f"pullback_{kind}_{dtype}_{rank}"


_making = {kind: Lock() for kind in get_args(Kind)}
SYMBOLS = {symbol(*each): each for each in product(get_args(Kind), DTYPES, range(1, 4))}


def kernel(kind: Kind, dtype: str, rank: int) -> Kernel:
    """A kernel that takes addresses, of its numbers first, and which parts of the work to do."""
    with _making[kind]:  # who comes second finds it made
        return _made(kind, dtype, rank)


def prepare(symbols: Iterable[str]) -> None:
    """Have threads make kernels, for code that will need them soon."""
    for name in sorted(set(symbols)):
        Thread(target=address, args=(name,)).start()


@cache
def _made(kind: Kind, dtype: str, rank: int) -> Kernel:
    real, width = _real(dtype), vector_bytes() // np.dtype(dtype).itemsize

    def write(module: ir.Module, name: str) -> None:
        given = module, name, real, width, rank
        if kind == "convolution":
            write_convolution(*given, _as_it_is)
        elif kind == "weights":
            write_weights(*given)
        elif kind in ("max_pool", "sum_pool"):
            write_pool(*given, kind == "max_pool", _as_it_is)
        else:
            write_pool_back(*given, kind == "max_pool_back")

    return _kernel(symbol(kind, dtype, rank), write, POINTERS[kind])


def address(name: str) -> int:
    """Where a kernel is in this process."""
    found: Any = kernel(*SYMBOLS[name])
    there: int = found.library[name]
    return there


@cache
def turn(dtype: DType, inward: bool) -> Kernel:
    """(numbers, outermost, order, innermost, begin, end), all addresses but the last two."""
    real, width, way = _real(dtype.name), lanes(dtype), "inward" if inward else "outward"
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


def _real(dtype: str) -> ir.Type:
    kinds = dict(zip(DTYPES, (ir.FloatType(), ir.DoubleType()), strict=True))
    if dtype not in kinds:
        raise DTypeError(f"kernels are of {' and '.join(kinds)}; there is none of {dtype}")
    return kinds[dtype]


def _as_it_is(w: Writer, value: Value) -> Value:
    return value
