"""Matrix products for compiled code, and where they are in this process.

Compiled code names them as ``product.symbol`` says; ``addresses`` finds or makes them, so that
object code from an earlier process can be linked with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib import import_module
from threading import Lock, Thread
from typing import Any, NamedTuple

from llvmlite import binding, ir

from pullback.machine.blas.matmul_code import DTYPES, product_code, symbol
from pullback.machine.object.arrays import array_parts
from pullback.machine.object.cache import Entry, cache_key, default_cache
from pullback.machine.object.linked import linked

SYMBOLS = {symbol(dtype): dtype for dtype in DTYPES}
_making = Lock()


class MatrixProducts(NamedTuple):
    """Functions for compiled code over arrays of one dtype; none allocates, none raises.

    A vector on the left is a row, on the right a column. Sizes that do not meet are the caller's
    fault and are not looked at.
    """

    gemm: Callable[..., None]  # (alpha, a, b, beta, out): out ← alpha · a @ b + beta · out
    matmul: Callable[..., None]  # (a, b, out): out ← a @ b


def addresses(symbols: Iterable[str]) -> dict[str, int]:
    """Where each function is in this process, by the name that compiled code uses."""
    with _making:
        return {name: _library(SYMBOLS[name])[name] for name in symbols}


def prepare(dtype: str) -> None:
    """Have a thread make the product, for code that will need it soon."""
    Thread(target=addresses, args=([symbol(dtype)],)).start()


@cache
def _library(dtype: str) -> Any:
    """The product for a dtype from the disk, or made now; kept as long as the process lives."""
    return default_cache().obtain(
        cache_key({"product": dtype}),
        load=lambda entry: linked(entry.code, symbol(dtype)),
        make=lambda: Entry(product_code(dtype)),
    )


@cache
def products() -> MatrixProducts:
    """The functions for code that Numba compiles; Numba loads here."""
    types, intrinsic = import_module("numba.types"), import_module("numba.extending").intrinsic

    @intrinsic  # type: ignore[untyped-decorator]
    def gemm(typing_context: Any, alpha: Any, a: Any, b: Any, beta: Any, out: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            factor, left, right, share, result = args
            arrays = (left, right, result)
            return _call(context, builder, (a, b, out), factor, share, arrays)

        return _alike(a, b, out) and (types.void(out.dtype, a, b, out.dtype, out), generate)

    @intrinsic  # type: ignore[untyped-decorator]
    def matmul(typing_context: Any, a: Any, b: Any, out: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            one, zero = (context.get_constant(out.dtype, number) for number in (1.0, 0.0))
            return _call(context, builder, (a, b, out), one, zero, args)

        return _alike(a, b, out) and (types.void(a, b, out), generate)

    return MatrixProducts(gemm, matmul)


def _alike(*arrays: Any) -> bool | None:
    """Whether these are arrays to multiply; Numba takes None for a call it cannot make."""
    fit = all(getattr(each, "ndim", 0) in (1, 2) for each in arrays)
    return (fit and {str(each.dtype) for each in arrays} in [{known} for known in DTYPES]) or None


def _call(  # type: ignore[no-untyped-def]
    context, builder, kinds: Sequence[Any], alpha, beta, arrays: Sequence[Any]
) -> Any:
    """Code that calls the product on three arrays of these types."""
    types, cgutils = import_module("numba.types"), import_module("numba.core.cgutils")
    size = context.get_constant(types.intp, kinds[2].dtype.bitwidth // 8)
    one, shapes, places = size.type(1), [], []
    upright = (False, True, kinds[0].ndim > 1)  # whether a vector is a column
    for kind, value, column in zip(kinds, arrays, upright, strict=True):
        data, shape, strides = array_parts(context, builder, kind, value)
        strides = [builder.sdiv(stride, size) for stride in strides]
        if kind.ndim == 1:
            shape.insert(int(column), one)
            strides.insert(int(column), one)
        shapes.append(shape)
        places.append([data, *strides])
    (m, k), (_, n), _ = shapes
    dtype = str(kinds[2].dtype)
    for name, address in addresses([symbol(dtype)]).items():
        binding.add_symbol(name, address)  # for code that runs in this process
    given = [m, n, k, alpha, *places[0], *places[1], beta, *places[2]]
    kind = ir.FunctionType(ir.VoidType(), [each.type for each in given])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, symbol(dtype)), given)
    return context.get_dummy_value()
