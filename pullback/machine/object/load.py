"""Machine code as a function that Python calls."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pullback.machine.blas.matmul import SYMBOLS, addresses
from pullback.machine.object.linked import linked
from pullback.machine.window import library


def load(code: bytes, name: str, arguments: Sequence[Any]) -> Callable[..., int]:
    """The function that object code exports as ``name``; it runs without the GIL.

    ``arguments`` are types of ctypes; it gives back a whole number of 64 bits.
    Raises ConfigError for code without that function, or with symbols that are unknown here.
    """
    used = [symbol for symbol in SYMBOLS if symbol.encode() in code]
    kernels = [symbol for symbol in library.SYMBOLS if symbol.encode() in code]
    known = addresses(used) | {symbol: library.address(symbol) for symbol in kernels}
    code_here = linked(code, name, known)
    function: Any = ctypes.CFUNCTYPE(ctypes.c_int64, *arguments)(code_here[name])
    function.library = code_here  # the code goes when this goes
    called: Callable[..., int] = function
    return called


@contextmanager
def uncollected() -> Iterator[None]:
    """Put off the collection of garbage: a compiler makes many objects, and keeps most of them."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
