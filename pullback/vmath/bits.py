"""Reading a float's bits as a whole number and back: two instructions that Numba does not have."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_PAIRS = {types.float32: types.int32, types.float64: types.int64}


@intrinsic
def to_bits(typing_context: Any, x: Any) -> Any:
    """The bits of a float as a whole number of the same width."""
    whole = _PAIRS[x]

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(whole.bitwidth))

    return whole(x), generate


@intrinsic
def from_bits(typing_context: Any, n: Any) -> Any:
    """The float that has the bits of a whole number."""
    real = {types.int32: types.float32, types.int64: types.float64}[n]

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(
            args[0], ir.FloatType() if real is types.float32 else ir.DoubleType()
        )

    return real(n), generate
