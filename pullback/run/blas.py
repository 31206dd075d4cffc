"""BLAS inside compiled code: SciPy's own sgemm and dgemm, called without Python.

Compiled code names them ``pullback_sgemm`` and ``pullback_dgemm``; ``addresses`` says where they
are in this process, so that object code from an earlier process finds them again.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import Any, NamedTuple

from pullback.errors import ConfigError

SYMBOLS = {"float32": "pullback_sgemm", "float64": "pullback_dgemm"}


class Blas(NamedTuple):
    """Functions for compiled code over arrays of one dtype; none allocates, none raises.

    A matrix may be C-contiguous, a transpose, or a slice of either; a vector on the left is a row,
    on the right a column. Sizes that do not meet are the caller's fault and are not looked at.
    """

    gemm: Callable[..., None]  # (alpha, a, b, beta, out): out ← alpha · a @ b + beta · out
    matmul: Callable[..., None]  # (a, b, out): out ← a @ b


def blas_symbol(dtype: Any) -> str:
    """The name of gemm for a dtype, made known to LLVM in this process.

    >>> blas_symbol("float32")
    'pullback_sgemm'
    """
    from llvmlite import binding

    name = SYMBOLS[str(dtype)]
    for known, address in addresses([name]).items():
        binding.add_symbol(known, address)
    return name


def addresses(names: Iterable[str] = tuple(SYMBOLS.values())) -> dict[str, int]:
    """Where each function is in this process, by the name that compiled code uses."""
    return {name: _address(name.removeprefix("pullback_")) for name in names}


@cache
def _address(name: str) -> int:
    """The address of a function that scipy.linalg.cython_blas offers to other C code."""
    python = ctypes.pythonapi
    python.PyCapsule_GetName.restype = ctypes.c_char_p
    python.PyCapsule_GetName.argtypes = [ctypes.py_object]
    python.PyCapsule_GetPointer.restype = ctypes.c_void_p
    python.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    capsule = _cython_blas().__pyx_capi__[name]
    signature = python.PyCapsule_GetName(capsule)
    if signature.count(b" int *") != 6:  # three sizes and three leading dimensions of 32 bits
        raise ConfigError(f"SciPy's {name} takes {signature.decode()}; expected six int *")
    return int(python.PyCapsule_GetPointer(capsule, signature))


@cache
def _cython_blas() -> Any:
    """The module scipy.linalg.cython_blas without scipy.linalg, which takes 0.15 s to import."""
    package = find_spec("scipy.linalg")
    spec = package and PathFinder.find_spec(
        "scipy.linalg.cython_blas", package.submodule_search_locations
    )
    if spec is None or spec.loader is None:
        raise ConfigError("SciPy has no scipy.linalg.cython_blas; install scipy")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def blas() -> Blas:
    """The functions for code that Numba compiles; Numba loads here."""
    types, intrinsic = import_module("numba.types"), import_module("numba.extending").intrinsic
    product = _product()

    @intrinsic  # type: ignore[untyped-decorator]
    def gemm(typing_context: Any, alpha: Any, a: Any, b: Any, beta: Any, out: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            factor, left, right, share, result = args
            arrays = (left, right, result)
            return _call(context, builder, product, (a, b, out), factor, share, arrays)

        return _alike(a, b, out) and (types.void(out.dtype, a, b, out.dtype, out), generate)

    @intrinsic  # type: ignore[untyped-decorator]
    def matmul(typing_context: Any, a: Any, b: Any, out: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            one, zero = (context.get_constant(out.dtype, number) for number in (1.0, 0.0))
            return _call(context, builder, product, (a, b, out), one, zero, args)

        return _alike(a, b, out) and (types.void(a, b, out), generate)

    return Blas(gemm, matmul)


def _alike(*arrays: Any) -> bool | None:
    """Whether these are arrays that BLAS multiplies; Numba takes None for a call it cannot make."""
    fit = all(getattr(each, "ndim", 0) in (1, 2) for each in arrays)
    return (fit and {str(each.dtype) for each in arrays} in [{known} for known in SYMBOLS]) or None


def _call(  # type: ignore[no-untyped-def]
    context, builder, product, kinds: Sequence[Any], alpha, beta, arrays: Sequence[Any]
) -> Any:
    """Code that calls ``product`` on three arrays of these types."""
    types, cgutils = import_module("numba.types"), import_module("numba.core.cgutils")
    one, shapes, places = context.get_constant(types.intp, 1), [], []
    upright = (False, True, kinds[0].ndim > 1)  # whether a vector is a column
    for kind, value, column in zip(kinds, arrays, upright, strict=True):
        array = context.make_array(kind)(context, builder, value)
        shape = cgutils.unpack_tuple(builder, array.shape)
        strides = cgutils.unpack_tuple(builder, array.strides)
        strides = [builder.sdiv(stride, array.itemsize) for stride in strides]
        if kind.ndim == 1:
            shape.insert(int(column), one)
            strides.insert(int(column), one)
        shapes.append(shape)
        places.append([array.data, *strides])
    (m, k), (_, n), _ = shapes
    real, whole = kinds[2].dtype, types.intp
    place = [types.CPointer(real), whole, whole]
    signature = types.void(whole, whole, whole, real, *place, *place, real, *place)
    made = context.compile_subroutine(builder, product, signature)
    function = context.declare_function(builder.module, made.fndesc)
    given = [m, n, k, alpha, *places[0], *places[1], beta, *places[2]]
    # one function for all calls: inlined, it would be compiled again for each of them
    context.call_conv.call_function(
        builder, function, types.void, signature.args, given, attrs=("noinline",)
    )
    return context.get_dummy_value()


def _product() -> Callable[..., Any]:
    """The product of matrices given by their addresses, for Numba to compile."""
    fortran, njit = _fortran(), import_module("numba").njit
    # compiled code calls these; neither Python nor C does
    inside = {"_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}

    @njit(**inside)  # type: ignore[untyped-decorator]
    def leading(rows: int, columns: int, down: int, across: int) -> tuple[int, bool]:
        """The leading dimension and whether it lies by columns; 0 where BLAS cannot read it.

        The strides count entries; that of an axis of length 1 says nothing.
        """
        by_rows = columns if rows == 1 else down
        if (across == 1 or columns == 1) and by_rows >= columns:
            return by_rows, False
        by_columns = rows if columns == 1 else across
        if (down == 1 or rows == 1) and by_columns >= rows:
            return by_columns, True
        return 0, False

    def product(m, n, k, alpha, a, a1, a2, b, b1, b2, beta, c, c1, c2):  # type: ignore[no-untyped-def]
        """c ← alpha · a b + beta · c, the strides of each in entries."""
        lda, flip_a = leading(m, k, a1, a2)
        ldb, flip_b = leading(k, n, b1, b2)
        ldc, flip_c = leading(m, n, c1, c2)
        if lda > 0 and ldb > 0 and ldc > 0:
            # Fortran reads by columns what lies by rows: there, cᵀ = bᵀ aᵀ
            if flip_c:
                fortran(not flip_a, not flip_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
            else:
                fortran(flip_b, flip_a, n, m, k, alpha, b, ldb, a, lda, beta, c, ldc)
            return
        for i in range(m):
            for j in range(n):
                total = beta * c[i * c1 + j * c2] if beta != 0 else beta
                for at in range(k):
                    total += alpha * a[i * a1 + at * a2] * b[at * b1 + j * b2]
                c[i * c1 + j * c2] = total

    return product


def _fortran() -> Any:
    """The Fortran subroutine as a function for compiled code; every argument goes by address."""
    from llvmlite import ir

    types, cgutils = import_module("numba.types"), import_module("numba.core.cgutils")
    kinds = "ffsss#asas#as"  # f: transposed?  s: a size  #: a number  a: an array

    @import_module("numba.extending").intrinsic  # type: ignore[untyped-decorator]
    def fortran(  # type: ignore[no-untyped-def]
        typing_context, flip_a, flip_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc
    ) -> Any:
        name = blas_symbol(c.dtype)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            passed = []
            for kind, value in zip(kinds, args, strict=True):
                if kind == "f":
                    letters = (ir.Constant(ir.IntType(8), ord(letter)) for letter in "TN")
                    value = builder.select(value, *letters)
                elif kind == "s":
                    value = builder.trunc(value, ir.IntType(32))
                if kind != "a":
                    value = cgutils.alloca_once_value(builder, value)
                passed.append(value)
            function = ir.FunctionType(ir.VoidType(), [each.type for each in passed])
            builder.call(cgutils.get_or_insert_function(builder.module, function, name), passed)
            return context.get_dummy_value()

        given = (flip_a, flip_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
        return types.void(*given), generate

    return fortran
