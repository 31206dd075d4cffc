"""The functions for code that Numba compiles: LLVM functions, inlined where they are called."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from llvmlite import ir

from pullback.vmath.functions import OWN, Functions
from pullback.vmath.real import Real

# these keep the C library: a reduction by π over the whole range does not vectorise honestly
_LIBRARY: dict[str, Callable[..., Any]] = {
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "atan": math.atan,
}
_BUILT_IN: dict[str, Callable[..., Any]] = {"abs": abs, "sqrt": math.sqrt}
NAMES = frozenset({*OWN, *_LIBRARY, *_BUILT_IN})


@cache
def functions(dtype: str) -> dict[str, Callable[..., Any]]:
    """The functions by name, for compiled code in "float32" or "float64"; Numba loads here."""
    own = {name: _for_numba(name, dtype) for name in OWN}
    return {**own, **_LIBRARY, **_BUILT_IN}


def _for_numba(name: str, dtype: str) -> Callable[..., Any]:
    types, intrinsic = import_module("numba.types"), import_module("numba.extending").intrinsic
    real = getattr(types, dtype)

    @intrinsic  # type: ignore[untyped-decorator]
    def function(typing_context: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.call(_written(builder.module, name, dtype), args)

        return real(real), generate

    found: Callable[..., Any] = function
    return found


def _written(module: Any, name: str, dtype: str) -> Any:
    """The function in a module, written where it is not there yet."""
    symbol = f"pullback_{name}_{dtype}"
    if symbol in module.globals:
        return module.globals[symbol]
    kind = ir.FloatType() if dtype == "float32" else ir.DoubleType()
    made = ir.Function(module, ir.FunctionType(kind, [kind]), symbol)
    made.linkage = "internal"
    made.attributes.add("alwaysinline")
    builder = ir.IRBuilder(made.append_basic_block())
    write = getattr(Functions(dtype), name)
    builder.ret(write(Real(builder, made.args[0])).value)
    return made
