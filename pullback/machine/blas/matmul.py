"""Matrix products for compiled code, and where they are in this process.

Compiled code names them as ``product.symbol`` says; ``addresses`` finds or makes them, so that
object code from an earlier process can be linked with them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from threading import Lock, Thread
from typing import Any

from pullback.machine.blas.matmul_code import DTYPES, product_code, symbol, symbol_in_strips
from pullback.machine.object.cache import Entry, cache_key, default_cache
from pullback.machine.object.linked import linked

SYMBOLS = {name(dtype): dtype for dtype in DTYPES for name in (symbol, symbol_in_strips)}
_making = Lock()


def addresses(symbols: Iterable[str]) -> dict[str, int]:
    """Where each function is in this process, by the name that compiled code uses."""
    with _making:
        return {name: _library(SYMBOLS[name])[name] for name in symbols}


def prepare(dtype: str) -> None:
    """Have a thread make the product, for code that will need it soon."""
    Thread(target=addresses, args=([symbol(dtype)],)).start()


@cache
def _library(dtype: str) -> Any:
    """The products for a dtype from the disk, or made now; kept as long as the process lives."""
    name, other = symbol(dtype), symbol_in_strips(dtype)
    return default_cache().obtain(
        cache_key({"product": dtype}),
        load=lambda entry: linked(entry.code, name, others=(other,)),
        make=lambda: Entry(product_code(dtype)),
    )
