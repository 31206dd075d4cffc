"""A function of Python as relocatable machine code, and machine code as a function again.

Numba compiles, and is needed only there; LLVM alone loads. The code refers to nothing of Python,
of Numba or of this process, so that another process on the same kind of processor can use it.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np

from pullback.errors import ConfigError, PullbackError
from pullback.machine.blas.matmul import SYMBOLS, addresses
from pullback.machine.object.codegen import codegen
from pullback.machine.object.linked import linked

RAISED = -(2**63)  # what the code gives back where Python would raise
_NAMES = """
    acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp2 expm1 fabs
    floor fma fmax fmin fmod frexp hypot ldexp lgamma log log10 log1p log2 modf nearbyint pow rint
    round sin sincos sinh sqrt tan tanh tgamma trunc
"""
_MATHEMATICS = {f"{name}{ending}" for name in _NAMES.split() for ending in ("", "f")}
_LIBC = {"memcpy", "memmove", "memset", "sched_yield"}
# what Numba says of a new array where no memory is counted
_NEW_ARRAY = "Only accept returning of array passed into the function"
EXTERNAL = frozenset({*SYMBOLS, *_MATHEMATICS, *_LIBC})


def compile_object(
    function: Callable[..., int],
    arguments: tuple[str, ...],
    name: str,
    fastmath: Collection[str] = (),
) -> bytes:
    """Object code that exports a function as the C symbol ``name``, which returns int64.

    ``arguments`` are "int64", "float64", or pointers such as "float32*", which the function makes
    arrays of by ``array_at()``. Raises ConfigError for a function that Numba does not understand,
    that allocates, or that needs a symbol that is not in ``EXTERNAL``.
    """
    compiler, types = import_module("numba.core.compiler"), import_module("numba.types")
    cpu = import_module("numba.core.registry").cpu_target
    errors = import_module("numba.core.errors")

    flags = compiler.Flags()
    flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    flags.error_model, flags.fastmath, flags.nrt = "numpy", set(fastmath), False
    kinds = tuple(_numba_type(each) for each in arguments)
    with import_module("numba.core.compiler_lock").global_compiler_lock:
        context = cpu.target_context.subtarget(_internal_codegen=codegen(), aot_mode=True)
        library = context.codegen().create_library(name)
        try:
            made = compiler.compile_extra(
                cpu.typing_context, context, function, kinds, types.int64, flags, {}, library
            )
        except errors.NumbaError as fault:
            if _NEW_ARRAY in str(fault):
                raise ConfigError(f"{name} allocates; expected arrays that are given") from fault
            raise ConfigError(f"{name} cannot be compiled: {fault}") from fault
        _export(context, library, made.fndesc, name)
        library.finalize()
        _check_externals(library, name)
        code: bytes = library.emit_native_object()
    return code


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


def _numba_type(argument: str) -> Any:
    types = import_module("numba.types")
    kind = getattr(types, argument.removesuffix("*"))
    return types.CPointer(kind) if argument.endswith("*") else kind


def _export(context: Any, library: Any, described: Any, name: str) -> None:
    """Add the C function around the compiled one, which has Numba's own way of calling."""
    from llvmlite import ir

    module = context.create_module(name)
    convention = context.call_conv
    inner = ir.Function(
        module,
        convention.get_function_type(described.restype, described.argtypes),
        described.llvm_func_name,
    )
    result = context.get_value_type(described.restype)
    taken = [context.get_value_type(kind) for kind in described.argtypes]
    outer = ir.Function(module, ir.FunctionType(result, taken), name)
    builder = ir.IRBuilder(outer.append_basic_block())
    status, value = convention.call_function(
        builder, inner, described.restype, described.argtypes, outer.args
    )
    builder.ret(builder.select(status.is_error, ir.Constant(result, RAISED), value))
    library.add_ir_module(module)
    library.get_function(described.llvm_func_name).linkage = "internal"  # compiled once, inside


def _check_externals(library: Any, name: str) -> None:
    module = library._final_module
    named = [*module.functions, *module.global_variables]
    for each in sorted({each.name for each in named if each.is_declaration} - EXTERNAL):
        if not each.startswith("llvm."):
            raise ConfigError(
                f"{name} needs {each!r} from outside; expected products and libm only"
            )
    if library.has_dynamic_globals:
        raise ConfigError(f"{name} holds an address of this process; expected none")


def load(
    code: bytes, name: str, arguments: tuple[str, ...], *, by_address: bool = False
) -> Callable[..., int]:
    """The function that object code exports as ``name``; it runs without the GIL.

    Where the code takes a pointer, it takes a C-contiguous array of that dtype, which is checked;
    or, ``by_address``, what the caller has checked: an address.
    Raises ConfigError for code without that function, or with symbols that are unknown here.
    """
    used = [symbol for symbol in SYMBOLS if symbol.encode() in code]
    library = linked(code, name, addresses(used))
    function: Any = ctypes.CFUNCTYPE(ctypes.c_int64)(library[name])
    function.argtypes = [_ctype(each, by_address) for each in arguments]
    function.errcheck = _refuse_raised
    function.library = library  # the code goes when this goes
    called: Callable[..., int] = function
    return called


def _ctype(argument: str, by_address: bool) -> Any:
    if argument.endswith("*"):
        if by_address:
            return ctypes.c_void_p
        return np.ctypeslib.ndpointer(argument.removesuffix("*"), flags="C_CONTIGUOUS")
    return np.ctypeslib.as_ctypes_type(argument)


def _refuse_raised(value: int, function: object, given: object) -> int:
    if value == RAISED:
        raise PullbackError("compiled code met what Python raises an exception for")
    return value
