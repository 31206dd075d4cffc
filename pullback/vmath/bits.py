"""Reading a float's bits as a whole number and back: two instructions that Numba does not have."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def bit_casts() -> tuple[Any, Any]:
    """(float to the whole number with its bits, and back) for compiled code of either width."""
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    whole: Any = {types.float32: types.int32, types.float64: types.int64}
    real: Any = {types.int32: types.float32, types.int64: types.float64}

    @intrinsic
    def to_bits(typing_context: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], ir.IntType(whole[x].bitwidth))

        return whole[x](x), generate

    @intrinsic
    def from_bits(typing_context: Any, n: Any) -> Any:
        single = real[n] is types.float32

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], ir.FloatType() if single else ir.DoubleType())

        return real[n](n), generate

    return to_bits, from_bits
