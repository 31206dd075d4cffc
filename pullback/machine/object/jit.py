"""How Numba compiles functions that only compiled code calls."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

# sums may be reordered and products fused, which is what vectorising needs; NaN and infinity keep
# their meaning
FASTMATH = frozenset({"contract", "reassoc", "nsz", "arcp"})


def inner(
    fastmath: Collection[str] = (), *, inline: bool = False, signature: str | None = None
) -> Callable[[Callable[..., Any]], Any]:
    """A decorator: no memory of their own, no way to call them from Python or C; Numba loads here.

    Without a signature Numba compiles a function for each kind of argument, each constant included.
    Divisions follow NumPy's rule, for a branch at each of them would keep loops from vectorising.
    """
    import numba

    options: dict[str, Any] = {
        "error_model": "numpy",
        "_nrt": False,
        "no_cpython_wrapper": True,
        "no_cfunc_wrapper": True,
    }
    decorate: Any = numba.njit
    return decorate(signature, **options, fastmath=set(fastmath), forceinline=inline)  # type: ignore[no-any-return]
