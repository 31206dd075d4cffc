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
    return _called(_linked(code, name), name, ctypes.CFUNCTYPE, arguments)


def load_with_reader(
    code: bytes, name: str, arguments: Sequence[Any], reader: str
) -> tuple[Callable[..., int], Callable[[Any], int]]:
    """The same, and a function of one object of Python, which runs under the GIL."""
    here = _linked(code, name, (reader,))
    function = _called(here, name, ctypes.CFUNCTYPE, arguments)
    return function, _called(here, reader, ctypes.PYFUNCTYPE, [ctypes.py_object])


def _linked(code: bytes, name: str, others: Sequence[str] = ()) -> Any:
    used = [symbol for symbol in SYMBOLS if symbol.encode() in code]
    kernels = [symbol for symbol in library.SYMBOLS if symbol.encode() in code]
    known = addresses(used) | {symbol: library.address(symbol) for symbol in kernels}
    return linked(code, name, known, others)


def _called(code: Any, name: str, kind: Any, arguments: Sequence[Any]) -> Callable[..., int]:
    function: Any = kind(ctypes.c_int64, *arguments)(code[name])
    function.library = code  # the code goes when this goes
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
