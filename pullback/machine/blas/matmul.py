"""Matrix products for compiled code, and where they are in this process.

Compiled code names them as ``product.symbol`` says; ``addresses`` finds or makes them, so that
object code from an earlier process can be linked with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from threading import Lock, Thread
from typing import Any, NamedTuple

from pullback.machine.blas.few import few_code, symbol_of_few
from pullback.machine.blas.matmul_code import DTYPES, product_code, symbol, symbol_in_strips
from pullback.machine.object.cache import Entry, cache_key, default_cache
from pullback.machine.object.linked import linked


class _Library(NamedTuple):
    """Functions that are made together: what the cache calls them, their names, and their code."""

    what: str
    names: tuple[Callable[[str], str], ...]
    code: Callable[[str], bytes]


_LIBRARIES = (
    _Library("product", (symbol, symbol_in_strips), product_code),
    _Library("few", (symbol_of_few,), few_code),
)
SYMBOLS = {
    name(dtype): (library, dtype)
    for library in _LIBRARIES
    for name in library.names
    for dtype in DTYPES
}
_making = Lock()


def addresses(symbols: Iterable[str]) -> dict[str, int]:
    """Where each function is in this process, by the name that compiled code uses."""
    with _making:
        return {name: _made(*SYMBOLS[name])[name] for name in symbols}


def prepare(dtype: str) -> None:
    """Have a thread make the product, for code that will need it soon."""
    Thread(target=addresses, args=([symbol(dtype)],)).start()


@cache
def _made(library: _Library, dtype: str) -> Any:
    """A library for a dtype from the disk, or made now; kept as long as the process lives."""
    name, *others = (each(dtype) for each in library.names)
    return default_cache().obtain(
        cache_key({library.what: dtype}),
        load=lambda entry: linked(entry.code, name, others=others),
        make=lambda: Entry(library.code(dtype)),
    )
